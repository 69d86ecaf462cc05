"""The graph answers as scikit-learn does: on the holdout, on missing values, on categories never seen."""

import io
import json

import numpy as np
import onnx
import pytest
from examples import COLUMNS, TASKS, answers, flights, read, run, schema, table

from training import convert, data, hyperparameters, pipeline, split, target
from training import schema as schemas

TOLERANCE = 1e-5
CLASSES = [
    ("binary_classification", None),
    ("binary_classification", ["no", "yes"]),
    ("binary_classification", ["0.0", "1.0"]),
    ("multiclass_classification", None),
    ("multiclass_classification", [-3, 10, 2]),
    ("multiclass_classification", ["01", "2", "3"]),
    ("regression", None),
]


@pytest.mark.parametrize(("task", "classes"), CLASSES)
def test_holdout(task, classes):
    trained = run(schema(task), flights(task, classes=classes))
    got = answers(trained)
    header, rows = read(trained.files["predictions.csv"])
    if task == "regression":
        assert header == ["prediction"] and list(got) == ["prediction"]
        want = np.array(rows, dtype=np.float64)
        assert got["prediction"].shape == want.shape
        assert np.abs(got["prediction"] - want).max() <= TOLERANCE * np.abs(want).max()
        return
    assert header == ["label", *(f"probabilities_{i}" for i in range(len(header) - 1))]
    assert list(got) == ["label", "probabilities"]
    want = np.array([row[1:] for row in rows], dtype=np.float64)
    assert np.abs(got["probabilities"] - want).max() <= TOLERANCE
    clear = np.sort(want, axis=1)[:, -1] - np.sort(want, axis=1)[:, -2] > 2 * TOLERANCE
    assert [str(label) for label in got["label"][clear]] == [row[0] for row, keep in zip(rows, clear, strict=True) if keep]


@pytest.mark.parametrize("task", TASKS)
def test_rows_that_training_never_saw(task):
    """The pipeline itself and its graph, on every combination of missing, unknown and extreme values."""
    plan = schemas.parse(schema(task))
    settings = hyperparameters.parse({"max_iter": "30"})
    read_in = data.read_table(io.BytesIO(flights(task)), plan)
    answer = target.decode(read_in.target, task, "y")
    _, rows, _ = split.split(answer, None, 0.2, 0)
    fitted = pipeline.fit(plan, read_in.inputs, answer, rows, settings)
    numbers = [np.nan, 0.0, -1e30, 3.4e38, 16777217.0]
    names = ["", "UA", "never seen", "ü" * 300, "N1"]
    cells = [
        (delay, carrier, distance, tail, hour)
        for delay in numbers
        for carrier in names
        for distance in numbers[:3]
        for tail in names[:4]
        for hour in (np.nan, 12.0)
    ]
    matrix = np.empty((len(cells), len(COLUMNS)), dtype=object)
    matrix[:] = [[np.float32(cell) if isinstance(cell, float) else cell for cell in row] for row in cells]
    labels, probabilities = pipeline.predict(fitted, matrix, 1)
    files = {"model.onnx": convert.to_onnx(plan, fitted)}

    class Trained:
        pass

    Trained.files = files
    got = answers(Trained, [["" if cell != cell else str(cell) for cell in row] for row in matrix])
    if probabilities is None:
        assert np.abs(got["prediction"][:, 0] - labels).max() <= TOLERANCE * np.abs(labels).max()
    else:
        assert np.abs(got["probabilities"] - probabilities).max() <= TOLERANCE


def test_neighbouring_floats_stay_on_their_side():
    """A threshold between two neighbouring float32 values must not move to the upper one."""
    low = np.float32(16777216.0)
    high = np.nextafter(low, np.float32(np.inf))
    again = np.nextafter(high, np.float32(np.inf))
    for a, b in ((low, high), (high, again)):
        rows = [[str(a if i % 2 else b), i % 2] for i in range(200)]
        trained = run(schema("binary_classification", columns=[{"name": "x", "type": "number"}]), table(["x", "y"], rows))
        assert trained.metrics["accuracy"] == 1
        assert answers(trained, [[str(a)], [str(b)]])["label"].tolist() == [1, 0]


@pytest.mark.parametrize("task", TASKS)
def test_signature(task):
    model = onnx.load_from_string(run(schema(task), flights(task)).files["model.onnx"])
    inputs = {value.name: value.type.tensor_type for value in model.graph.input}
    assert list(inputs) == [column["name"] for column in COLUMNS]
    for column in COLUMNS:
        kind = onnx.TensorProto.FLOAT if column["type"] == "number" else onnx.TensorProto.STRING
        dims = inputs[column["name"]].shape.dim
        assert inputs[column["name"]].elem_type == kind
        assert (dims[0].dim_param, dims[1].dim_value) == ("N", 1)
    assert not [tensor for tensor in model.graph.initializer if tensor.external_data]
    assert {entry.domain for entry in model.opset_import} == {"", "ai.onnx.ml"}


@pytest.mark.parametrize(
    "columns",
    [
        [{"name": "delay", "type": "number"}],
        [{"name": "carrier", "type": "category"}],
        [{"name": "tail number", "type": "category"}, {"name": "carrier", "type": "category"}],
        [{"name": "hour", "type": "category"}, {"name": "delay", "type": "number"}],
    ],
    ids=["one number", "one category", "categories only", "numbers as categories"],
)
def test_column_mixes(columns):
    trained = run(schema("binary_classification", columns=columns), flights("binary_classification"))
    want = np.array([row[1:] for row in read(trained.files["predictions.csv"])[1]], dtype=np.float64)
    assert np.abs(answers(trained)["probabilities"] - want).max() <= TOLERANCE


def test_columns_named_like_inner_tensors():
    names = ["input_0", "input_1", "variable", "N", "concat_result"]
    columns = [{"name": name, "type": column["type"]} for name, column in zip(names[::-1], COLUMNS, strict=True)]
    _, rows = read(flights("regression"))
    trained = run(schema("regression", columns=columns), table([*names[::-1], "y", "when"], rows))
    want = np.array(read(trained.files["predictions.csv"])[1], dtype=np.float64)
    assert np.abs(answers(trained)["prediction"] - want).max() <= TOLERANCE * np.abs(want).max()


def test_a_long_tail_of_categories_is_capped():
    """4,000 tail numbers become at most max_categories codes and "other"."""
    rng = np.random.default_rng(3)
    rows = [[f"N{rng.zipf(1.2) % 4000}", int(rng.integers(2))] for _ in range(20000)]
    document = schema("binary_classification", columns=[{"name": "tail", "type": "category"}])
    trained = run(document, table(["tail", "y"], rows), max_categories="50")
    feature = json.loads(trained.files["features.json"])["features"][0]
    assert len(feature["categories"]) == 50 and feature["distinct"] > 1000
    assert 0 < feature["other_ratio"] < 1
    assert len(trained.files["model.onnx"]) < 1 << 20
    known = {category["value"] for category in feature["categories"]}
    rare = next(row[0] for row in rows if row[0] not in known)
    got = answers(trained, [[rare], ["never seen"], ["other"]])["probabilities"]
    assert (got == got[0]).all()

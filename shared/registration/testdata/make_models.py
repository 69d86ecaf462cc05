"""Makes the uploads and the models of the tests of shared/registration.

    python make_models.py          (onnx 1.23.0, numpy, scikit-learn 1.9.1, skl2onnx 1.20.0, protobuf<7)

<task>/ is what a trainer leaves: predictions.csv holds scikit-learn's own answers, so that the parity
check compares two implementations. models/<name>.onnx are single files with one property each.
"""

import csv
import json
import pathlib

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

HERE = pathlib.Path(__file__).parent
COLUMNS = ["dep_delay", "distance", "carrier"]
OPSET = {"": 21, "ai.onnx.ml": 3}


def rows(rng, n):
    """Numbers with gaps (NaN) and a category with gaps ("")."""
    table = np.empty((n, 3), dtype=object)
    table[:, 0] = rng.gamma(2, 20, n).astype(np.float32)
    table[:, 1] = rng.gamma(3, 300, n).astype(np.float32)
    table[:, 2] = rng.choice(["UA", "AA", "B6", ""], n)
    table[rng.random(n) < 0.1, 0] = np.float32(np.nan)
    return table


def pipeline(estimator):
    encode = ColumnTransformer([
        ("number", SimpleImputer(strategy="median"), [0, 1]),
        ("category", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [2]),
    ])
    return Pipeline([("encode", encode), ("trees", estimator)])


def text(value):
    """A float32 with as many digits as it takes, nothing for a missing one."""
    return "" if np.isnan(value) else str(np.float32(value))


def write_csv(path, header, lines):
    with path.open("w", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)


def write_json(path, document):
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


def upload(name, task, target, model, y, rng):
    """Trains on 400 rows and leaves what functions/train leaves, with a holdout of 60 rows."""
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    table = rows(rng, 460)
    answers = y(table, rng)
    fitted = pipeline(model).fit(table[:400], answers[:400])
    initial = [(c, FloatTensorType([None, 1])) for c in COLUMNS[:2]] + [("carrier", StringTensorType([None, 1]))]
    options = {} if task == "regression" else {"options": {id(fitted): {"zipmap": False}}}
    graph = to_onnx(fitted, initial_types=initial, target_opset=OPSET, **options)
    graph.graph.name = name
    rename = {"variable": "prediction"} if task == "regression" else {}
    for node in graph.graph.node:
        for i, output in enumerate(node.output):
            node.output[i] = rename.get(output, output)
    for output in graph.graph.output:
        output.name = rename.get(output.name, output.name)
    (folder / "model.onnx").write_bytes(graph.SerializeToString(deterministic=True))
    held, truth = table[400:], answers[400:]
    write_csv(folder / "holdout.csv", COLUMNS + [target], [[text(r[0]), text(r[1]), r[2], t] for r, t in zip(held, truth)])
    if task == "regression":
        predicted = fitted.predict(held).astype(np.float32)
        write_csv(folder / "predictions.csv", ["prediction"], [[text(p)] for p in predicted])
        metrics = {"mae": float(np.mean(np.abs(predicted - truth)))}
    else:
        p = fitted.predict_proba(held).astype(np.float32)
        header = ["label"] + [f"probabilities_{i}" for i in range(p.shape[1])]
        write_csv(folder / "predictions.csv", header, [[c, *map(text, q)] for c, q in zip(fitted.predict(held), p)])
        metrics = {"accuracy": float(np.mean(fitted.predict(held) == truth))}
    write_json(folder / "metrics.json", {"v": 1, "task": task} | metrics)
    write_json(folder / "features.json", {"v": 1, "rows": 400, "features": [
        {"name": "dep_delay", "type": "number", "missing_ratio": 0.1, "min": 0, "max": 200},
        {"name": "distance", "type": "number", "missing_ratio": 0},
        {"name": "carrier", "type": "category", "categories": [{"value": v, "rows": 100} for v in ["UA", "", "AA", "B6"]]},
    ]})
    write_json(folder / "run.json", {"v": 1, "seed": 1})
    write_json(folder / "training_schema.json", {"v": 1, "task": task, "target": target, "columns": [
        {"name": "dep_delay", "type": "number"}, {"name": "distance", "type": "number"}, {"name": "carrier", "type": "category"}]})


def late(table, rng):
    return (np.nan_to_num(table[:, 0].astype(float)) + 10 * (table[:, 2] == "UA") + rng.normal(0, 10, len(table)) > 40).astype(np.int64)


def size(table, rng):
    return np.array(["short", "mid, long", "long"])[np.digitize(table[:, 1].astype(float) + rng.normal(0, 50, len(table)), [600, 1200])]


def price(table, rng):
    return 1e6 + 1000 * table[:, 1].astype(float) + rng.normal(0, 1e4, len(table))


F, S = TensorProto.FLOAT, TensorProto.STRING


def info(name, kind=F, shape=("N", 2)):
    return helper.make_tensor_value_info(name, kind, None if shape is None else list(shape))


def single(name, nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(nodes, name, inputs, outputs, list(initializers))
    m = helper.make_model(graph, producer_name="tidegate tests", ir_version=10, opset_imports=[helper.make_opsetid("", 21)])
    (HERE / "models").mkdir(exist_ok=True)
    (HERE / "models" / f"{name}.onnx").write_bytes(m.SerializeToString(deterministic=True))


def ints(name, *values):
    return numpy_helper.from_array(np.array(values, dtype=np.int64), name)


def models():
    node, two = helper.make_node, numpy_helper.from_array(np.array([2], dtype=np.float32), "two")
    double = [node("Mul", ["x", "two"], ["y"])]
    single("double", double, [info("x")], [info("y")], [two])
    single("no_shape", double, [info("x")], [info("y", shape=None)], [two])
    single("wrong_shape", double, [info("x")], [info("y", shape=(1,))], [two])
    single("wrong_width", double, [info("x")], [info("y", shape=("N", 7))], [two])
    single("one_row", double, [info("x", shape=(1, 2))], [info("y", shape=(1, 2))], [two])
    single("four_rows", double, [info("x", shape=(4, 2))], [info("y", shape=(4, 2))], [two])
    single("input_without_shape", double, [info("x", shape=None)], [info("y")], [two])
    # Says that it takes any number of rows, but was traced with one.
    single("traced", [node("Reshape", ["x", "shape"], ["y"])], [info("x")], [info("y", shape=(1, 2))], [ints("shape", 1, 2)])
    # An image of free size, that cannot be 1 by 1.
    single("image", [node("MaxPool", ["x"], ["p"], kernel_shape=[3, 3]), node("GlobalAveragePool", ["p"], ["y"])],
           [info("x", shape=("N", 1, "H", "W"))], [info("y", shape=("N", 1, 1, 1))])
    single("image_no_shape", [node("MaxPool", ["x"], ["p"], kernel_shape=[3, 3]), node("GlobalAveragePool", ["p"], ["y"])],
           [info("x", shape=("N", 1, "H", "W"))], [info("y", shape=None)])
    single("large", double, [info("x", shape=("N", 50_000_000))], [info("y", shape=("N", 50_000_000))], [two])
    single("logarithm", [node("Log", ["x"], ["y"])], [info("x", shape=("N", 1))], [info("y", shape=("N", 1))])
    single("unknown_operator", [node("NoSuchOperator", ["x"], ["y"])], [info("x")], [info("y")])
    single("parse", [node("Cast", ["x"], ["y"], to=F)], [info("x", S, ("N", 1))], [info("y", shape=("N", 1))])
    single("sums_rows", [node("ReduceSum", ["x", "axis"], ["y"], keepdims=0)], [info("x")], [info("y", shape=(2,))], [ints("axis", 0)])
    kinds = ["DOUBLE", "FLOAT16", "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT16", "UINT8", "BOOL", "STRING"]
    ins = [info("in_" + k.lower(), getattr(TensorProto, k), ("N", 1)) for k in kinds]
    outs = [info("out_" + k.lower(), getattr(TensorProto, k), ("N", 1)) for k in kinds]
    single("every_type", [node("Identity", [i.name], [o.name]) for i, o in zip(ins, outs)], ins, outs)
    # Its label is the larger of its two scores; a tie gives class 0.
    single("scores", [node("ArgMax", ["x"], ["label"], axis=1, keepdims=0), node("Identity", ["x"], ["probabilities"])],
           [info("x")], [info("label", TensorProto.INT64, ("N",)), info("probabilities")])


if __name__ == "__main__":
    trees = {"max_iter": 8, "max_leaf_nodes": 6, "random_state": 1}
    upload("binary", "binary_classification", "late", HistGradientBoostingClassifier(**trees), late, np.random.default_rng(11))
    upload("multiclass", "multiclass_classification", "size", HistGradientBoostingClassifier(**trees), size, np.random.default_rng(12))
    upload("regression", "regression", "price", HistGradientBoostingRegressor(**trees), price, np.random.default_rng(13))
    models()

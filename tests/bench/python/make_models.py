"""Makes the three models of the benchmark, and the rows that are sent to them.

    python make_models.py OUT_DIR

flights: a classifier of 200 trees over eleven columns (eight numbers, three strings), one graph input
per column, encoding inside the graph: the form that functions/train writes. It is asked for one row.
wide: a classifier of 200 trees with one FP32 input [N, 30]. It is asked for 1,000 rows.
small: a logistic regression with one FP32 input [N, 4], for cold starts: what is not the model's own size.

The data is drawn from a seeded generator, so the same packages make the same files. Beside each
<name>.onnx lie <name>.rows.json (columns of the rows to send) and <name>.expected.json (what ONNX
Runtime in Python answers for them), which the benchmark compares every handler's answer with.
"""

import json
import pathlib
import sys

import numpy as np
import onnxruntime as ort
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

SEED = 20130401
TREES = 200
NUMBERS = ["dep_delay", "month", "day", "weekday", "sched_dep_minute", "sched_arr_minute", "sched_air_minutes", "distance"]
CATEGORIES = {
    "carrier": [f"{a}{b}" for a in "ADFU" for b in "ABEL"],
    "origin": ["EWR", "JFK", "LGA"],
    "dest": [f"D{n:02d}" for n in range(100)],
}


def flights(rng):
    """Returns the fitted pipeline, its graph inputs and the row to send."""
    n = 6_000
    numbers = np.floor(rng.gamma(2.0, 20.0, (n, len(NUMBERS)))).astype(np.float32)
    strings = np.column_stack([rng.choice(values, n) for values in CATEGORIES.values()])
    late = numbers[:, 0] + 10 * (strings[:, 1] == "LGA") + rng.normal(0, 15, n) > 45
    width = len(NUMBERS)
    encode = ColumnTransformer([
        ("number", SimpleImputer(strategy="median"), list(range(width))),
        ("category", OneHotEncoder(handle_unknown="ignore", sparse_output=False), list(range(width, width + len(CATEGORIES)))),
    ])
    model = Pipeline([("encode", encode), ("trees", trees())])
    table = np.empty((n, width + len(CATEGORIES)), dtype=object)
    table[:, :width], table[:, width:] = numbers, strings
    model.fit(table, late.astype(np.int64))
    inputs = [(c, FloatTensorType([None, 1])) for c in NUMBERS] + [(c, StringTensorType([None, 1])) for c in CATEGORIES]
    row = {c: [float(numbers[7, i])] for i, c in enumerate(NUMBERS)}
    row |= {c: [str(strings[7, i])] for i, c in enumerate(CATEGORIES)}
    return model, inputs, row


def wide(rng):
    """Returns the fitted classifier, its graph input and 1,000 rows to send, with the digits that float32 has."""
    x = rng.normal(0, 1, (10_000, 30)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(0, 0.5, len(x)) > 0).astype(np.int64)
    model = trees().fit(x, y)
    rows = rng.normal(0, 1, (1000, 30)).astype(np.float32)
    return model, [("x", FloatTensorType([None, 30]))], {"x": rows}


def small(rng):
    """Returns the fitted classifier, its graph input and the row to send."""
    x = rng.normal(0, 1, (500, 4)).astype(np.float32)
    y = (x.sum(axis=1) > 0).astype(np.int64)
    model = LogisticRegression(random_state=SEED).fit(x, y)
    return model, [("x", FloatTensorType([None, 4]))], {"x": x[:1]}


def trees():
    return HistGradientBoostingClassifier(max_iter=TREES, max_leaf_nodes=31, early_stopping=False, random_state=SEED)


def write(out, name, model, inputs, rows):
    onnx = to_onnx(model, initial_types=inputs, options={id(model): {"zipmap": False}}, target_opset=18)
    (out / f"{name}.onnx").write_bytes(onnx.SerializeToString())
    feed = {}
    for column, kind in inputs:
        string = isinstance(kind, StringTensorType)
        feed[column] = np.array(rows[column], dtype=object if string else np.float32).reshape(-1, kind.shape[1])
    session = ort.InferenceSession(str(out / f"{name}.onnx"))
    label, probabilities = session.run(["label", "probabilities"], feed)
    (out / f"{name}.rows.json").write_text(json.dumps({k: shortest(v) for k, v in rows.items()}))
    expected = {"label": label.tolist(), "probabilities": [float(str(p)) for p in probabilities.ravel()]}
    (out / f"{name}.expected.json").write_text(json.dumps(expected))
    print(f"{name}: {(out / f'{name}.onnx').stat().st_size} bytes, {len(label)} row(s)")


def shortest(values):
    """The shortest decimal that reads back as the same float32: what a client with float32 data sends."""
    if isinstance(values, np.ndarray):
        return [float(str(v)) for v in values.ravel()]
    return values


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    for name, make in (("flights", flights), ("wide", wide), ("small", small)):
        write(out, name, *make(rng))


if __name__ == "__main__":
    main()

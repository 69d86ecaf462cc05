"""Training sets for the tests, made from a seed, and a reader for what a run wrote.

The sets have what real ones have: missing values in both types, a category column with
a long tail, a column of integers, values that need all digits of a float32.
"""

import csv
import io
import json
from collections.abc import Sequence

import numpy as np
import onnxruntime

from training.run import Request, Run, train

COLUMNS = [
    {"name": "delay", "type": "number"},
    {"name": "carrier", "type": "category"},
    {"name": "distance", "type": "number"},
    {"name": "tail number", "type": "category"},
    {"name": "hour", "type": "number"},
]
TASKS = ("binary_classification", "multiclass_classification", "regression")


def schema(task: str, target: str = "y", columns: Sequence[dict] = COLUMNS, **more: object) -> bytes:
    """A schema document for the columns."""
    return json.dumps({"v": 1, "task": task, "target": target, "columns": columns} | more).encode()


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """A CSV file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue().encode()


def flights(task: str, rows: int = 3000, seed: int = 7, classes: Sequence[object] | None = None) -> bytes:
    """A file with the columns of COLUMNS, `y` and `when`; `classes` are the texts of the classes in order."""
    rng = np.random.default_rng(seed)
    carriers = np.array(["UA", "AA", "B6", "zé", ' "q", ', ""])
    delay, distance = rng.normal(10, 40, rows), rng.gamma(2, 500, rows)
    carrier = rng.choice(len(carriers), rows, p=[0.3, 0.25, 0.2, 0.1, 0.1, 0.05])
    tail, hour = rng.zipf(1.4, rows) % 900, rng.integers(0, 24, rows)
    signal = delay / 30 + np.array([0.5, -1, 0, 2, 1, -0.5])[carrier] + np.sin(hour / 4) + (tail % 3 == 0)
    signal = signal + rng.normal(0, 0.4, rows)
    if task == "regression":
        target = [repr(float(value)) for value in 12 * signal - 3]
    else:
        names = list(classes or ([0, 1] if task == "binary_classification" else ["early", "on time", "late", "lost"]))
        bounds = np.quantile(signal, np.linspace(0, 1, len(names) + 1)[1:-1])
        target = [names[place] for place in np.searchsorted(bounds, signal)]
    gap = rng.random((rows, 2)) < 0.08
    return table(
        [*(column["name"] for column in COLUMNS), "y", "when"],
        [
            (
                "" if gap[i, 0] else repr(float(delay[i])),
                carriers[carrier[i]],
                "nan" if gap[i, 1] else f"{distance[i]:.3f}",
                f"N{tail[i]}" if i % 50 else "",
                int(hour[i]),
                target[i],
                f"2013-{1 + i * 12 // rows:02d}-01T{hour[i]:02d}:00:00Z",
            )
            for i in range(rows)
        ],
    )


def run(document: bytes, data: bytes, **hyperparameters: str) -> Run:
    """Trains; few and small trees unless asked otherwise."""
    settings = {"max_iter": "40", "min_samples_leaf": "5"} | hyperparameters
    return train(Request("flights", document, io.BytesIO(data), hyperparameters=settings), clock=lambda: 0.0)


def read(content: bytes) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV file."""
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    return rows[0], rows[1:]


def answers(trained: Run, rows: Sequence[Sequence[str]] | None = None) -> dict[str, np.ndarray]:
    """What ONNX Runtime answers on the holdout, or on other rows of the same columns, by output name."""
    session = onnxruntime.InferenceSession(trained.files["model.onnx"], providers=["CPUExecutionProvider"])
    if rows is None:
        _, rows = read(trained.files["holdout.csv"])
    feed = {}
    for i, spec in enumerate(session.get_inputs()):
        texts = [row[i] for row in rows]
        if spec.type == "tensor(string)":
            feed[spec.name] = np.array(texts, dtype=object).reshape(-1, 1)
        else:
            feed[spec.name] = np.array([float(text or "nan") for text in texts], dtype=np.float32).reshape(-1, 1)
    return dict(zip((output.name for output in session.get_outputs()), session.run(None, feed), strict=True))

"""Trains a small model with functions/train itself and keeps what it leaves as trained/.

    python make_trained.py         (the packages of layers/training; .local/venv-train has them)

Categories with commas, quotes and gaps, numbers with gaps, one column without any value.
"""

import csv
import io
import json
import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parents[2] / "functions" / "train"))

from training import run  # noqa: E402

SCHEMA = {
    "v": 1, "task": "multiclass_classification", "target": "size",
    "columns": [{"name": "weight", "type": "number"}, {"name": "gap", "type": "number"}, {"name": "kind", "type": "category"},
                {"name": "flag", "type": "number"}],
}


def table(rng, n=600):
    """A CSV file of n rows."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["weight", "gap", "kind", "flag", "size"])
    for _ in range(n):
        weight = rng.gamma(2, 10)
        kind = rng.choice(["a, b", 'the "c"', "", "d", "é"])
        size = "large" if weight + 5 * (kind == "d") + rng.normal(0, 3) > 25 else "small" if weight < 12 else "middle, or so"
        writer.writerow([f"{weight:.6f}" if rng.random() > 0.1 else "", "", kind, rng.integers(0, 2), size])
    return out.getvalue().encode()


if __name__ == "__main__":
    data = table(np.random.default_rng(5))
    done = run.train(run.Request(model="parcels", schema=json.dumps(SCHEMA).encode(), data=io.BytesIO(data),
                                 hyperparameters={"seed": "1", "max_iter": "5"}), clock=lambda: 0.0)
    (HERE / "trained").mkdir(exist_ok=True)
    for name, content in done.files.items():
        (HERE / "trained" / name).write_bytes(content)

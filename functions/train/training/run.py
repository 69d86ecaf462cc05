"""The steps of a training run in order; the one place where both entries meet.

    run = train(Request(model="flights", schema=b"{...}", data=open("train.csv", "rb")))
    run.files["model.onnx"]

Nothing is written here: the caller gets all files or an exception.
"""

import hashlib
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from . import code, convert, data, evaluate, features, hyperparameters, output, pipeline, schema, split, target


@dataclass(frozen=True)
class Request:
    """What to train on. `data` is read once, to its end."""

    model: str
    schema: bytes
    data: BinaryIO
    task: str | None = None
    hyperparameters: Mapping[str, object] = field(default_factory=dict)
    schema_uri: str = ""
    data_uri: str = ""
    max_cells: int | None = None


@dataclass(frozen=True)
class Run:
    """What came out: file contents by name, the holdout's metrics, and row counts."""

    files: dict[str, bytes]
    metrics: evaluate.Metrics
    rows: dict[str, int]


def train(request: Request, clock: Callable[[], float] = time.monotonic) -> Run:
    """Trains, evaluates and converts; raises a fault (fault.py) for bad input."""
    laps = _Laps(clock)
    settings = hyperparameters.parse(request.hyperparameters)
    plan = schema.parse(request.schema, request.task)
    source = _Digesting(request.data)
    table = data.read_table(io.BufferedReader(source), plan, settings.coerce_numbers, request.max_cells)
    source.drain()
    laps.mark("read")
    answers = target.decode(table.target, plan.task, plan.target)
    how, train_rows, holdout_rows = split.split(answers, table.time, settings.holdout_fraction, settings.seed)
    fitted = pipeline.fit(plan, table.inputs, answers, train_rows, settings)
    laps.mark("fit")
    labels, probabilities = pipeline.predict(
        fitted, pipeline.matrix(plan, table.inputs, holdout_rows), settings.threads
    )
    truth = answers.labels(holdout_rows)
    trees = fitted.named_steps["trees"]
    if probabilities is None:
        metrics = evaluate.regression(truth, labels)
    else:
        metrics = evaluate.classification(truth, labels, probabilities, trees.classes_)
    laps.mark("evaluate")
    files = {"model.onnx": convert.to_onnx(plan, fitted)}
    laps.mark("convert")
    times = None if table.time is None else output.Times(plan.time or "", table.time, table.clock)
    description = features.describe(plan, table.inputs, train_rows, pipeline.encoded_categories(plan, fitted))
    files |= {
        "holdout.csv": output.holdout_csv(plan, table.inputs, times, holdout_rows, truth),
        "training.csv.gz": output.training_csv(plan, table.inputs, times, train_rows, answers.labels(train_rows)),
        "predictions.csv": output.predictions_csv(labels, probabilities),
        "metrics.json": output.document({"v": 1, "task": plan.task, "split": how} | metrics),
        "features.json": output.document(description),
        "training_schema.json": request.schema,
    }
    laps.mark("write")
    rows = {"train": len(train_rows), "holdout": len(holdout_rows)}
    record = {
        "v": 1,
        "model": request.model,
        "task": plan.task,
        "target": plan.target,
        "seed": settings.seed,
        "hyperparameters": settings.document(),
        "code": code.digest(),
        "versions": code.versions(),
        "inputs": {
            "schema": _digest(request.schema) | {"uri": request.schema_uri},
            "data": {"sha256": source.hash.hexdigest(), "size": source.size, "uri": request.data_uri},
        },
        "outputs": {name: _digest(content) for name, content in files.items()},
        "rows": {"read": table.read, "used": table.rows, "dropped": table.dropped} | rows,
        "columns": {"inputs": len(plan.columns), "ignored": table.ignored, "coerced_values": table.coerced},
        "classes": _class_counts(answers, train_rows, holdout_rows),
        "split": how,
        "time": None if times is None else {"train": times.ends(train_rows), "holdout": times.ends(holdout_rows)},
        "trees": int(trees.n_iter_),
        "warnings": features.warnings(description),
        "durations_ms": laps.milliseconds,
    }
    files["run.json"] = output.document(record)
    return Run(files, metrics, rows)


def _class_counts(answers: target.Target, train: split.Rows, holdout: split.Rows) -> list[dict[str, object]]:
    if answers.classes is None:
        return []
    labels = answers.classes.tolist()
    of_train, of_holdout = (np.bincount(answers.values[rows], minlength=len(labels)).tolist() for rows in (train, holdout))
    return [
        {"label": label, "train": n, "holdout": m} for label, n, m in zip(labels, of_train, of_holdout, strict=True)
    ]


def _digest(content: bytes) -> dict[str, object]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


class _Laps:
    """Durations between marks, in milliseconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.last = clock, clock()
        self.milliseconds: dict[str, int] = {}

    def mark(self, name: str) -> None:
        now = self.clock()
        self.milliseconds[name] = round((now - self.last) * 1000)
        self.last = now


class _Digesting(io.RawIOBase):
    """A stream that hashes what is read through it."""

    def __init__(self, inner: BinaryIO) -> None:
        self.inner, self.hash, self.size = inner, hashlib.sha256(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        block = self.inner.read(len(buffer))
        self.hash.update(block)
        self.size += len(block)
        buffer[: len(block)] = block
        return len(block)

    def drain(self) -> None:
        """Reads what a decoder left behind the data, so that the digest is the file's."""
        while self.read(1 << 16):
            pass

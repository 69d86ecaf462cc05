"""Files of a run as bytes. Floats are the shortest text that reads back as the same float32."""

import csv
import gzip
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from .data import CHUNK_ROWS
from .pipeline import Inputs
from .schema import NUMBER, Schema
from .split import Rows


def document(value: object) -> bytes:
    """A JSON document; NaN and infinity are bugs here and raise ValueError."""
    return (json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


@dataclass(frozen=True)
class Times:
    """The time column: when the rows are from, [N], in seconds since 1970 if `clock`, else plain numbers."""

    name: str
    values: NDArray[np.float64]
    clock: bool

    def texts(self, rows: Rows) -> list[str]:
        """Times of rows as RFC 3339 in UTC, numbers as their shortest text."""
        distinct, inverse = np.unique(self.values[rows], return_inverse=True)
        texts = [_moment(value) if self.clock else f"{value:.17g}" for value in distinct.tolist()]
        return np.array(texts, dtype=object)[inverse].tolist()

    def ends(self, rows: Rows) -> dict[str, object]:
        """First and last time of rows, of which there must be one."""
        ends = {"first": self.values[rows].min(), "last": self.values[rows].max()}
        return {name: _moment(value) if self.clock else value for name, value in ends.items()}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def holdout_csv(schema: Schema, inputs: Inputs, times: Times | None, rows: Rows, truth: NDArray[np.generic]) -> bytes:
    """The held-out rows as the model got them, their time if it is no input, and the target last.

    Missing is an empty field.
    """
    names = [column.name for column in schema.columns]
    columns = [
        floats(inputs[column.name][rows]) if column.type == NUMBER else inputs[column.name][rows].tolist()
        for column in schema.columns
    ]
    if times is not None and times.name not in names:
        names, columns = [*names, times.name], [*columns, times.texts(rows)]
    return _csv([*names, schema.target], [*columns, _plain(truth)])


def training_csv(schema: Schema, inputs: Inputs, times: Times | None, rows: Rows, truth: NDArray[np.generic]) -> bytes:
    """The training rows in the form of holdout_csv, gzip-compressed: register makes the version's baseline of them.

    Piece by piece, since there are several times as many as held-out ones; without a name and time in the
    header, so that the bytes are those of the rows.
    """
    out = io.BytesIO()
    header = len(holdout_csv(schema, inputs, times, rows[:0], truth[:0]))
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=out, mtime=0) as packed:
        for start in range(0, len(rows), CHUNK_ROWS):
            piece = slice(start, start + CHUNK_ROWS)
            text = holdout_csv(schema, inputs, times, rows[piece], truth[piece])
            packed.write(text if start == 0 else text[header:])
    return out.getvalue()


def predictions_csv(labels: NDArray[np.generic], probabilities: NDArray[np.float64] | None) -> bytes:
    """The trainer's answers, row by row of holdout.csv, one column per column of the graph's outputs."""
    if probabilities is None:
        return _csv(["prediction"], [floats(labels)])
    names = [f"probabilities_{i}" for i in range(probabilities.shape[1])]
    return _csv(["label", *names], [_plain(labels), *(floats(column) for column in probabilities.T)])


def floats(values: NDArray[np.generic]) -> list[str]:
    """Values as float32 texts, NaN as the empty text."""
    distinct, inverse = np.unique(values.astype(np.float32), return_inverse=True)
    texts = np.array(["" if np.isnan(value) else str(value) for value in distinct], dtype=object)
    return texts[inverse].tolist()


def _plain(values: NDArray[np.generic]) -> Sequence[object]:
    # tolist gives Python's own numbers and strings; a float64 target prints as its shortest text.
    return values.tolist()


def _csv(header: list[str], columns: Sequence[Sequence[object]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return out.getvalue().encode()

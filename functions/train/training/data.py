"""CSV into columns, counting everything that is dropped or changed on the way.

A missing value is an empty field. In number columns NaN, NA, N/A, null and None (any
case) are missing too, as writers of CSV put them there; in category columns they are
categories ("NA" is Namibia), and an empty field is the category "".

Numbers are rounded to float32 before anything is learned from them: thresholds of ONNX
trees are float32, and a model that was trained on finer values would send some rows to
the other side of a split than the graph does.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from .fault import FailedPrecondition, InvalidArgument, PayloadTooLarge
from .schema import NUMBER, Schema

MAX_FIELD = 1 << 20
CHUNK_ROWS = 16384
_MISSING_NUMBERS = frozenset({"", "nan", "na", "n/a", "null", "none"})
_MISSING_TARGETS = frozenset({"", "nan", "NaN"})


@dataclass
class Table:
    """Rows that can be trained on, column-wise, in the order of the file."""

    inputs: dict[str, NDArray[np.float32] | NDArray[np.object_]]
    target: NDArray[np.object_]
    time: NDArray[np.float64] | None
    read: int
    dropped: dict[str, int] = field(default_factory=dict)
    coerced: dict[str, int] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    # Whether time is in seconds since 1970; else it is numbers of which only the order is known.
    clock: bool = False

    @property
    def rows(self) -> int:
        """How many rows are left."""
        return len(self.target)


def read_table(
    stream: BinaryIO, schema: Schema, coerce_numbers: bool = False, max_cells: int | None = None
) -> Table:
    """Reads a CSV file (plain or gzip, UTF-8, with a header).

    Raises InvalidArgument when the file is not such a table, misses a column or has
    text in number columns (with the count for each); FailedPrecondition when no row is left;
    PayloadTooLarge when rows times input columns pass max_cells.
    """
    reader = csv.reader(io.TextIOWrapper(_plain(stream), encoding="utf-8-sig", newline=""), strict=True)
    csv.field_size_limit(MAX_FIELD)
    try:
        header = next(reader, None)
        if not header:
            raise InvalidArgument("data: the file is empty; it needs a header with column names")
        columns = _Columns(schema, header, coerce_numbers)
        for chunk in _chunks(reader, len(header)):
            columns.add(chunk)
            if max_cells is not None and columns.read * len(schema.columns) > max_cells:
                raise PayloadTooLarge(
                    f"data: has more than {max_cells} values in input columns, which is what fits this function's memory;"
                    " give it more memory, train on fewer rows or columns, or train as a SageMaker job"
                )
    except UnicodeDecodeError:
        raise InvalidArgument("data: is not UTF-8 text; write the CSV file in UTF-8") from None
    except csv.Error:
        raise InvalidArgument(f"data: line {reader.line_num} is not valid CSV; check its quotes") from None
    except (gzip.BadGzipFile, zlib.error, EOFError):
        raise InvalidArgument("data: the gzip file is damaged or truncated") from None
    return columns.table()


def _plain(stream: BinaryIO) -> BinaryIO:
    buffered = io.BufferedReader(stream) if isinstance(stream, io.RawIOBase) else stream
    if isinstance(buffered, io.BufferedReader) and buffered.peek(2)[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=buffered)  # type: ignore[return-value]
    return buffered


def _chunks(reader: Iterator[list[str]], width: int) -> Iterator[list[list[str]]]:
    chunk: list[list[str]] = []
    for row in reader:
        if len(row) != width:
            if not row:  # a blank line
                continue
            line = reader.line_num  # type: ignore[attr-defined]
            raise InvalidArgument(f"data: line {line} has {len(row)} fields where the header has {width}")
        chunk.append(row)
        if len(chunk) == CHUNK_ROWS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _Columns:
    """Collects chunks of rows into typed columns."""

    def __init__(self, schema: Schema, header: list[str], coerce_numbers: bool) -> None:
        self.schema, self.coerce = schema, coerce_numbers
        self.index = _locate(schema, header)
        self.ignored = [name for name in header if name not in self.index]
        self.parts: dict[str, list[NDArray[np.generic]]] = {column.name: [] for column in schema.columns}
        self.targets: list[NDArray[np.object_]] = []
        self.times: list[NDArray[np.object_]] = []
        self.faults: dict[str, int] = {}
        self.dropped = {"missing_target": 0, "missing_time": 0}
        self.interned: dict[str, str] = {}
        self.read = 0

    def add(self, rows: list[list[str]]) -> None:
        self.read += len(rows)
        target = self.index[self.schema.target]
        kept = [row for row in rows if row[target] not in _MISSING_TARGETS]
        self.dropped["missing_target"] += len(rows) - len(kept)
        if self.schema.time is not None:
            time = self.index[self.schema.time]
            timed = [row for row in kept if row[time].strip().lower() not in _MISSING_NUMBERS]
            self.dropped["missing_time"] += len(kept) - len(timed)
            kept = timed
            self.times.append(self._texts([row[time] for row in kept]))
        self.targets.append(self._texts([row[target] for row in kept]))
        for column in self.schema.columns:
            at = self.index[column.name]
            texts = [row[at] for row in kept]
            part = self._numbers(column.name, texts) if column.type == NUMBER else self._texts(texts)
            self.parts[column.name].append(part)

    def _texts(self, texts: list[str]) -> NDArray[np.object_]:
        # One string object per distinct value: a column of a million carriers is a million pointers, not strings.
        intern = self.interned.setdefault
        out = np.empty(len(texts), dtype=object)
        out[:] = [intern(text, text) for text in texts]
        return out

    def _numbers(self, name: str, texts: list[str]) -> NDArray[np.float32]:
        try:
            values = np.fromiter((float(text or "nan") for text in texts), dtype=np.float64, count=len(texts))
            clean = not any("_" in text for text in texts)  # Python reads 1_000 as a number, nobody else does
        except ValueError:
            clean = False
        faults = 0
        if not clean:
            values = np.empty(len(texts), dtype=np.float64)
            for i, text in enumerate(texts):
                values[i], bad = _number(text)
                faults += bad
        with np.errstate(over="ignore"):
            rounded = values.astype(np.float32)
        infinite = np.isinf(rounded)
        faults += int(np.count_nonzero(infinite))
        rounded[infinite] = np.nan
        if faults:
            self.faults[name] = self.faults.get(name, 0) + faults
        return rounded

    def table(self) -> Table:
        if self.faults and not self.coerce:
            counts = ", ".join(f"{name} ({count})" for name, count in self.faults.items())
            raise InvalidArgument(
                f"data: values that are not finite numbers in number columns: {counts}; correct them, declare the column"
                " a category, or set hyperparameters.coerce_numbers to true to take them as missing"
            )
        target = np.concatenate(self.targets) if self.targets else np.empty(0, dtype=object)
        if not len(target):
            raise FailedPrecondition(
                f"data: no row is left to train on ({self.read} read, {sum(self.dropped.values())} without target or time)"
            )
        time, clock = _moments(np.concatenate(self.times), self.schema.time or "") if self.times else (None, False)
        inputs = {name: np.concatenate(parts) for name, parts in self.parts.items()}
        return Table(inputs, target, time, self.read, self.dropped, self.faults, self.ignored, clock)  # type: ignore[arg-type]


def _locate(schema: Schema, header: list[str]) -> dict[str, int]:
    wanted = [column.name for column in schema.columns] + [schema.target] + ([schema.time] if schema.time else [])
    missing = [name for name in dict.fromkeys(wanted) if name not in header]
    if missing:
        raise InvalidArgument(f"data: the header has no column {', '.join(missing)}; add it or change the schema")
    twice = [name for name in dict.fromkeys(wanted) if header.count(name) > 1]
    if twice:
        raise InvalidArgument(f"data: the header has column {', '.join(twice)} more than once; rename or remove one")
    return {name: header.index(name) for name in wanted}


def _number(text: str) -> tuple[float, bool]:
    """The value of a field, and whether it is a fault rather than a missing value."""
    if text.strip().lower() in _MISSING_NUMBERS:
        return np.nan, False
    try:
        return (np.nan, True) if "_" in text else (float(text), False)
    except ValueError:
        return np.nan, True


def _moments(texts: NDArray[np.object_], name: str) -> tuple[NDArray[np.float64], bool]:
    """Times as seconds since 1970, or plain numbers as they are; and whether they are times."""
    distinct, inverse = np.unique(texts, return_inverse=True)
    clock = False
    try:
        values = np.array([float(text) for text in distinct])
    except ValueError:
        clock = True
        try:
            values = np.array([_seconds(text) for text in distinct])
        except (ValueError, OverflowError):
            values = np.array([np.nan])
    if not np.all(np.isfinite(values)):
        raise InvalidArgument(f"time column {name!r}: must hold ISO 8601 times or finite numbers in every row")
    return values[inverse], clock


def _seconds(text: str) -> float:
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).timestamp()

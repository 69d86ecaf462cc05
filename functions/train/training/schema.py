"""The training schema: which columns of the file are inputs, of which type, and what to predict.

    {"v":1, "task":"binary_classification", "target":"late", "time":"time_hour",
     "columns":[{"name":"dep_delay","type":"number"},{"name":"carrier","type":"category"}],
     "drop":["flight"]}

The order of `columns` is the order of the inputs of the ONNX graph. Columns of the
file that are neither inputs, target nor time are ignored; `drop` says so on purpose
and fails when it contradicts the rest.
"""

import json
from dataclasses import dataclass

from .fault import InvalidArgument

TASKS = ("binary_classification", "multiclass_classification", "regression")
NUMBER, CATEGORY = "number", "category"
MAX_COLUMNS = 2000
MAX_NAME = 256
# Names of the graph's outputs, and the prefix of its inner tensors (convert.py): an input cannot have them.
RESERVED = ("label", "probabilities", "prediction")
RESERVED_PREFIX = "tidegate/"


@dataclass(frozen=True)
class Column:
    """One input column; `type` is NUMBER or CATEGORY."""

    name: str
    type: str


@dataclass(frozen=True)
class Schema:
    """A checked training schema."""

    task: str
    target: str
    columns: tuple[Column, ...]
    time: str | None = None
    drop: tuple[str, ...] = ()

    @property
    def classifies(self) -> bool:
        """Whether the task is one of the classifications."""
        return self.task != "regression"


def parse(document: bytes, task: str | None = None) -> Schema:
    """Reads and checks a schema document.

    `task`, when given, must be the schema's. All faults are reported in one
    InvalidArgument that names the paths.
    """
    try:
        raw = json.loads(document.decode("utf-8-sig"), object_pairs_hook=_without_duplicates)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise InvalidArgument("schema: is not a JSON document in UTF-8") from None
    if not isinstance(raw, dict):
        raise InvalidArgument("schema: must be a JSON object with v, task, target and columns")
    problems: list[str] = []
    if raw.get("v", 1) != 1 or isinstance(raw.get("v"), bool):
        problems.append("schema.v: must be 1")
    unknown = sorted(set(raw) - {"v", "task", "target", "columns", "time", "drop"})
    if unknown:
        problems.append(f"schema: unknown fields {', '.join(unknown)}")
    if raw.get("task") not in TASKS:
        problems.append(f"schema.task: must be one of {', '.join(TASKS)}")
    elif task is not None and task != raw["task"]:
        problems.append("schema.task: differs from task in the payload; make them the same")
    problems += _name_problem("schema.target", raw.get("target"))
    if raw.get("time") is not None:
        problems += _name_problem("schema.time", raw["time"])
    drop = raw.get("drop") or []
    if not isinstance(drop, list) or not all(isinstance(name, str) for name in drop):
        problems.append("schema.drop: must be a list of column names")
        drop = []
    columns = _columns(raw.get("columns"), problems)
    if not problems:
        problems += _contradictions(raw["target"], raw.get("time"), columns, drop)
    if problems:
        raise InvalidArgument("; ".join(problems))
    return Schema(raw["task"], raw["target"], tuple(columns), raw.get("time"), tuple(drop))


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidArgument("schema: has a field twice in one object; keep one of them")
    return fields


def _name_problem(path: str, name: object) -> list[str]:
    if not isinstance(name, str) or not name:
        return [f"{path}: must be a column name"]
    if len(name) > MAX_NAME or not name.isprintable():
        return [f"{path}: must have at most {MAX_NAME} printable characters"]
    return []


def _columns(raw: object, problems: list[str]) -> list[Column]:
    if not isinstance(raw, list) or not raw:
        problems.append('schema.columns: must be a list with at least one {"name","type"}')
        return []
    if len(raw) > MAX_COLUMNS:
        problems.append(f"schema.columns: has more than {MAX_COLUMNS} entries")
        return []
    columns: list[Column] = []
    seen: set[str] = set()
    for i, entry in enumerate(raw):
        path = f"schema.columns[{i}]"
        if not isinstance(entry, dict) or set(entry) != {"name", "type"}:
            problems.append(f'{path}: must be {{"name","type"}}')
            continue
        name, kind = entry["name"], entry["type"]
        faults = _name_problem(f"{path}.name", name)
        if not faults and (name in RESERVED or name.startswith(RESERVED_PREFIX)):
            faults.append(f"{path}.name: is the name of an output of the model; rename the column")
        if not faults and name in seen:
            faults.append(f"{path}.name: is there twice; names must be unique")
        if kind not in (NUMBER, CATEGORY):
            faults.append(f"{path}.type: must be {NUMBER} or {CATEGORY}")
        problems += faults
        if not faults:
            seen.add(name)
            columns.append(Column(name, kind))
    return columns


def _contradictions(target: str, time: str | None, columns: list[Column], drop: list[str]) -> list[str]:
    names = {column.name for column in columns}
    problems = []
    if target in names:
        problems.append("schema.target: is also one of columns, so the model would read the answer; remove it there")
    if time == target:
        problems.append("schema.time: is the target; name another column")
    if clash := sorted(set(drop) & (names | {target, time or target})):
        problems.append(f"schema.drop: names columns that are used: {', '.join(clash)}")
    return problems

"""The payload contract of the train function.

    in   {"model", "task", "schema_uri", "data_uri", "output_uri": "s3://<registry>/uploads/<ulid>/", "hyperparameters"?}
    out  {"output_uri", "files": [...], "metrics": {...}, "rows": {"train", "holdout"}}

    in   {"describe": true}
    out  {"code": "sha256:...", "versions": {...}}: what would train (code.py)

Files are written after the whole run has succeeded, run.json last: where it is, the
others are. The same payload writes the same model again.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from . import code, schema
from .fault import InvalidArgument
from .storage import Storage, parse_uri

MAX_SCHEMA_BYTES = 4 << 20
# Peak memory for each value of an input column, measured at 36 (categories) to 60 bytes (unique texts), with a margin, and
# for the interpreter with its packages. What is above would end as a killed process without a reason.
BYTES_PER_CELL = 80
BASE_MEMORY = 300 << 20
_MODEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_TYPES = {"json": "application/json", "csv": "text/csv", "gz": "application/gzip"}

Log = Callable[..., None]


def serve(payload: object, storage: Storage, memory: int, log: Log) -> dict[str, object]:
    """Answers one payload. memory: bytes that the function has.

    Raises a fault; nothing is written then, or not all of it when writing itself fails.
    """
    if isinstance(payload, dict) and "describe" in payload:
        if payload != {"describe": True}:
            raise InvalidArgument("describe: must be true, and the only field")
        return {"code": code.digest(), "versions": code.versions()}
    fields = _checked(payload)
    # These imports take seconds, and describe and wrong payloads do not need them.
    from .run import Request, train

    document = storage.read(fields["schema_uri"], "schema_uri", MAX_SCHEMA_BYTES)
    with closing(storage.open(fields["data_uri"], "data_uri")) as stream:
        run = train(
            Request(
                model=fields["model"],
                task=fields.get("task"),
                schema=document,
                data=stream,
                hyperparameters=fields.get("hyperparameters") or {},
                schema_uri=fields["schema_uri"],
                data_uri=fields["data_uri"],
                max_cells=max(memory - BASE_MEMORY, 0) // BYTES_PER_CELL,
            )
        )
    prefix = fields["output_uri"].rstrip("/") + "/"
    for name, content in run.files.items():
        kind = _TYPES.get(name.rpartition(".")[2], "application/octet-stream")
        storage.write(prefix + name, "output_uri", content, kind)
    log("trained", model=fields["model"], rows=run.rows, metrics=run.metrics)
    return {"output_uri": prefix, "files": list(run.files), "metrics": run.metrics, "rows": run.rows}


def _checked(payload: object) -> Mapping[str, Any]:
    if not isinstance(payload, dict):
        raise InvalidArgument("payload: must be a JSON object with model, task, schema_uri, data_uri and output_uri")
    problems = []
    if not isinstance(payload.get("model"), str) or not _MODEL.fullmatch(payload["model"]):
        problems.append("model: must be 1 to 63 lower-case letters, digits, hyphens and underscores, beginning with a letter or digit")
    if payload.get("task") is not None and payload["task"] not in schema.TASKS:
        problems.append(f"task: must be one of {', '.join(schema.TASKS)}")
    if not isinstance(payload.get("hyperparameters") or {}, dict):
        problems.append("hyperparameters: must be an object of strings")
    for field in ("schema_uri", "data_uri", "output_uri"):
        try:
            parse_uri(payload.get(field), field)
        except InvalidArgument as err:
            problems.append(str(err))
    if problems:
        raise InvalidArgument("; ".join(problems))
    return payload

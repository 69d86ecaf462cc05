"""Log lines: one JSON object each, without values of the data."""

import json
import traceback
from typing import TextIO


class Log:
    """Writes lines with fixed fields, e.g. a request id, to a stream."""

    def __init__(self, stream: TextIO, **fields: object) -> None:
        self._stream, self._fields = stream, fields

    def __call__(self, message: str, level: str = "info", **fields: object) -> None:
        line = {"level": level, "msg": message} | self._fields | fields
        print(json.dumps(line, ensure_ascii=False, default=str), file=self._stream, flush=True)

    def crash(self, err: BaseException) -> None:
        """Logs where an unexpected error came from. Its text is left out: libraries quote values in theirs."""
        frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(err.__traceback__)]
        self("training failed", level="error", error=type(err).__name__, frames=frames)

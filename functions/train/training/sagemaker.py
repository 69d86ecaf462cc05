"""The SageMaker training contract (also any host that lays out /opt/ml as it does).

    in   input/config/hyperparameters.json      strings; `model` and `task` beside the hyperparameters
         input/config/inputdataconfig.json      the channels
         input/data/training/{train.csv,schema.json}      schema.json may come in a channel `schema` of its own
    out  model/                                 all files of the run: one archive is all that register needs
         output/data/{metrics,run}.json
         output/failure                         the reason in its first 1,024 characters

Exit status: 0 trained, 1 failed, 143 stopped by SIGTERM (nothing is left in model/).
"""

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from .fault import Fault, InvalidArgument
from .log import Log

FAILURE_CHARACTERS = 1024
STOPPED = 128 + signal.SIGTERM
_OWN = ("model", "task")


class Stopped(BaseException):
    """SIGTERM came. Not an Exception, so that no library swallows it."""


def main(environ: Mapping[str, str], out: TextIO) -> int:
    """Runs one training job below TIDEGATE_ML_ROOT (default /opt/ml); returns the exit status."""
    root = Path(environ.get("TIDEGATE_ML_ROOT") or "/opt/ml")
    log = Log(out)

    def stop(_signal: int, _frame: object) -> None:
        raise Stopped

    signal.signal(signal.SIGTERM, stop)
    try:
        _job(root, out)
        return 0
    except Stopped:
        log("stopped before the end; no model was written")
        return STOPPED
    except Fault as fault:
        log(str(fault), level="error", error=fault.kind)
        _fail(root, f"{fault.kind}: {fault}")
    except Exception as err:
        log.crash(err)
        _fail(root, "Internal: training failed for a reason that is in the log of this job")
    return 1


def _job(root: Path, out: TextIO) -> None:
    given = _hyperparameters(root / "input/config/hyperparameters.json")
    channels = _channels(root)
    document, data = _inputs(root / "input/data", channels)
    # After the cheap checks: these imports take seconds.
    from .run import Request, train

    with data.open("rb", buffering=0) as stream:
        run = train(
            Request(
                model=given.pop("model", ""),
                task=given.pop("task", None),
                schema=document.read_bytes(),
                data=stream,  # type: ignore[arg-type]
                hyperparameters=given,
                schema_uri=document.relative_to(root).as_posix(),
                data_uri=data.relative_to(root).as_posix(),
            )
        )
    # SIGTERM must not leave half a model behind: from here on it takes milliseconds.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _write(root / "model", run.files)
    _write(root / "output/data", {name: run.files[name] for name in ("metrics.json", "run.json")})
    for name, value in run.metrics.items():
        if value is not None:
            print(f"{name}={value};", file=out)
    out.flush()


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _fail(root: Path, reason: str) -> None:
    (root / "output").mkdir(parents=True, exist_ok=True)
    (root / "output/failure").write_text(reason[:FAILURE_CHARACTERS], encoding="utf-8")


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        value = json.loads(path.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        value = None
    if not isinstance(value, dict):
        raise InvalidArgument(f"{path.name}: must be a JSON object")
    return value


def _hyperparameters(path: Path) -> dict[str, Any]:
    """Hyperparameters without SageMaker's own, and without the quotes that its SDK puts around strings."""
    given = {name: value for name, value in _json(path).items() if not name.startswith("sagemaker_")}
    for name, value in given.items():
        if isinstance(value, str) and len(value) >= 2 and value[0] == value[-1] == '"':
            given[name] = value[1:-1]
    for name in _OWN:
        if not isinstance(given.get(name, ""), str):
            raise InvalidArgument(f"hyperparameters.{name} must be a string")
    return given


def _channels(root: Path) -> list[str]:
    configured = _json(root / "input/config/inputdataconfig.json")
    for name, channel in configured.items():
        if isinstance(channel, dict) and channel.get("TrainingInputMode", "File") == "Pipe":
            raise InvalidArgument(f"channel {name}: has input mode Pipe; use File or FastFile")
    folder = root / "input/data"
    return sorted(configured) or sorted(entry.name for entry in folder.glob("*") if entry.is_dir())


def _inputs(folder: Path, channels: list[str]) -> tuple[Path, Path]:
    if "training" not in channels:
        raise InvalidArgument("channel training is missing; it holds train.csv")
    places = [folder / "schema/schema.json"] if "schema" in channels else []
    document = next((path for path in [*places, folder / "training/schema.json"] if path.is_file()), None)
    if document is None:
        raise InvalidArgument("schema.json is missing; put it into channel training or into a channel named schema")
    data = folder / "training/train.csv"
    if not data.is_file():
        raise InvalidArgument("train.csv is missing in channel training")
    return document, data

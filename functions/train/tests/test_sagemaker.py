"""The SageMaker contract, through the program `train` in a folder that is laid out like /opt/ml."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from examples import flights, schema

PROGRAM = Path(__file__).resolve().parents[1] / "train"
FILES = {
    "model.onnx",
    "holdout.csv",
    "training.csv.gz",
    "predictions.csv",
    "metrics.json",
    "features.json",
    "training_schema.json",
    "run.json",
}
SETTINGS = {"model": "flights", "task": "regression", "seed": "3", "max_iter": "20"}


def lay_out(root: Path, settings: dict, channels: dict[str, dict[str, bytes]]) -> Path:
    (root / "input/config").mkdir(parents=True)
    (root / "input/config/hyperparameters.json").write_text(json.dumps(settings))
    configured = {name: {"TrainingInputMode": "File", "ContentType": "text/csv"} for name in channels}
    (root / "input/config/inputdataconfig.json").write_text(json.dumps(configured))
    for name, files in channels.items():
        (root / "input/data" / name).mkdir(parents=True)
        for file, content in files.items():
            (root / "input/data" / name / file).write_bytes(content)
    return root


def start(root: Path, **more) -> subprocess.Popen:
    environment = os.environ | {"TIDEGATE_ML_ROOT": str(root)}
    return subprocess.Popen([sys.executable, str(PROGRAM)], env=environment, stdout=subprocess.PIPE, text=True, **more)


def outcome(root: Path) -> tuple[int, str]:
    process = start(root)
    out, _ = process.communicate()
    return process.returncode, out


@pytest.mark.parametrize("apart", [False, True], ids=["schema beside the data", "schema in its own channel"])
def test_a_job(tmp_path, apart):
    document, data = schema("regression"), flights("regression")
    channels = {"training": {"train.csv": data}} | ({"schema": {"schema.json": document}} if apart else {})
    if not apart:
        channels["training"]["schema.json"] = document
    # As the SageMaker SDK writes them: strings in JSON quotes, and its own beside them.
    settings = SETTINGS | {"seed": '"3"', "sagemaker_region": '"eu-west-1"'}
    code, out = outcome(lay_out(tmp_path, settings, channels))
    assert code == 0
    assert {path.name for path in (tmp_path / "model").iterdir()} == FILES
    assert {path.name for path in (tmp_path / "output/data").iterdir()} == {"metrics.json", "run.json"}
    assert not (tmp_path / "output/failure").exists()
    metrics = json.loads((tmp_path / "model/metrics.json").read_text())
    assert f"rmse={metrics['rmse']};" in out.splitlines()
    record = json.loads((tmp_path / "model/run.json").read_text())
    assert record["model"] == "flights" and record["seed"] == 3


FAILURES = [
    ({"max_iter": "many"}, {}, "InvalidArgument: hyperparameters.max_iter"),
    ({"model": 3}, {}, "InvalidArgument: hyperparameters.model"),
    ({}, {"training": {"train.csv": b"a"}}, "InvalidArgument: schema.json is missing"),
    ({}, {"training": {"schema.json": schema("regression")}}, "InvalidArgument: train.csv is missing"),
    ({}, {"schema": {"schema.json": schema("regression")}}, "InvalidArgument: channel training is missing"),
    ({"task": "clustering"}, {}, "InvalidArgument: schema.task"),
    ({}, {"training": {"train.csv": b"delay\n", "schema.json": schema("regression")}}, "InvalidArgument: data: the header"),
    ({"bad_" + "x" * 3000: "1"}, {}, "InvalidArgument: hyperparameters.bad_x"),
]


@pytest.mark.parametrize(("settings", "channels", "reason"), FAILURES, ids=range(len(FAILURES)))
def test_failures_leave_a_reason(tmp_path, settings, channels, reason):
    good = {"training": {"train.csv": flights("regression", 50), "schema.json": schema("regression")}}
    code, _ = outcome(lay_out(tmp_path, SETTINGS | settings, channels or good))
    failure = (tmp_path / "output/failure").read_text()
    assert code == 1
    assert failure.startswith(reason) and len(failure) <= 1024
    assert not (tmp_path / "model").exists()


def test_pipe_mode_is_refused(tmp_path):
    root = lay_out(tmp_path, SETTINGS, {"training": {"train.csv": b"", "schema.json": b"{}"}})
    (root / "input/config/inputdataconfig.json").write_text('{"training":{"TrainingInputMode":"Pipe"}}')
    code, _ = outcome(root)
    assert code == 1 and "input mode Pipe" in (root / "output/failure").read_text()


def test_damaged_configuration(tmp_path):
    root = lay_out(tmp_path, SETTINGS, {})
    (root / "input/config/hyperparameters.json").write_text("[")
    code, _ = outcome(root)
    assert code == 1 and "hyperparameters.json: must be a JSON object" in (root / "output/failure").read_text()


def test_termination_leaves_nothing_half_done(tmp_path):
    """SIGTERM while the file is being read: a named pipe holds the job there, so nothing depends on time."""
    channels = {"training": {"schema.json": schema("regression")}}
    root = lay_out(tmp_path, SETTINGS, channels)
    data = root / "input/data/training/train.csv"
    code = (
        "import os, pathlib, sys\n"
        f"sys.path.insert(0, {str(PROGRAM.parent)!r})\n"
        "from training import sagemaker\n"
        # What is_file() says of a pipe; everything else is the program itself.
        "pathlib.Path.is_file = pathlib.Path.exists\n"
        "sys.exit(sagemaker.main(os.environ, sys.stdout))\n"
    )
    os.mkfifo(data)
    environment = os.environ | {"TIDEGATE_ML_ROOT": str(root)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    with data.open("wb") as pipe:  # opens when the job has opened it for reading
        pipe.write(flights("regression", 50))
        pipe.flush()
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate()
    assert process.returncode == 143
    assert "stopped" in out
    assert not (root / "model").exists() and not (root / "output/failure").exists()

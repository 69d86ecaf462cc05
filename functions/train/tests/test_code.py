"""The digest of what trains: of the sources and of the versions, and of nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from examples import flights, run, schema

from training import code

FOLDER = Path(code.__file__).parent


def test_it_is_that_of_the_sources(tmp_path):
    here = code.digest()
    assert re.fullmatch("sha256:[0-9a-f]{64}", here)
    copy = tmp_path / "training"
    shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    assert code.digest(copy) == here
    (copy / "notes.txt").write_text("no source")
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__/x.pyc").write_bytes(b"compiled")
    os.utime(copy / "run.py", (0, 0))
    assert code.digest(copy) == here
    with (copy / "split.py").open("a") as source:
        source.write("# changed\n")
    changed = code.digest(copy)
    assert changed != here
    (copy / "split.py").rename(copy / "parting.py")
    assert code.digest(copy) not in (here, changed)


def test_another_version_is_another_digest(monkeypatch):
    here = code.digest()
    monkeypatch.setattr(code, "versions", lambda: {"python": "0"})
    assert code.digest() != here


def test_it_is_the_same_in_another_process():
    program = "import sys; sys.path.insert(0, sys.argv[1]); from training import code; print(code.digest())"
    out = subprocess.run(
        [sys.executable, "-c", program, str(FOLDER.parent)], env=os.environ | {"PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == code.digest()


def test_it_needs_none_of_the_packages():
    """Describing must fit into the start of an environment: numpy alone takes a second from a cold layer."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); from training import service; print('numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", program, str(FOLDER.parent)], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_a_run_records_it():
    record = json.loads(run(schema("regression"), flights("regression", 200)).files["run.json"])
    assert record["code"] == code.digest()
    assert record["versions"] == code.versions()

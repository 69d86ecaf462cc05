"""The same inputs, seed and packages give the same bytes, in this process and in others."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from examples import TASKS, flights, run, schema

FILES = ("model.onnx", "holdout.csv", "training.csv.gz", "predictions.csv", "metrics.json", "features.json", "training_schema.json")
PROGRAM = """
import sys, hashlib
sys.path[:0] = sys.argv[1:3]
from examples import *
trained = run(schema(sys.argv[3]), flights(sys.argv[3]), early_stopping="true", seed="3")
print(*(hashlib.sha256(trained.files[name]).hexdigest() for name in sys.argv[4:]))
"""


def digests(trained) -> list[str]:
    return [hashlib.sha256(trained.files[name]).hexdigest() for name in FILES]


@pytest.mark.parametrize("task", TASKS)
def test_same_bytes_in_other_processes(task):
    here = digests(run(schema(task), flights(task), early_stopping="true", seed="3"))
    assert here == digests(run(schema(task), flights(task), early_stopping="true", seed="3"))
    tests = Path(__file__).parent
    # Other hash seeds and thread counts: what depends on the order of a set or of threads shows here.
    for hashes, threads in (("1", "1"), ("2", "4")):
        environment = os.environ | {"PYTHONHASHSEED": hashes, "OMP_NUM_THREADS": threads}
        arguments = [sys.executable, "-c", PROGRAM, str(tests.parent), str(tests), task, *FILES]
        out = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
        assert out.stdout.split() == here


def test_another_seed_gives_another_holdout():
    document, data = schema("regression"), flights("regression")
    assert run(document, data, seed="1").files["holdout.csv"] != run(document, data, seed="2").files["holdout.csv"]


def test_nothing_of_the_converter_is_left():
    content = run(schema("regression"), flights("regression", 200)).files["model.onnx"]
    assert b"skl2onnx" not in content and b"input_0" not in content

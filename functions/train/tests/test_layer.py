"""What is deployed: the bundle that `sam build` packs and the layer, alone, without this environment's packages."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from examples import flights, schema

ROOT = Path(__file__).resolve().parents[3]
LAYER = Path(os.environ["TIDEGATE_TRAINING_LAYER"])
# Lambda's limit for a function and its layers, unzipped.
LIMIT = 262_144_000


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    subprocess.run([ROOT / "scripts/build-function", "train", folder], check=True)
    return folder


def test_function_and_layer_fit_lambda(bundle):
    manifest = json.loads((LAYER / "manifest.json").read_text())
    total = size(bundle) + size(LAYER)
    assert total < LIMIT, f"{total} bytes"
    assert manifest["bytes"] == size(LAYER) - (LAYER / "manifest.json").stat().st_size
    assert manifest["python"] == "{}.{}".format(*sys.version_info[:2])


def test_the_layer_holds_what_is_pinned_and_no_more():
    lines = (ROOT / "layers/training/requirements.txt").read_text().splitlines()
    pinned = dict(line.split(" ")[0].replace("-", "_").split("==") for line in lines if "==" in line)
    assert json.loads((LAYER / "manifest.json").read_text())["packages"] == pinned
    assert not list(LAYER.rglob("__pycache__")) and not list(LAYER.rglob("tests"))
    # A stripped OpenBLAS does not load; these folders are as the wheels have them.
    assert {path.name for path in (LAYER / "python").glob("*.libs")} >= {"numpy.libs", "scipy.libs"}


def test_bundle_holds_no_tests(bundle):
    assert {path.name for path in bundle.iterdir()} == {"handler.py", "train", "training"}
    assert not [path for path in bundle.rglob("*") if path.is_file() and path.suffix not in (".py", "")]


def test_training_with_the_layer_alone(bundle, tmp_path):
    """-S -E -P: the standard library, the bundle and the layer are all there is."""
    (tmp_path / "input/data/training").mkdir(parents=True)
    (tmp_path / "input/data/training/train.csv").write_bytes(flights("binary_classification", 300))
    (tmp_path / "input/data/training/schema.json").write_bytes(schema("binary_classification"))
    code = (
        "import os, sys\n"
        f"sys.path[:0] = [{str(bundle)!r}, {str(LAYER / 'python')!r}]\n"
        "from training.sagemaker import main\n"
        "status = main(os.environ, sys.stdout)\n"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('boto3', 'onnxruntime', 'pandas', 'pyarrow')]\n"
        "assert all('site-packages' not in (getattr(m, '__file__', None) or '') for m in list(sys.modules.values()))\n"
        "sys.exit(status)\n"
    )
    environment = {"TIDEGATE_ML_ROOT": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-B", "-S", "-E", "-P", "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "model/model.onnx").stat().st_size > 0
    assert "Warning" not in done.stderr

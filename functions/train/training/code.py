"""What trains: the digest of this package's sources and of the versions that it runs on.

Two environments with one digest train the same model of the same input. It is
computed from the files that are deployed, not from what a build noted.
"""

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("numpy", "scikit-learn", "scipy", "skl2onnx", "onnx", "protobuf")


def versions() -> dict[str, str]:
    """The interpreter and the packages that decide what is learned."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def digest(folder: Path = Path(__file__).parent) -> str:
    """"sha256:<hex>" of one line a source file (its sha256, size and path, sorted) and one a version."""
    lines = []
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        lines.append(f"{hashlib.sha256(content).hexdigest()} {len(content)} {name}\n")
    lines += [f"{name} {number}\n" for name, number in sorted(versions().items())]
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()

"""Hyperparameters: strings in (as SageMaker hands them), checked values out.

Names are scikit-learn's where scikit-learn has the knob. Defaults are
scikit-learn's too, except where a line below says why not.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from .fault import InvalidArgument


@dataclass(frozen=True)
class Hyperparameters:
    """Settings of one training run, all within their ranges.

    Constructed by `parse`; the field order is the order in run.json.
    """

    seed: int = 0
    learning_rate: float = 0.1
    # 200 trees of 31 leaves run in ~11 us per row in ONNX Runtime; scikit-learn's 100 underfit at this rate.
    max_iter: int = 200
    max_leaf_nodes: int = 31
    max_depth: int | None = None
    min_samples_leaf: int = 20
    l2_regularization: float = 0.0
    max_bins: int = 255
    # auto: on from 10,000 training rows, as in scikit-learn.
    early_stopping: str = "auto"
    n_iter_no_change: int = 10
    validation_fraction: float = 0.1
    holdout_fraction: float = 0.2
    # A category gets a code of its own when it has min_frequency training rows and is among the max_categories most
    # frequent; 254 codes and "other" are what 255 bins can tell apart.
    max_categories: int = 100
    min_frequency: int = 10
    # true: text in a number column becomes a missing value, counted in run.json, instead of an error.
    coerce_numbers: bool = False
    # Sums over threads are added in the order in which threads end, so only one thread gives the same bytes everywhere.
    threads: int = 1

    def document(self) -> dict[str, object]:
        """The values as they go into run.json."""
        return asdict(self)


# Bounds are inclusive; None is unbounded. Open bounds of fractions are checked apart.
_INTEGERS: dict[str, tuple[int, int]] = {
    "seed": (0, 2**32 - 1),
    "max_iter": (1, 5000),
    "max_leaf_nodes": (2, 4096),
    "max_depth": (1, 64),
    "min_samples_leaf": (1, 1_000_000),
    "max_bins": (2, 255),
    "n_iter_no_change": (1, 1000),
    "max_categories": (1, 254),
    "min_frequency": (1, 1_000_000_000),
    "threads": (1, 64),
}
_FLOATS: dict[str, tuple[float, float]] = {
    "learning_rate": (1e-6, 1.0),
    "l2_regularization": (0.0, 1e9),
    "validation_fraction": (0.01, 0.5),
    "holdout_fraction": (0.001, 0.9),
}
_CHOICES: dict[str, tuple[str, ...]] = {"early_stopping": ("auto", "true", "false")}
_BOOLEANS = ("coerce_numbers",)


def parse(given: Mapping[str, object]) -> Hyperparameters:
    """Checks `given` and fills in defaults.

    Values are strings; JSON numbers and booleans are taken too. All faults are
    reported in one InvalidArgument, each with the name of its hyperparameter.
    """
    known = {f.name for f in fields(Hyperparameters)}
    values: dict[str, object] = {}
    problems: list[str] = []
    for name in sorted(given):
        if name not in known:
            problems.append(f"hyperparameters.{name} is unknown; known are {', '.join(sorted(known))}")
            continue
        try:
            values[name] = _value(name, _text(given[name]))
        except ValueError as err:
            problems.append(f"hyperparameters.{name} {err}")
    if problems:
        raise InvalidArgument("; ".join(problems))
    return Hyperparameters(**values)  # type: ignore[arg-type]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value).strip()
    raise ValueError("must be a string")


def _value(name: str, text: str) -> object:
    if name == "max_depth" and text in ("", "none"):
        return None
    if name in _INTEGERS:
        low, high = _INTEGERS[name]
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)
    if name in _FLOATS:
        return _float(text, *_FLOATS[name])
    if name in _BOOLEANS:
        if text not in ("true", "false"):
            raise ValueError("must be true or false")
        return text == "true"
    if text not in _CHOICES[name]:
        raise ValueError(f"must be one of {', '.join(_CHOICES[name])}")
    return text


def _float(text: str, low: float, high: float) -> float:
    try:
        number = math.nan if "_" in text else float(text)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise ValueError(f"must be a number from {low:g} to {high:g}") from None
    return number

"""The target column: text in, classes or numbers out.

Classes are whole numbers when every value is one in canonical form (or with a zero
fraction, as tools write numbers of a column with gaps: "1.0"), otherwise they are
strings. That decides the datatype of the model's `label`: INT64 or STRING.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .fault import FailedPrecondition, InvalidArgument

MAX_CLASSES = 1000
_WHOLE = re.compile(r"(0|-?[1-9][0-9]{0,17})(\.0+)?")


@dataclass(frozen=True)
class Target:
    """Decoded answers. `values`: [N] int64 codes into `classes`, or float64 for regression."""

    values: NDArray[np.int64] | NDArray[np.float64]
    classes: NDArray[Any] | None = None

    def labels(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The answers of some rows as they were meant: class values, or numbers."""
        if self.classes is None:
            return self.values[rows]
        return self.classes[self.values[rows]]


def decode(texts: NDArray[np.object_], task: str, name: str) -> Target:
    """Decodes the target texts [N]; none of them is missing (data.py drops those rows).

    Raises FailedPrecondition for one class, InvalidArgument for too many classes or a
    regression target that is not a finite number.
    """
    if task == "regression":
        return Target(_numbers(texts, name))
    distinct, codes = np.unique(texts, return_inverse=True)
    if len(distinct) > MAX_CLASSES:
        raise InvalidArgument(
            f"target column {name!r}: has {len(distinct)} classes, more than {MAX_CLASSES}; is the task regression?"
        )
    if all(_WHOLE.fullmatch(text) for text in distinct):
        whole = np.array([int(text.split(".")[0]) for text in distinct], dtype=np.int64)
        classes: NDArray[Any]
        classes, order = np.unique(whole, return_inverse=True)
        codes = order[codes]
    else:
        classes = distinct
    if len(classes) < 2:
        raise FailedPrecondition(f"target column {name!r}: all rows have the same class; there is nothing to learn")
    if task == "binary_classification" and len(classes) != 2:
        raise InvalidArgument(
            f"target column {name!r}: has {len(classes)} classes; binary_classification needs 2, or use multiclass_classification"
        )
    return Target(codes.astype(np.int64), classes)


def _numbers(texts: NDArray[np.object_], name: str) -> NDArray[np.float64]:
    values = np.empty(len(texts), dtype=np.float64)
    for i, text in enumerate(texts):
        try:
            values[i] = np.nan if "_" in text else float(text)
        except ValueError:
            values[i] = np.nan
    # ONNX answers in float32: beyond its range no answer can be right.
    bad = int(np.count_nonzero(~(np.abs(values) <= np.finfo(np.float32).max)))
    if bad:
        raise InvalidArgument(f"target column {name!r}: {bad} values are not finite numbers; correct or remove these rows")
    return values

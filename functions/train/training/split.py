"""Which rows are held out.

With a time column, the last rows by time: the model will be asked about later rows
than it learned from. Without one, a seeded share, of each class for classification.
"""

import math

import numpy as np
from numpy.typing import NDArray

from .fault import FailedPrecondition
from .target import Target

Rows = NDArray[np.int64]


def split(target: Target, time: NDArray[np.float64] | None, fraction: float, seed: int) -> tuple[str, Rows, Rows]:
    """Splits N rows into (how, training rows, holdout rows), both in file order.

    Raises FailedPrecondition when either side would be empty, or the training side
    is left without a second class.
    """
    n = len(target.values)
    if time is not None:
        how, held = "time", _last(time, fraction)
    elif target.classes is not None:
        how, held = "stratified", _stratified(target, fraction, seed)
    else:
        how, held = "random", np.random.default_rng(seed).permutation(n)[: _share(n, fraction)]
    mask = np.zeros(n, dtype=bool)
    mask[held] = True
    train, holdout = np.flatnonzero(~mask), np.flatnonzero(mask)
    if not len(holdout) or not len(train):
        raise FailedPrecondition(
            f"data: {n} usable rows do not give both a training and a holdout row with hyperparameters.holdout_fraction"
            f" {fraction:g}; add rows or change it"
        )
    if target.classes is not None and len(np.unique(target.values[train])) < 2:
        raise FailedPrecondition(
            "data: the rows left for training have one class only; add rows of another class or lower hyperparameters.holdout_fraction"
        )
    return how, train, holdout


def _share(n: int, fraction: float) -> int:
    # Half up, not to even: a share must not depend on whether its neighbour is odd.
    return min(math.floor(n * fraction + 0.5), n)


def _last(time: NDArray[np.float64], fraction: float) -> Rows:
    order = np.argsort(time, kind="stable")
    return order[len(order) - _share(len(order), fraction) :]


def _stratified(target: Target, fraction: float, seed: int) -> Rows:
    rng = np.random.default_rng(seed)
    held = []
    for code in range(len(target.classes)):  # type: ignore[arg-type]
        rows = rng.permutation(np.flatnonzero(target.values == code))
        # A class keeps a training row, else the model could never answer it.
        held.append(rows[: min(_share(len(rows), fraction), len(rows) - 1)])
    return np.concatenate(held)

"""Ends a run with a reason before Lambda ends it without one."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from .fault import DeadlineExceeded

# Lambda kills the process at its deadline; this is left to report and to answer.
MARGIN_S = 5.0


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises DeadlineExceeded inside the block, MARGIN_S before `seconds` have passed.

    For the main thread, where handlers run. Trees are grown one by one, so the signal waits for one at most.
    """

    def expire(_signal: int, _frame: object) -> None:
        raise DeadlineExceeded(
            "training did not end in the function's time; raise its timeout, lower hyperparameters.max_iter,"
            " train on fewer rows, or train as a SageMaker job"
        )

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, max(seconds - MARGIN_S, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

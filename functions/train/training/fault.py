"""Error kinds. The name of the class is the name that Step Functions matches.

They mirror `shared/fault`: a message is safe to show, names the field and what to
do, and never repeats a value of the data.
"""


class Fault(Exception):
    """Base of all kinds; never raised itself."""

    @property
    def kind(self) -> str:
        """The name of the kind, e.g. `InvalidArgument`."""
        return type(self).__name__


class InvalidArgument(Fault):
    """The payload, schema, hyperparameters or file must change."""


class NotFound(Fault):
    """An object that the payload names is not there."""


class FailedPrecondition(Fault):
    """The input is well formed, but nothing can be learned from it: too few rows, one class."""


class PayloadTooLarge(Fault):
    """The file does not fit the memory of this function."""


class DeadlineExceeded(Fault):
    """The time of this function is nearly used up."""


class Unavailable(Fault):
    """S3 did not answer as it should; the same call may succeed later."""


class Internal(Fault):
    """A bug, or a permission of ours that is missing."""

"""train: the Lambda entry.

Trigger: a task of the retrain machine, or the command line.
Input and output: the payload contract in training/service.py.
Environment: none of its own; AWS_ENDPOINT_URL is honoured by boto3.
IAM: s3:GetObject and s3:ListBucket where the schema and the data are, s3:PutObject on uploads/ of the registry bucket.
Errors: a fault of training/fault.py; Lambda gives its class name as the error type.
"""

import os
import sys


def handler(event: object, context: object) -> dict[str, object]:
    """Trains on what the payload names and writes the files below output_uri."""
    # Imported here: scikit-learn and scipy take seconds from a cold layer, and Lambda's INIT phase ends after ten.
    from training.deadline import within
    from training.fault import Fault, Internal
    from training.log import Log
    from training.service import serve
    from training.storage import S3Storage

    request = getattr(context, "aws_request_id", "")
    log = Log(sys.stdout, request_id=request)
    try:
        with within(context.get_remaining_time_in_millis() / 1000):  # type: ignore[attr-defined]
            memory = int(context.memory_limit_in_mb) << 20  # type: ignore[attr-defined]
            return serve(event, S3Storage(os.environ), memory, log)
    except Fault as fault:
        log(str(fault), level="error", error=fault.kind)
        raise
    except Exception as err:
        log.crash(err)
        raise Internal(f"training failed for a reason that is in the log of request {request}") from None

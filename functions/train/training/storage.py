"""Objects by URI: the port and its S3 adapter. The only module that imports boto3.

boto3 is part of Lambda's Python runtime (the training layer does not bring it) and
follows AWS_ENDPOINT_URL.
"""

import re
from collections.abc import Mapping
from contextlib import closing
from typing import Any, BinaryIO, Protocol

from .fault import Internal, InvalidArgument, NotFound, PayloadTooLarge, Unavailable

# Statuses that say "ask again"; everything else that is not named below is a mistake of ours.
_TRANSIENT = frozenset({408, 409, 429, 500, 502, 503, 504})


class Storage(Protocol):
    """Where inputs come from and files go to. `field` names the payload field in faults."""

    def read(self, uri: str, field: str, limit: int) -> bytes:
        """The whole object; PayloadTooLarge above `limit` bytes."""

    def open(self, uri: str, field: str) -> BinaryIO:
        """The object as a stream, which the caller closes."""

    def write(self, uri: str, field: str, content: bytes, content_type: str) -> None:
        """Puts an object, replacing what is there."""


def parse_uri(uri: object, field: str) -> tuple[str, str]:
    """Splits s3://bucket/key."""
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)", uri) if isinstance(uri, str) else None
    if not match:
        raise InvalidArgument(f"{field}: must be s3://<bucket>/<key>")
    return match[1], match[2]


class S3Storage:
    """Storage in S3.

    environ: the process environment; region, credentials and endpoint come from it in boto3's usual way.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        import boto3
        from botocore.config import Config

        self._client = boto3.client(
            "s3",
            region_name=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION"),
            endpoint_url=environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL"),
            config=Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 4}),
        )

    def open(self, uri: str, field: str) -> BinaryIO:
        """See Storage."""
        bucket, key = parse_uri(uri, field)
        answer = self._call(field, "get_object", Bucket=bucket, Key=key)
        return _Body(answer["Body"], field)  # type: ignore[return-value]

    def read(self, uri: str, field: str, limit: int) -> bytes:
        """See Storage."""
        with closing(self.open(uri, field)) as stream:
            content = stream.read(limit + 1)
        if len(content) > limit:
            raise PayloadTooLarge(f"{field}: the object has more than {limit} bytes")
        return content

    def write(self, uri: str, field: str, content: bytes, content_type: str) -> None:
        """See Storage."""
        bucket, key = parse_uri(uri, field)
        self._call(field, "put_object", Bucket=bucket, Key=key, Body=content, ContentType=content_type)

    def _call(self, field: str, operation: str, **arguments: object) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self._client, operation)(**arguments)
        except ClientError as err:
            raise _fault(err.response, field) from err
        except BotoCoreError as err:
            raise Unavailable(f"{field}: S3 cannot be reached; try again") from err


def _fault(response: Mapping[str, Mapping[str, object]], field: str) -> Exception:
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code == "NoSuchBucket":
        return NotFound(f"{field}: no such bucket")
    if status == 404:
        return NotFound(f"{field}: no such object")
    if status == 403:
        return Internal(f"{field}: the role of this function may not use this object; its policy needs the bucket")
    if status in _TRANSIENT:
        return Unavailable(f"{field}: S3 answered {status}; try again")
    return Internal(f"{field}: S3 refused the request with {code or status}")


class _Body:
    """A response body whose read errors are faults."""

    def __init__(self, body: BinaryIO, field: str) -> None:
        self._body, self._field = body, field

    def read(self, size: int = -1) -> bytes:
        from botocore.exceptions import BotoCoreError, HTTPClientError, IncompleteReadError

        try:
            return self._body.read() if size < 0 else self._body.read(size)
        except (BotoCoreError, HTTPClientError, IncompleteReadError, OSError) as err:
            raise Unavailable(f"{self._field}: S3 stopped in the middle of the object; try again") from err

    def close(self) -> None:
        self._body.close()

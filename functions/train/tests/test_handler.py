"""The Lambda entry against S3 over HTTP: boto3's own requests, a server of the test that keeps objects and can misbehave."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from examples import answers, flights, schema

import handler
from training import code, fault, run, service
from training.deadline import within

PAYLOAD = {
    "model": "flights",
    "task": "binary_classification",
    "schema_uri": "s3://registry/uploads/1/schema.json",
    "data_uri": "s3://registry/blobs/sha256/ab/abcd",
    "output_uri": "s3://registry/uploads/2/",
    "hyperparameters": {"seed": "1", "max_iter": "20"},
}


class Bucket(ThreadingHTTPServer):
    """Objects by path, and what to answer instead of them."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Requests)
        self.objects: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.order: list[str] = []
        self.refuse: dict[str, tuple[int, str]] = {}
        self.cut: set[str] = set()
        self.asked = 0

    def handle_error(self, request, client_address):
        """A client that hangs up is what some tests are about."""


class Requests(BaseHTTPRequestHandler):
    server: Bucket
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.asked += 1
        if self.path.split("?")[0] in self.server.refuse:
            return self._error(*self.server.refuse[self.path.split("?")[0]])
        content = self.server.objects.get(self.path.split("?")[0])
        if content is None:
            return self._error(404, "NoSuchKey")
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.path in self.server.cut:
            content, self.close_connection = content[: len(content) // 2], True
        self.wfile.write(content)

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path in self.server.refuse:
            return self._error(*self.server.refuse[self.path])
        self.server.objects[self.path] = content
        self.server.types[self.path] = self.headers["Content-Type"]
        self.server.order.append(self.path)
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _error(self, status: int, code: str):
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Context:
    """What the handler reads of Lambda's context."""

    aws_request_id = "request-1"
    memory_limit_in_mb = "3008"

    def get_remaining_time_in_millis(self):
        return 900_000


@pytest.fixture
def bucket(monkeypatch):
    server = Bucket()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    server.objects["/registry/uploads/1/schema.json"] = schema("binary_classification", time="when")
    server.objects["/registry/blobs/sha256/ab/abcd"] = flights("binary_classification")
    yield server
    server.shutdown()
    server.server_close()


def test_an_invocation(bucket, capsys):
    got = handler.handler(PAYLOAD, Context())
    assert json.loads(json.dumps(got)) == got
    assert got["output_uri"] == PAYLOAD["output_uri"] and got["rows"] == {"train": 2400, "holdout": 600}
    written = {path.removeprefix("/registry/uploads/2/"): content for path, content in bucket.objects.items() if "/2/" in path}
    assert sorted(written) == sorted(got["files"])
    assert set(written) == {
        "model.onnx",
        "holdout.csv",
        "training.csv.gz",
        "predictions.csv",
        "metrics.json",
        "features.json",
        "training_schema.json",
        "run.json",
    }
    assert bucket.order[-1].endswith("/run.json")
    assert bucket.types["/registry/uploads/2/holdout.csv"] == "text/csv"
    assert got["metrics"]["roc_auc"] == json.loads(written["metrics.json"])["roc_auc"] > 0.8
    record = json.loads(written["run.json"])
    assert record["inputs"]["data"]["uri"] == PAYLOAD["data_uri"]
    assert record["hyperparameters"]["seed"] == 1

    class Trained:
        files = written

    assert len(answers(Trained)["label"]) == 600
    line = json.loads(capsys.readouterr().out)
    assert line["msg"] == "trained" and line["request_id"] == "request-1"


PAYLOADS = [
    (None, "payload: must be a JSON object"),
    ([], "payload: must be a JSON object"),
    ({}, "model: must be 1 to 63"),
    (PAYLOAD | {"model": "../x"}, "model:"),
    (PAYLOAD | {"task": "guess"}, "task:"),
    (PAYLOAD | {"data_uri": "/etc/passwd"}, "data_uri: must be s3://"),
    (PAYLOAD | {"schema_uri": "s3://registry"}, "schema_uri: must be s3://"),
    (PAYLOAD | {"output_uri": None}, "output_uri: must be s3://"),
    (PAYLOAD | {"hyperparameters": ["seed"]}, "hyperparameters: must be an object"),
    (PAYLOAD | {"hyperparameters": {"seed": "x"}}, "hyperparameters.seed"),
    (PAYLOAD | {"task": "regression"}, "differs from task"),
]


@pytest.mark.parametrize(("payload", "says"), PAYLOADS, ids=range(len(PAYLOADS)))
def test_bad_payloads(bucket, payload, says):
    with pytest.raises(fault.InvalidArgument) as caught:
        handler.handler(payload, Context())
    # Lambda reports the name of the class, which is what a state machine matches.
    assert type(caught.value).__name__ == "InvalidArgument" and says in str(caught.value)
    assert not bucket.order


ANSWERS = [
    (404, "NoSuchKey", fault.NotFound, "data_uri: no such object"),
    (404, "NoSuchBucket", fault.NotFound, "data_uri: no such bucket"),
    (403, "AccessDenied", fault.Internal, "data_uri: the role"),
    (503, "SlowDown", fault.Unavailable, "data_uri: S3 answered 503"),
    (400, "InvalidArgument", fault.Internal, "data_uri: S3 refused"),
]


@pytest.mark.parametrize(("status", "code", "kind", "says"), ANSWERS, ids=[answer[1] for answer in ANSWERS])
def test_what_s3_answers(bucket, status, code, kind, says):
    bucket.refuse["/registry/blobs/sha256/ab/abcd"] = (status, code)
    with pytest.raises(kind) as caught:
        handler.handler(PAYLOAD, Context())
    assert says in str(caught.value)
    # The schema once, the data once, or as often as boto3's standard mode asks again.
    assert bucket.asked == (5 if status == 503 else 2)


def test_a_refused_write(bucket):
    bucket.refuse["/registry/uploads/2/run.json"] = (403, "AccessDenied")
    with pytest.raises(fault.Internal, match="output_uri: the role"):
        handler.handler(PAYLOAD, Context())


def test_an_object_that_is_cut_off(bucket):
    bucket.cut.add("/registry/blobs/sha256/ab/abcd")
    with pytest.raises(fault.Unavailable, match="data_uri: S3 stopped in the middle"):
        handler.handler(PAYLOAD, Context())
    assert not bucket.order


def test_no_server(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(fault.Unavailable, match="schema_uri: S3 cannot be reached"):
        handler.handler(PAYLOAD, Context())


def test_a_file_that_does_not_fit_the_memory(bucket):
    context = Context()
    context.memory_limit_in_mb = str((service.BASE_MEMORY >> 20) + 1)
    with pytest.raises(fault.PayloadTooLarge, match="data: has more than 13107 values"):
        handler.handler(PAYLOAD, context)


def test_a_schema_that_is_no_schema_at_all(bucket):
    bucket.objects["/registry/uploads/1/schema.json"] = b" " * (service.MAX_SCHEMA_BYTES + 1)
    with pytest.raises(fault.PayloadTooLarge, match="schema_uri: the object has more"):
        handler.handler(PAYLOAD, Context())


def test_a_bug_is_internal_and_repeats_nothing(bucket, monkeypatch, capsys):
    def explode(*_):
        raise ValueError("s3cret")

    monkeypatch.setattr(run, "train", explode)
    with pytest.raises(fault.Internal) as caught:
        handler.handler(PAYLOAD, Context())
    line = capsys.readouterr().out
    assert "request-1" in str(caught.value) and "s3cret" not in str(caught.value) + line
    assert json.loads(line)["error"] == "ValueError" and json.loads(line)["frames"]


def test_the_deadline_ends_a_run_with_its_name():
    with pytest.raises(fault.DeadlineExceeded, match="max_iter"), within(0):
        threading.Event().wait()


def test_describe_says_what_would_train(bucket):
    answer = handler.handler({"describe": True}, Context())
    assert answer == {"code": code.digest(), "versions": code.versions()}
    assert bucket.asked == 0


@pytest.mark.parametrize("payload", [{"describe": False}, {"describe": True, "model": "flights"}, PAYLOAD | {"describe": True}])
def test_describe_is_alone(bucket, payload):
    with pytest.raises(fault.InvalidArgument, match="describe: must be true"):
        handler.handler(payload, Context())


@pytest.mark.parametrize("model", ["f", "my_flights-2", "0_", "a" * 63])
def test_models_are_named_as_the_registry_names_them(bucket, model):
    assert handler.handler(PAYLOAD | {"model": model}, Context())["rows"]["holdout"] > 0

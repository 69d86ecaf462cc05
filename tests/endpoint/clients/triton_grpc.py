"""Calls the server with Triton's own gRPC client: what any client of inference.GRPCInferenceService may rely on.

    triton_grpc.py HOST:PORT AFFINE MIXED

AFFINE and MIXED are models with version 1 as champion, of affine.onnx and mixed.onnx (shared/inference/onnx/testdata/models.py says what they compute).
Exits with an AssertionError at the first difference.
"""

import queue
import sys

import numpy as np
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException


def tensor(name: str, values: np.ndarray) -> grpc.InferInput:
    made = grpc.InferInput(name, values.shape, {"f": "FP32", "O": "BYTES"}[values.dtype.kind])
    made.set_data_from_numpy(values)
    return made


def near(got: np.ndarray, want: np.ndarray) -> None:
    assert got.shape == want.shape and got.dtype == want.dtype, (got.shape, got.dtype)
    assert np.allclose(got, want, rtol=1e-6, atol=1e-6), (got, want)


def server(client: grpc.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    about = client.get_server_metadata()
    assert about.name and about.version and "binary_tensor_data" in about.extensions, about


def model(client: grpc.InferenceServerClient, affine: str) -> None:
    assert client.is_model_ready(affine)
    assert client.is_model_ready(affine, "1")
    for version in ("", "1"):
        about = client.get_model_metadata(affine, version)
        assert about.name == affine and about.versions == ["1"] and about.platform == "onnx_onnxv1", about
        assert [(t.name, t.datatype, list(t.shape)) for t in about.inputs] == [("x", "FP32", [-1, 3])], about
        assert [(t.name, t.datatype, list(t.shape)) for t in about.outputs] == [("y", "FP32", [-1, 2])], about


def numbers(client: grpc.InferenceServerClient, affine: str) -> None:
    x = np.arange(3000, dtype=np.float32).reshape(1000, 3) / 7
    want = x @ np.array([[1, 2], [3, 4], [5, 6]], np.float32) + np.array([0.5, -0.5], np.float32)
    for rows in (1, 64, 65, 1000):  # a row, a full batch, more than one
        for outputs in (None, [grpc.InferRequestedOutput("y")]):
            answer = client.infer(affine, [tensor("x", x[:rows])], model_version="1", request_id="batch-17", outputs=outputs)
            near(answer.as_numpy("y"), want[:rows])
            about = answer.get_response()
            assert about.id == "batch-17" and about.model_name == affine and about.model_version == "1", about
    near(client.infer(affine, [tensor("x", x)], compression_algorithm="gzip").as_numpy("y"), want)
    # Many at a time: each callback gets the rows of its own request.
    answers: queue.Queue = queue.Queue()
    for i in range(1000):
        client.async_infer(affine, [tensor("x", x[i : i + 1])], lambda result, error, i=i: answers.put((i, result, error)))
    for _ in range(1000):
        i, result, error = answers.get(timeout=30)
        assert error is None, error
        near(result.as_numpy("y"), want[i : i + 1])


def columns(client: grpc.InferenceServerClient, mixed: str) -> None:
    rows = 3
    sent = {f"n{i}": np.array([[i], [i + 1], [-i]], np.float32) for i in range(7)}
    sent |= {f"t{i}": np.array([["a"], ["b"], ["wörd"]], object) for i in range(4)}
    answer = client.infer(mixed, [tensor(name, values) for name, values in sent.items()])
    assert answer.as_numpy("label").shape == (rows,) and answer.as_numpy("label").dtype == np.int64
    assert answer.as_numpy("probabilities").shape == (rows, 2)
    assert np.array_equal(answer.as_numpy("label"), answer.as_numpy("probabilities").argmax(axis=1))


def refusals(client: grpc.InferenceServerClient, affine: str) -> None:
    x = np.zeros((1, 3), np.float32)
    for code, says, call in (
        ("NOT_FOUND", "no model", lambda: client.infer("no-such-model", [tensor("x", x)])),
        ("NOT_FOUND", "version", lambda: client.infer(affine, [tensor("x", x)], model_version="99")),
        ("INVALID_ARGUMENT", "not an input", lambda: client.infer(affine, [tensor("y", x)])),
        ("INVALID_ARGUMENT", "shape", lambda: client.infer(affine, [tensor("x", np.zeros((1, 4), np.float32))])),
        ("NOT_FOUND", "no model", lambda: client.get_model_metadata("no-such-model")),
        ("UNIMPLEMENTED", "", lambda: client.load_model(affine)),
    ):
        try:
            call()
        except InferenceServerException as refused:
            assert says in str(refused), refused
            assert code in str(refused.status()), refused.status()
        else:
            raise AssertionError(f"{says}: answered")


def main(url: str, affine: str, mixed: str) -> None:
    client = grpc.InferenceServerClient(url)
    server(client)
    model(client, affine)
    numbers(client, affine)
    columns(client, mixed)
    refusals(client, affine)
    client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

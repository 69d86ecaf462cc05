"""Calls the API with Triton's own HTTP client: what any Open Inference Protocol client may rely on.

    triton.py HOST[:PORT][/BASE] AFFINE MIXED

AFFINE and MIXED are models with version 1 as champion, of affine.onnx and mixed.onnx (shared/inference/onnx/testdata/models.py says what they compute).
Exits with an AssertionError at the first difference.
"""

import sys

import numpy as np
import tritonclient.http as http
from tritonclient.utils import InferenceServerException


def tensor(name: str, values: np.ndarray, binary: bool) -> http.InferInput:
    datatype = {"f": "FP32", "O": "BYTES"}[values.dtype.kind]
    made = http.InferInput(name, values.shape, datatype)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def near(got: np.ndarray, want: np.ndarray) -> None:
    assert got.shape == want.shape and got.dtype == want.dtype, (got.shape, got.dtype)
    assert np.allclose(got, want, rtol=1e-6, atol=1e-6), (got, want)


def server(client: http.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    about = client.get_server_metadata()
    assert about["name"] and about["version"] and "binary_tensor_data" in about["extensions"], about


def model(client: http.InferenceServerClient, affine: str) -> None:
    assert client.is_model_ready(affine)
    assert client.is_model_ready(affine, "1")
    assert not client.is_model_ready("no-such-model")
    for version in ("", "1"):
        about = client.get_model_metadata(affine, version)
        assert about["name"] == affine and about["versions"] == ["1"] and about["platform"] == "onnx_onnxv1", about
        assert about["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}], about
        assert about["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}], about


def numbers(client: http.InferenceServerClient, affine: str) -> None:
    x = np.arange(3000, dtype=np.float32).reshape(1000, 3) / 7
    want = x @ np.array([[1, 2], [3, 4], [5, 6]], np.float32) + np.array([0.5, -0.5], np.float32)
    for sent in (True, False):
        for asked in (True, False):
            for version in ("", "1"):
                answer = client.infer(affine, [tensor("x", x, sent)], model_version=version, request_id="batch-17",
                                      outputs=[http.InferRequestedOutput("y", binary_data=asked)])
                near(answer.as_numpy("y"), want)
                about = answer.get_response()
                assert about["id"] == "batch-17" and about["model_name"] == affine and about["model_version"] == "1", about
    # Without a list of outputs the client asks for all of them, in binary.
    near(client.infer(affine, [tensor("x", x[:1], True)]).as_numpy("y"), want[:1])
    for method in ("gzip", "deflate"):
        near(client.infer(affine, [tensor("x", x, False)], request_compression_algorithm=method).as_numpy("y"), want)


def columns(client: http.InferenceServerClient, mixed: str) -> None:
    rows = 3
    sent = {f"n{i}": np.array([[i], [i + 1], [-i]], np.float32) for i in range(7)}
    sent |= {f"t{i}": np.array([["a"], ["b"], ["wörd"]], object) for i in range(4)}
    answers = [client.infer(mixed, [tensor(name, values, binary) for name, values in sent.items()]) for binary in (True, False)]
    for answer in answers:
        assert answer.as_numpy("label").shape == (rows,) and answer.as_numpy("label").dtype == np.int64
        assert answer.as_numpy("probabilities").shape == (rows, 2)
        assert np.allclose(answer.as_numpy("probabilities").sum(axis=1), 1, atol=1e-6)
        assert np.array_equal(answer.as_numpy("label"), answer.as_numpy("probabilities").argmax(axis=1))
    near(answers[1].as_numpy("probabilities"), answers[0].as_numpy("probabilities"))


def refusals(client: http.InferenceServerClient, affine: str) -> None:
    x = np.zeros((1, 3), np.float32)
    for status, says, call in (
        ("404", "no model", lambda: client.infer("no-such-model", [tensor("x", x, True)])),
        ("404", "version", lambda: client.infer(affine, [tensor("x", x, True)], model_version="99")),
        ("400", "not an input", lambda: client.infer(affine, [tensor("y", x, True)])),
        ("400", "shape", lambda: client.infer(affine, [tensor("x", np.zeros((1, 4), np.float32), False)])),
    ):
        try:
            call()
        except InferenceServerException as refused:
            assert says in str(refused), refused
            assert status in str(refused.status()), refused.status()
        else:
            raise AssertionError(f"{says}: answered")


def main(url: str, affine: str, mixed: str) -> None:
    client = http.InferenceServerClient(url, network_timeout=30.0)
    server(client)
    model(client, affine)
    numbers(client, affine)
    columns(client, mixed)
    refusals(client, affine)
    client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

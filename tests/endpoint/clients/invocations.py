"""Sends /invocations what SageMaker's and MLflow's clients send, with nothing of ours.

    invocations.py URL AFFINE MIXED

The bodies are those that mlflow.pyfunc.scoring_server documents and that sagemaker.predictor's serializers (JSON, CSV, identity with Triton's binary
media type) make. Exits with an AssertionError at the first difference.
"""

import csv
import io
import json
import sys
import urllib.error
import urllib.request

import numpy as np
import tritonclient.http as triton

ROWS = [dict([(f"n{i}", float(i + k)) for i in range(7)] + [(f"t{i}", text) for i in range(4)]) for k, text in ((0, "a"), (3, 'quoted "b", really'))]


def call(url: str, model: str, content_type: str, body: bytes | str, **headers: str) -> tuple[int, dict]:
    request = urllib.request.Request(url + "/invocations", body if isinstance(body, bytes) else body.encode(), method="POST")
    request.add_header("Content-Type", content_type)
    request.add_header("X-Amzn-SageMaker-Custom-Attributes", f"model={model};deadline_ms=20000")
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def mlflow(url: str, mixed: str) -> None:
    names = list(ROWS[0])
    table = io.StringIO()
    written = csv.DictWriter(table, names)
    written.writeheader()
    written.writerows(ROWS)
    bare = "".join(table.getvalue().splitlines(keepends=True)[1:])
    forms = {
        "dataframe_split": ("application/json", json.dumps({"dataframe_split": {"index": [0, 1], "columns": names, "data": [[r[n] for n in names] for r in ROWS]}})),
        "reordered": ("application/json", json.dumps({"dataframe_split": {"columns": names[::-1], "data": [[r[n] for n in names[::-1]] for r in ROWS]}})),
        "dataframe_records": ("application/json; charset=utf-8", json.dumps({"dataframe_records": ROWS})),
        "instances": ("application/json", json.dumps({"instances": ROWS, "params": {"temperature": 1}})),
        "inputs": ("application/json", json.dumps({"inputs": {n: [r[n] for r in ROWS] for n in names}})),
        "csv": ("text/csv", table.getvalue()),
        "csv without a header": ("text/csv; header=absent", bare),
    }
    answers = {}
    for name, (content_type, body) in forms.items():
        status, answer = call(url, mixed, content_type, body)
        assert status == 200 and list(answer) == ["predictions"], (name, status, answer)
        answers[name] = answer["predictions"]
    columnar = answers.pop("inputs")
    assert set(columnar) == {"label", "probabilities"}, columnar
    rows = answers["instances"]
    assert [r["label"] for r in rows] == columnar["label"], (rows, columnar)
    for name, predictions in answers.items():
        assert predictions == rows, (name, predictions, rows)


def tensors(url: str, affine: str) -> None:
    x = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    want = [22.5, 27.5, 49.5, 63.5]
    for rows in (x.tolist(), x[:1].tolist()):
        status, answer = call(url, affine, "application/json", json.dumps({"instances": rows}))
        assert status == 200 and sum(answer["predictions"], []) == want[: 2 * len(rows)], answer
    made = triton.InferInput("x", x.shape, "FP32")
    for binary in (True, False):
        made.set_data_from_numpy(x, binary_data=binary)
        body, length = triton.InferenceServerClient.generate_request_body([made], outputs=[triton.InferRequestedOutput("y", binary_data=False)])
        content_type = f"application/vnd.sagemaker-triton.binary+json;json-header-size={length}" if length else "application/json"
        status, answer = call(url, affine, content_type, body)
        assert status == 200 and answer["outputs"][0]["data"] == want, answer


def refusals(url: str, affine: str, mixed: str) -> None:
    for status, says, model, content_type, body in (
        (415, "Content-Type", affine, "application/x-npy", b"\x93NUMPY"),
        (400, "dataframe_split", affine, "application/json", "{}"),
        (400, "columns", mixed, "application/json", json.dumps({"dataframe_split": {"columns": ["z"], "data": [[1]]}})),
        (400, "not valid JSON", affine, "application/json", "{"),
        (404, "no model", "no-such-model", "application/json", json.dumps({"instances": [[1, 2, 3]]})),
        (400, "instances[0]", affine, "application/json", json.dumps({"instances": [["a", 2, 3]]})),
    ):
        got, answer = call(url, model, content_type, body)
        assert got == status and says in json.dumps(answer), (status, says, got, answer)


def main(url: str, affine: str, mixed: str) -> None:
    mlflow(url, mixed)
    tensors(url, affine)
    refusals(url, affine, mixed)


if __name__ == "__main__":
    main(*sys.argv[1:])

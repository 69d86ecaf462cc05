"""Calls the API in TensorFlow Serving's REST form with nothing but Python's standard library.

    rows.py URL AFFINE MIXED

See triton.py for the models. Exits with an AssertionError at the first difference.
"""

import json
import sys
import urllib.error
import urllib.request

X = [[1, 2, 3], [4, 5, 6]]
Y = [[22.5, 27.5], [49.5, 63.5]]


def call(url: str, body: object = None) -> tuple[int, dict]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} if data else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def same(got: object, want: object) -> None:
    """Compares JSON values, numbers to 1e-5."""
    if isinstance(want, float):
        assert isinstance(got, (int, float)) and abs(got - want) < 1e-5, (got, want)
    elif isinstance(want, list):
        assert isinstance(got, list) and len(got) == len(want), (got, want)
        for g, w in zip(got, want):
            same(g, w)
    else:
        assert got == want, (got, want)


def one_input(model: str) -> None:
    for path in (f"{model}:predict", f"{model}/versions/1:predict", f"{model}/labels/champion:predict"):
        status, answer = call(path, {"signature_name": "serving_default", "instances": X})
        assert status == 200 and set(answer) == {"predictions"}, (status, answer)
        same(answer["predictions"], Y)
    status, answer = call(f"{model}:predict", {"instances": [{"x": row} for row in X]})
    assert status == 200, answer
    same(answer["predictions"], Y)
    for body in ({"inputs": X}, {"inputs": {"x": X}}):
        status, answer = call(f"{model}:predict", body)
        assert status == 200 and set(answer) == {"outputs"}, (status, answer)
        same(answer["outputs"], Y)


def many_columns(model: str) -> None:
    names = [f"n{i}" for i in range(7)] + [f"t{i}" for i in range(4)]
    rows = [[*range(7), "a", "b", "a", "new"], [*range(0, -7, -1), "b", "b", "b", "b"]]
    status, arrays = call(f"{model}:predict", {"instances": rows})
    assert status == 200, arrays
    status, objects = call(f"{model}:predict", {"instances": [dict(zip(names, row)) for row in rows]})
    assert status == 200 and objects == arrays, objects
    assert len(arrays["predictions"]) == len(rows)
    for answer in arrays["predictions"]:
        assert set(answer) == {"label", "probabilities"}, answer
        assert abs(sum(answer["probabilities"]) - 1) < 1e-5 and answer["label"] == answer["probabilities"].index(max(answer["probabilities"])), answer
    status, columns = call(f"{model}:predict", {"inputs": {name: [row[i] for row in rows] for i, name in enumerate(names)}})
    assert status == 200, columns
    same(columns["outputs"]["probabilities"], [answer["probabilities"] for answer in arrays["predictions"]])
    same(columns["outputs"]["label"], [answer["label"] for answer in arrays["predictions"]])


def about(model: str, name: str) -> None:
    for path in (model, f"{model}/versions/1", f"{model}/labels/champion"):
        status, answer = call(path)
        assert status == 200, answer
        [version] = answer["model_version_status"]
        assert version["version"] == "1" and version["state"] == "AVAILABLE", answer
        assert version["status"]["error_code"] == "OK", answer
    status, answer = call(f"{model}/metadata")
    assert status == 200 and answer["model_spec"]["name"] == name and answer["model_spec"]["version"] == "1", answer
    signature = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT", signature
    assert [d["size"] for d in signature["inputs"]["x"]["tensor_shape"]["dim"]] == ["-1", "3"], signature
    assert set(signature["outputs"]) == {"y"}, signature


def refusals(model: str, absent: str) -> None:
    for path, body, want in ((f"{absent}:predict", {"instances": X}, 404), (f"{model}/versions/99:predict", {"instances": X}, 404),
                             (f"{model}:predict", {"instances": []}, 400), (f"{model}:predict", {"instances": [[1, 2]]}, 400),
                             (f"{model}:predict", {}, 400), (absent, None, 404)):
        status, answer = call(path, body)
        assert status == want and answer["error"], (path, status, answer)


def main(url: str, affine: str, mixed: str) -> None:
    models = f"{url}/v1/models/"
    one_input(models + affine)
    many_columns(models + mixed)
    about(models + affine, affine)
    refusals(models + affine, models + "no-such-model")


if __name__ == "__main__":
    main(*sys.argv[1:])

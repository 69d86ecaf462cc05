"""The peer: a plain Python Lambda handler for the same requests, as one would write it by hand.

json, numpy, onnxruntime; the model lies in the function's own bundle and is loaded at import. It has no
versions, no contract check, no capture and no metrics. It runs behind awslambdaric, the runtime client of
AWS's Python runtime:  python -m awslambdaric handler.handler
"""

import base64
import json
import os

import numpy as np
import onnxruntime as ort

DTYPES = {"FP32": np.float32, "INT64": np.int64, "BYTES": object}
NAMES = {np.dtype(np.float32): "FP32", np.dtype(np.int64): "INT64", np.dtype(object): "BYTES"}

session = ort.InferenceSession(os.environ["MODEL_PATH"])
outputs = [o.name for o in session.get_outputs()]


def handler(event, context):
    body = event["body"]
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body)
    request = json.loads(body)
    feed = {t["name"]: np.array(t["data"], dtype=DTYPES[t["datatype"]]).reshape(t["shape"]) for t in request["inputs"]}
    answers = session.run(outputs, feed)
    answer = {
        "model_name": "model",
        "outputs": [
            {"name": name, "datatype": NAMES[a.dtype], "shape": list(a.shape), "data": a.ravel().tolist()}
            for name, a in zip(outputs, answers)
        ],
    }
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(answer)}

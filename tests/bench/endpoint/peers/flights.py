"""What the Python peers have in common: the same ONNX model, and the tensors of the Open Inference Protocol's JSON.

MODEL_PATH names the model. ONNX Runtime gets its defaults, as it would in a service written by hand; none of the
peers checks a contract, captures, or has versions.
"""

import os

import numpy as np
import onnxruntime as ort

DTYPES = {"FP32": np.float32, "BYTES": object}
NAMES = {np.dtype(np.float32): "FP32", np.dtype(np.int64): "INT64"}

session = None


def load():
    global session
    session = ort.InferenceSession(os.environ["MODEL_PATH"])


def infer(inputs):
    """Takes and returns tensors as the protocol's JSON has them: name, datatype, shape, data."""
    names = [o.name for o in session.get_outputs()]
    feed = {t["name"]: np.array(t["data"], dtype=DTYPES[t["datatype"]]).reshape(t["shape"]) for t in inputs}
    return [{"name": name, "datatype": NAMES[a.dtype], "shape": list(a.shape), "data": a.ravel().tolist()} for name, a in zip(names, session.run(names, feed))]

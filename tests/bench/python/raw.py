"""Bare session.run in Python, for subtracting it from the handler's time.

    python raw.py MODEL.onnx ROWS.json

It reads lines "<runs>" and answers each with one line: the durations of that many runs, in
nanoseconds, as a JSON array. The session has the handler's options: onnxruntime's defaults.
"""

import json
import sys
import time

import numpy as np
import onnxruntime as ort


def main():
    model, rows = sys.argv[1:3]
    session = ort.InferenceSession(model)
    with open(rows) as f:
        columns = json.load(f)
    feed = {}
    for i in session.get_inputs():
        dtype = object if i.type == "tensor(string)" else np.float32
        feed[i.name] = np.array(columns[i.name], dtype=dtype).reshape(-1, i.shape[1])
    outputs = [o.name for o in session.get_outputs()]
    for line in sys.stdin:
        taken = []
        for _ in range(int(line)):
            start = time.perf_counter_ns()
            session.run(outputs, feed)
            taken.append(time.perf_counter_ns() - start)
        print(json.dumps(taken), flush=True)


if __name__ == "__main__":
    main()

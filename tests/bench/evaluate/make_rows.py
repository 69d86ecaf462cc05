"""Writes predictions and their labels as Parquet: make_rows.py FOLDER ROWS.

Two shapes: whole-number ids, and inference ids (UUIDv7 as text). Labels lie in
another order than predictions, as they do when they arrive. pandas' defaults: row
groups of 1,048,576 rows, snappy.
"""

import pathlib
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SEED = 20130101


def uuids(rng, rows):
    """UUIDv7 of one day, as text: 48 bits of milliseconds, then random ones."""
    raw = np.frombuffer(rng.bytes(rows * 16), dtype=np.uint8).reshape(rows, 16).copy()
    ms = np.uint64(1_775_433_600_000) + np.sort(rng.integers(0, 86_400_000, rows)).astype(np.uint64)
    for i in range(6):
        raw[:, i] = (ms >> np.uint64(8 * (5 - i))) & np.uint64(255)
    raw[:, 6] = raw[:, 6] & 0x0F | 0x70
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    text = np.empty((rows, 36), dtype=np.uint8)
    at = 0
    for i in range(16):
        if i in (4, 6, 8, 10):
            text[:, at] = ord("-")
            at += 1
        text[:, at], text[:, at + 1] = digits[raw[:, i] >> 4], digits[raw[:, i] & 15]
        at += 2
    return pa.StringArray.from_buffers(rows, pa.py_buffer(np.arange(0, 36 * rows + 1, 36, dtype=np.int32)), pa.py_buffer(text.tobytes()))


def main():
    folder, rows = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    logit = rng.normal(-1.6, 1.4, rows)
    score = 1 / (1 + np.exp(-logit))
    label = (rng.random(rows) < score).astype(np.int64)
    order = rng.permutation(rows)
    for shape, ids in (("ids", pa.array(rng.permutation(rows).astype(np.int64))), ("uuids", uuids(rng, rows))):
        predictions = pa.table({"id": ids, "score": score, "prediction": (score >= 0.5).astype(np.int64)})
        labels = pa.table({"id": ids.take(pa.array(order)), "label": label[order]})
        for name, table in (("predictions", predictions), ("labels", labels)):
            pq.write_table(table, folder / f"{name}-{shape}.parquet", row_group_size=1 << 20)


main()

"""Writes random halves of the flights, for make bench-peers.

    make_halves.py FLIGHTS_PARQUET FOLDER SEEDS

all-reference.parquet, all-current.parquet                    both halves
10000-SEED-reference.parquet, 10000-SEED-current.parquet      10,000 rows each of the halves of that seed
200-SEED-reference.parquet, 200-SEED-current.parquet          200 rows each

There is no drift between them: rows are dealt at random.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq


def main(source, folder, seeds):
    Path(folder).mkdir(parents=True, exist_ok=True)
    table = pq.read_table(source)
    for seed in range(int(seeds)):
        order = np.random.default_rng([2013, seed]).permutation(table.num_rows)
        half = table.num_rows // 2
        for size in (half, 10_000, 200):
            if size == half and seed > 0:
                continue
            stem = "all" if size == half else f"{size}-{seed}"
            for side, start in ("reference", 0), ("current", half):
                rows = table.take(order[start : start + size])
                pq.write_table(rows, Path(folder) / f"{stem}-{side}.parquet", row_group_size=max(1, -(-size // 4)))


if __name__ == "__main__":
    main(*sys.argv[1:])

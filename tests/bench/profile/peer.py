"""DuckDB and Polars beside profile: the least, the largest and the mean value and the
approximate number of distinct values of every column of a Parquet file.

    peer.py duckdb|polars FILE THREADS

Each line on standard input is a run; the answer is a line of JSON with its seconds and
what it found. Text columns have no mean. One line is written when it is ready.
"""

import json
import os
import sys
import time

NUMBERS = ["month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_delay", "sched_arr_time", "air_time", "distance", "flight"]
TEXTS = ["carrier", "tailnum", "origin", "dest"]


def duckdb_run(path, threads):
    import duckdb

    connection = duckdb.connect(config={"threads": threads})
    parts = []
    for name in NUMBERS + TEXTS:
        parts += [f"min({name})", f"max({name})", f"approx_count_distinct({name})"]
        parts += [f"avg({name})"] if name in NUMBERS else []
    query = f"select {', '.join(parts)} from read_parquet('{path}')"

    def run():
        row = list(connection.execute(query).fetchone())
        out = {}
        for name in NUMBERS + TEXTS:
            out[name] = {"min": row.pop(0), "max": row.pop(0), "distinct": row.pop(0)}
            if name in NUMBERS:
                out[name]["mean"] = row.pop(0)
        return out

    return run


def polars_run(path, threads):
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    import polars as pl

    parts = []
    for name in NUMBERS + TEXTS:
        c = pl.col(name)
        parts += [c.min().alias(name + ":min"), c.max().alias(name + ":max"), c.approx_n_unique().alias(name + ":distinct")]
        parts += [c.mean().alias(name + ":mean")] if name in NUMBERS else []
    query = pl.scan_parquet(path).select(parts)

    def run():
        row = query.collect(engine="streaming").row(0, named=True)
        out = {}
        for key, value in row.items():
            name, figure = key.split(":")
            out.setdefault(name, {})[figure] = value
        return out

    return run


def main(peer, path, threads):
    run = {"duckdb": duckdb_run, "polars": polars_run}[peer](path, int(threads))
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        columns = run()
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "columns": columns}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

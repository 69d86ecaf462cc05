"""Writes the flights as Parquet, for make bench and make bench-peers.

    make_flights.py FLIGHTS_CSV FOLDER

flights.parquet     the fourteen columns as pandas and pyarrow write them: whole numbers as
                    int64, columns with missing values as double, text as strings; dictionaries,
                    snappy, four row groups.
distinct.parquet    the same rows, each numeric value moved by less than half a unit so that all
                    are distinct and no dictionary helps; categories and missing values as they
                    are. pyarrow's own choice of encoding and row groups.
distinct10.parquet  ten times the rows in that way, one copy after the other.

All come from a fixed seed.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

NUMBERS = ["month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_delay", "sched_arr_time", "air_time", "distance", "flight"]
TEXTS = ["carrier", "tailnum", "origin", "dest"]


def read(path):
    options = pa.csv.ConvertOptions(include_columns=NUMBERS + TEXTS, null_values=["NA", ""], strings_can_be_null=True,
                                    column_types={name: pa.string() for name in TEXTS})
    table = pa.csv.read_csv(path, convert_options=options)
    for i, name in enumerate(NUMBERS):
        if table[name].null_count:
            table = table.set_column(i, name, table[name].cast(pa.float64()))
    return table.combine_chunks()


def times(table, n):
    rng = np.random.default_rng(2013)
    rows = n * table.num_rows
    columns = {}
    for name in NUMBERS:
        values = np.tile(table[name].cast(pa.float64()).to_numpy(zero_copy_only=False), n)
        # Whole numbers less than half a unit away from themselves, by steps that are never the same.
        moved = values + (rng.permutation(rows) / rows - 0.5) * 0.98
        columns[name] = pa.array(moved, from_pandas=True)
    for name in TEXTS:
        columns[name] = pa.chunked_array(table[name].chunks * n)
    return pa.table(columns)


def check(table):
    for name in NUMBERS:
        present = table.num_rows - table[name].null_count
        if pc.count_distinct(table[name]).as_py() != present:
            sys.exit(f"{name} has equal values")


def main(csv, folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    table = read(csv)
    pq.write_table(table, Path(folder) / "flights.parquet", row_group_size=-(-table.num_rows // 4))
    for name, n in ("distinct", 1), ("distinct10", 10):
        large = times(table, n)
        check(large)
        pq.write_table(large, Path(folder) / f"{name}.parquet")


if __name__ == "__main__":
    main(*sys.argv[1:])

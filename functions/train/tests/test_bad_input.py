"""Every input that cannot be trained on is a fault of the right kind that names what to change, and repeats no value."""

import gzip
import io
import json
import random

import numpy as np
import pytest
from examples import COLUMNS, answers, flights, read, run, schema, table

from training import data, fault
from training import schema as schemas

BINARY = "binary_classification"
ONE = [{"name": "x", "type": "number"}]
TWO = [*ONE, {"name": "c", "type": "category"}]
ROWS = [[i, "ab"[i % 2], i % 2] for i in range(40)]

SCHEMAS = [
    (b"", "not a JSON document"),
    (b"{", "not a JSON document"),
    (b"\xff\xfe", "not a JSON document"),
    (b"[" * 100_000, "not a JSON document"),
    (b"[]", "must be a JSON object"),
    (b'{"v":1,"v":1}', "twice in one object"),
    (schema(BINARY, columns=ONE, v=2), "schema.v"),
    (schema("clustering", columns=ONE), "schema.task"),
    (schema("regression", columns=ONE), "differs from task"),
    (schema(BINARY, columns=[]), "schema.columns"),
    (schema(BINARY, columns="x"), "schema.columns"),
    (schema(BINARY, columns=[{"name": "x"}]), "schema.columns[0]"),
    (schema(BINARY, columns=[{"name": "x", "type": "date"}]), "schema.columns[0].type"),
    (schema(BINARY, columns=[{"name": "", "type": "number"}]), "schema.columns[0].name"),
    (schema(BINARY, columns=[{"name": "a\n", "type": "number"}]), "printable"),
    (schema(BINARY, columns=[*ONE, *ONE]), "schema.columns[1].name: is there twice"),
    (schema(BINARY, columns=[{"name": "label", "type": "number"}]), "rename the column"),
    (schema(BINARY, columns=[{"name": "tidegate/1", "type": "number"}]), "rename the column"),
    (schema(BINARY, target="x", columns=ONE), "schema.target: is also one of columns"),
    (schema(BINARY, target=3, columns=ONE), "schema.target"),
    (schema(BINARY, columns=ONE, time="y"), "schema.time"),
    (schema(BINARY, columns=ONE, time=[]), "schema.time"),
    (schema(BINARY, columns=ONE, drop=["x"]), "schema.drop"),
    (schema(BINARY, columns=ONE, drop="x"), "schema.drop"),
    (schema(BINARY, columns=ONE, rows=3), "unknown fields rows"),
]


@pytest.mark.parametrize(("document", "says"), SCHEMAS, ids=range(len(SCHEMAS)))
def test_schema(document, says):
    with pytest.raises(fault.InvalidArgument) as caught:
        schemas.parse(document, BINARY)
    assert says in str(caught.value)


def test_all_schema_faults_at_once():
    with pytest.raises(fault.InvalidArgument) as caught:
        schemas.parse(b'{"v":3,"task":"x","columns":[{"name":"a","type":"date"}]}')
    for path in ("schema.v", "schema.task", "schema.target", "schema.columns[0].type"):
        assert path in str(caught.value)


SECRET = "s3cret"
HEAD = ["x", "c", "y"]
FILES = [
    ("empty", b"", fault.InvalidArgument, "empty"),
    ("header only", table(HEAD, []), fault.FailedPrecondition, "no row is left"),
    ("missing columns", table(["x", "y"], [[1, 0]]), fault.InvalidArgument, "no column c"),
    ("missing target", table(["x", "c"], [[1, 0]]), fault.InvalidArgument, "no column y"),
    ("duplicate column", table(["x", "c", "x", "y"], [[1, 0, 1, 0]]), fault.InvalidArgument, "x more than once"),
    ("ragged", table(HEAD, ROWS) + b"1,a\n", fault.InvalidArgument, "line 42 has 2 fields"),
    ("open quote", table(HEAD, ROWS) + b'1,"a,0\n', fault.InvalidArgument, "not valid CSV"),
    ("not UTF-8", table(HEAD, ROWS) + b"1,\xff,0\n", fault.InvalidArgument, "UTF-8"),
    ("binary", bytes(range(256)) * 10, fault.InvalidArgument, "data:"),
    ("truncated gzip", gzip.compress(table(HEAD, ROWS * 50))[:-20], fault.InvalidArgument, "gzip"),
    ("damaged gzip", gzip.compress(table(HEAD, ROWS))[:12] + b"\xff" * 40, fault.InvalidArgument, "gzip"),
    ("text in a number column", table(HEAD, [*ROWS, [SECRET, "a", 1]] * 2), fault.InvalidArgument, "x (2)"),
    ("infinity", table(HEAD, [*ROWS, ["inf", "a", 1]]), fault.InvalidArgument, "x (1)"),
    ("beyond float32", table(HEAD, [*ROWS, ["1e300", "a", 1]]), fault.InvalidArgument, "x (1)"),
    ("underscore", table(HEAD, [*ROWS, ["1_000", "a", 1]]), fault.InvalidArgument, "x (1)"),
    ("no target anywhere", table(HEAD, [[1, "a", ""]] * 9), fault.FailedPrecondition, "9 read, 9 without target"),
    ("one class", table(HEAD, [[i, "a", 1] for i in range(40)]), fault.FailedPrecondition, "same class"),
    ("three classes", table(HEAD, [[i, "a", i % 3] for i in range(40)]), fault.InvalidArgument, "has 3 classes"),
    ("one row", table(HEAD, [[1, "a", 1]]), fault.FailedPrecondition, "same class"),
    ("two rows", table(HEAD, [[1, "a", 1], [2, "b", 0]]), fault.FailedPrecondition, "holdout"),
    ("a field of 2 MB", table(HEAD, [*ROWS, [1, "a" * (2 << 20), 1]]), fault.InvalidArgument, "not valid CSV"),
]


@pytest.mark.parametrize(("content", "kind", "says"), [file[1:] for file in FILES], ids=[file[0] for file in FILES])
def test_file(content, kind, says):
    with pytest.raises(kind) as caught:
        run(schema(BINARY, columns=TWO), content)
    assert says in str(caught.value)
    assert SECRET not in str(caught.value)


def test_regression_files():
    document = schema("regression", columns=ONE)
    with pytest.raises(fault.InvalidArgument, match="2 values are not finite"):
        run(document, table(["x", "y"], [[1, 1], [2, "much"], [3, "inf"]]))
    with pytest.raises(fault.FailedPrecondition, match="1 usable rows"):
        run(document, table(["x", "y"], [[1, 1]]))


def test_time_columns():
    document = schema(BINARY, columns=ONE, time="t")
    rows = [[i, i % 2, f"2013-01-{1 + i % 28:02d}"] for i in range(100)]
    trained = run(document, table(["x", "y", "t"], [*rows, [1, 1, ""]]))
    record = json.loads(trained.files["run.json"])
    assert record["rows"]["dropped"]["missing_time"] == 1
    assert record["time"] == {
        "train": {"first": "2013-01-01T00:00:00Z", "last": "2013-01-22T00:00:00Z"},
        "holdout": {"first": "2013-01-22T00:00:00Z", "last": "2013-01-28T00:00:00Z"},
    }
    header, held = read(trained.files["holdout.csv"])
    assert header == ["x", "t", "y"] and held[0][1] == "2013-01-23T00:00:00Z"
    with pytest.raises(fault.InvalidArgument, match="time column 't'"):
        run(document, table(["x", "y", "t"], [*rows, [1, 1, "yesterday"]]))
    with pytest.raises(fault.FailedPrecondition, match="one class only"):
        run(document, table(["x", "y", "t"], [[i, int(i > 80), i] for i in range(100)]))
    # Numbers are an order and no times; a time that is also an input is there once; the year 0 in UTC is none.
    trained = run(document, table(["x", "y", "t"], [[i, i % 2, i / 4] for i in range(100)]))
    assert json.loads(trained.files["run.json"])["time"]["holdout"] == {"first": 20.0, "last": 24.75}
    assert [row[1] for row in read(trained.files["holdout.csv"])[1][:2]] == ["20", "20.25"]
    trained = run(schema(BINARY, columns=ONE, time="x"), table(["x", "y"], [[i, i % 2] for i in range(100)]))
    assert read(trained.files["holdout.csv"])[0] == ["x", "y"]
    with pytest.raises(fault.InvalidArgument, match="time column 't'"):
        run(document, table(["x", "y", "t"], [*rows, [1, 1, "0001-01-01T00:00:00+14:00"]]))


def test_counts_of_what_was_dropped_and_changed():
    rows = [*ROWS, [1, "a", ""], ["n/a", "a", 1], ["oops", "b", 0], ["NaN", "b", 0]]
    trained = run(schema(BINARY, columns=TWO, drop=["z"]), table(HEAD, rows) + b"\n", coerce_numbers="true")
    record = json.loads(trained.files["run.json"])
    assert record["rows"]["read"] == 44 and record["rows"]["used"] == 43
    assert record["rows"]["train"] + record["rows"]["holdout"] == 43
    assert record["rows"]["dropped"] == {"missing_target": 1, "missing_time": 0}
    assert record["columns"]["coerced_values"] == {"x": 1}


@pytest.mark.parametrize("values", [[""], ["5"], ["x"], ["x", ""]], ids=["all missing", "constant", "category", "nearly"])
@pytest.mark.parametrize("kind", ["number", "category"])
def test_columns_without_information(values, kind):
    if kind == "number":
        values = [value.replace("x", "7") for value in values]
    rows = [[i, values[i // 20 % len(values)], i % 2] for i in range(80)]
    columns = [*ONE, {"name": "c", "type": kind}]
    trained = run(schema(BINARY, columns=columns), table(HEAD, rows))
    assert answers(trained)["probabilities"].shape == (trained.rows["holdout"], 2)
    warned = json.loads(trained.files["run.json"])["warnings"]
    assert [warning for warning in warned if "'c'" in warning] or len(values) > 1


def test_sparse_columns_with_early_stopping():
    """Columns whose few values may all fall among the rows that early stopping sets aside."""
    columns = [*ONE, {"name": "once", "type": "number"}, {"name": "id", "type": "category"}]
    rows = [[i, 1 if i == 7 else "", f"id{i}", i % 2] for i in range(400)]
    for seed in range(20):
        trained = run(schema(BINARY, columns=columns), table(["x", "once", "id", "y"], rows), early_stopping="true", seed=str(seed))
        want = [row[1:] for row in read(trained.files["predictions.csv"])[1]]
        assert abs(answers(trained)["probabilities"] - np.array(want, dtype=float)).max() <= 1e-5


def test_smallest_sets_that_train():
    """Too few rows for a single split: the model is a constant, and the graph says the same."""
    trained = run(schema("regression", columns=ONE), table(["x", "y"], [[1, 2.5], [2, 3.5]]), holdout_fraction="0.5")
    assert trained.rows == {"train": 1, "holdout": 1} and trained.metrics["r2"] is None
    assert answers(trained)["prediction"].shape == (1, 1)
    rows = [[1, 0], [2, 1], [3, 0], [4, 1]]
    trained = run(schema(BINARY, columns=ONE), table(["x", "y"], rows), holdout_fraction="0.5")
    assert trained.rows == {"train": 2, "holdout": 2}
    assert answers(trained)["probabilities"].tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_classes_that_only_the_holdout_has():
    rows = [[i, "abc"[i % 2] if i < 90 else "c", i] for i in range(100)]
    document = schema("multiclass_classification", columns=ONE, time="t")
    trained = run(document, table(["x", "y", "t"], rows))
    assert trained.metrics["n"] == 20 and trained.metrics["n_unseen_class"] == 10
    assert trained.metrics["accuracy"] <= 0.5
    classes = json.loads(trained.files["run.json"])["classes"]
    assert classes[2] == {"label": "c", "train": 0, "holdout": 10}


def test_early_stopping_on_too_few_rows():
    rows = [[i, int(i == 3)] for i in range(60)]
    with pytest.raises(fault.FailedPrecondition, match="hyperparameters.early_stopping"):
        run(schema(BINARY, columns=ONE), table(["x", "y"], rows), early_stopping="true")


@pytest.mark.parametrize("wrap", [gzip.compress, lambda content: b"\xef\xbb\xbf" + content, lambda c: c.replace(b"\n", b"\r\n")])
def test_other_writings_of_the_same_file(wrap):
    document, content = schema(BINARY), flights(BINARY, 400)
    assert run(document, wrap(content)).files["model.onnx"] == run(document, content).files["model.onnx"]


def test_random_damage_is_always_a_fault():
    """Fuzz of both parsers: whatever the bytes, either a table or a fault, never another exception."""
    rng = random.Random(11)
    plan = schemas.parse(schema(BINARY, time="when"))
    document, content = schema(BINARY, time="when", drop=["z"]), flights(BINARY, 30)
    seen = set()
    for _ in range(1500):
        for parse, original in ((schemas.parse, document), (lambda c: data.read_table(io.BytesIO(c), plan), content)):
            damaged = bytearray(original)
            for _ in range(rng.randint(1, 6)):
                place = rng.randrange(len(damaged))
                damaged[place : place + rng.randint(0, 4)] = rng.randbytes(rng.randint(0, 3)) or b'",\n'
            try:
                parse(bytes(damaged))
            except fault.Fault as err:
                seen.add(err.kind)
    assert seen == {"InvalidArgument"}


def test_holdout_reads_back_as_it_was_fed():
    """Quotes, commas, spaces and non-ASCII texts survive; numbers are the shortest texts of float32."""
    trained = run(schema("regression"), flights("regression"))
    header, rows = read(trained.files["holdout.csv"])
    assert header == [*(column["name"] for column in COLUMNS), "y"]
    assert {row[1] for row in rows} == {"UA", "AA", "B6", "zé", ' "q", ', ""}
    assert all(len(row[0]) <= 14 for row in rows) and any(row[0] == "" for row in rows)

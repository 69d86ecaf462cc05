"""Small parts: hyperparameters, splits, categories, metrics against scikit-learn, texts of floats."""

import gzip
import json
import math

import numpy as np
import pytest
from examples import TASKS, flights, read, run, schema
from sklearn import metrics

from training import evaluate, fault, hyperparameters, output, pipeline, split
from training.target import Target, decode

BAD = [
    ({"seed": "-1"}, "hyperparameters.seed must be a whole number"),
    ({"seed": "1.5"}, "hyperparameters.seed"),
    ({"seed": "1" * 5000}, "hyperparameters.seed"),
    ({"seed": []}, "hyperparameters.seed must be a string"),
    ({"max_iter": "0"}, "hyperparameters.max_iter"),
    ({"learning_rate": "nan"}, "hyperparameters.learning_rate"),
    ({"learning_rate": "fast"}, "hyperparameters.learning_rate"),
    ({"holdout_fraction": "0"}, "hyperparameters.holdout_fraction"),
    ({"holdout_fraction": "1"}, "hyperparameters.holdout_fraction"),
    ({"max_categories": "255"}, "hyperparameters.max_categories"),
    ({"early_stopping": "yes"}, "hyperparameters.early_stopping must be one of auto, true, false"),
    ({"coerce_numbers": "1"}, "hyperparameters.coerce_numbers"),
    ({"max_depth": "deep"}, "hyperparameters.max_depth"),
    ({"n_estimators": "5"}, "hyperparameters.n_estimators is unknown"),
]


@pytest.mark.parametrize(("given", "says"), BAD, ids=range(len(BAD)))
def test_bad_hyperparameters(given, says):
    with pytest.raises(fault.InvalidArgument) as caught:
        hyperparameters.parse(given)
    assert says in str(caught.value)


def test_all_bad_hyperparameters_at_once():
    with pytest.raises(fault.InvalidArgument, match="max_iter.*; .*seed"):
        hyperparameters.parse({"seed": "x", "max_iter": "x"})


def test_good_hyperparameters():
    parsed = hyperparameters.parse({"seed": 7, "learning_rate": " 0.05 ", "max_depth": "none", "coerce_numbers": True})
    assert (parsed.seed, parsed.learning_rate, parsed.max_depth, parsed.coerce_numbers) == (7, 0.05, None, True)
    assert hyperparameters.parse({"max_depth": "4"}).max_depth == 4


def test_hyperparameters_reach_the_trees():
    trained = run(schema("regression"), flights("regression"), max_iter="7", max_leaf_nodes="3", threads="2")
    record = json.loads(trained.files["run.json"])
    assert record["trees"] == 7 and record["hyperparameters"]["max_leaf_nodes"] == 3


@pytest.mark.parametrize("task", TASKS)
def test_training_rows_are_left_behind(task, monkeypatch):
    trained = run(schema(task, time="when"), flights(task))
    header, rows = read(gzip.decompress(trained.files["training.csv.gz"]))
    held_header, held = read(trained.files["holdout.csv"])
    assert header == held_header and len(rows) == trained.rows["train"] == 2400
    # Together they are the rows that were read, each once, in the same form; the header is not 1f 8b with a time in it.
    assert len({tuple(row) for row in rows} | {tuple(row) for row in held}) > 2900
    assert trained.files["training.csv.gz"][:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
    # The size of the pieces does not show.
    monkeypatch.setattr(output, "CHUNK_ROWS", 7)
    again = run(schema(task, time="when"), flights(task))
    assert gzip.decompress(again.files["training.csv.gz"]) == gzip.decompress(trained.files["training.csv.gz"])


@pytest.mark.parametrize("task", TASKS)
def test_record(task):
    trained = run(schema(task, time="when"), flights(task), seed="5")
    record = json.loads(trained.files["run.json"])
    assert record["seed"] == 5 and record["split"] == "time" and record["task"] == task
    assert set(record["versions"]) == {"python", "numpy", "scikit-learn", "scipy", "skl2onnx", "onnx", "protobuf"}
    assert set(record["outputs"]) == set(trained.files) - {"run.json"}
    assert record["inputs"]["data"]["size"] == len(flights(task))
    assert record["rows"]["read"] == record["rows"]["used"] == sum(trained.rows.values()) == 3000
    assert trained.rows["holdout"] == 600
    document = json.loads(trained.files["metrics.json"])
    assert document["n"] == 600 and all(document[name] == value for name, value in trained.metrics.items())


def test_time_holds_out_the_last_rows():
    target = Target(np.array([0, 1] * 50), np.array([0, 1]))
    how, train, holdout = split.split(target, np.arange(100.0)[::-1], 0.1, 0)
    assert how == "time" and holdout.tolist() == list(range(10)) and len(train) == 90


def test_stratified_shares():
    target = Target(np.array([0] * 90 + [1] * 9 + [2]), np.array([4, 5, 6]))
    how, train, holdout = split.split(target, None, 0.2, 0)
    assert how == "stratified"
    assert np.bincount(target.values[holdout]).tolist() == [18, 2]
    assert np.bincount(target.values[train]).tolist() == [72, 7, 1]
    assert sorted([*train, *holdout]) == list(range(100))


def test_classes_keep_their_type():
    def classes(*texts):
        return decode(np.array(texts, dtype=object), "multiclass_classification", "y").classes.tolist()

    assert classes("10", "9", "-1") == [-1, 9, 10]
    assert classes("1.0", "0.0") == [0, 1]
    assert classes("1.0", "1", "0") == [0, 1]
    assert classes("01", "1") == ["01", "1"]
    assert classes("1.5", "2") == ["1.5", "2"]
    assert classes("false", "true") == ["false", "true"]
    with pytest.raises(fault.InvalidArgument, match="is the task regression"):
        classes(*map(str, range(1001)))


def test_categories_are_ordered_by_mean_and_capped():
    values = np.array(["a"] * 50 + ["b"] * 30 + ["c"] * 20 + ["d"] * 3, dtype=object)
    means = np.array([0.9] * 50 + [0.1] * 30 + [0.5] * 20 + [1.0] * 3)
    assert pipeline.categories(values, means, hyperparameters.parse({})).tolist() == ["b", "c", "a"]
    assert pipeline.categories(values, means, hyperparameters.parse({"max_categories": "2"})).tolist() == ["b", "a"]
    assert pipeline.categories(values, means, hyperparameters.parse({"min_frequency": "99"})).tolist() == ["a"]


def test_binary_metrics_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    p = rng.random(500)
    truth = (rng.random(500) < p).astype(int)
    labels = (p > 0.5).astype(int)
    got = evaluate.classification(truth, labels, np.column_stack([1 - p, p]), np.array([0, 1]))
    want = {
        "roc_auc": metrics.roc_auc_score(truth, p),
        "average_precision": metrics.average_precision_score(truth, p),
        "brier_score": metrics.brier_score_loss(truth, p),
        "log_loss": metrics.log_loss(truth, p),
        "accuracy": metrics.accuracy_score(truth, labels),
        "f1": metrics.f1_score(truth, labels),
        "precision": metrics.precision_score(truth, labels),
        "recall": metrics.recall_score(truth, labels),
    }
    assert got["n"] == 500 and got["n_positive"] == truth.sum()
    for name, value in want.items():
        assert got[name] == pytest.approx(value, abs=1e-9), name


def test_multiclass_metrics_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], 400)
    names = np.array(["a", "b", "c"], dtype=object)
    truth, labels = names[rng.integers(0, 3, 400)], names[p.argmax(axis=1)]
    got = evaluate.classification(truth, labels, p, names)
    assert got["log_loss"] == pytest.approx(metrics.log_loss(truth, p, labels=names), abs=1e-5)
    assert got["roc_auc_ovr"] == pytest.approx(metrics.roc_auc_score(truth, p, multi_class="ovr", labels=names))
    assert got["f1_macro"] == pytest.approx(metrics.f1_score(truth, labels, average="macro"))


def test_regression_metrics_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth, got = rng.normal(size=200), rng.normal(size=200)
    scored = evaluate.regression(truth, got)
    assert scored["mae"] == pytest.approx(metrics.mean_absolute_error(truth, got))
    assert scored["rmse"] == pytest.approx(math.sqrt(metrics.mean_squared_error(truth, got)))
    assert scored["r2"] == pytest.approx(metrics.r2_score(truth, got))


def test_metrics_that_the_rows_do_not_define_are_none():
    p = np.array([[0.4, 0.6], [0.3, 0.7]])
    got = evaluate.classification(np.array([1, 1]), np.array([1, 1]), p, np.array([0, 1]))
    assert got["roc_auc"] is None and got["accuracy"] == 1
    assert evaluate.regression(np.array([1.0]), np.array([2.0]))["r2"] is None


def test_texts_of_floats_read_back_as_the_same_float32():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**32, 20000, dtype=np.uint32).view(np.float32)
    values = values[np.isfinite(values)]
    texts = output.floats(values)
    assert (np.array(texts, dtype=np.float64).astype(np.float32) == values).all()
    assert output.floats(np.array([np.nan, 0.1, 5, 1e-7], dtype=np.float32)) == ["", "0.1", "5.0", "1e-07"]


def test_documents_refuse_nan():
    with pytest.raises(ValueError, match="JSON compliant"):
        output.document({"n": math.nan})

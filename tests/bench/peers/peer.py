"""Profile and verdict with other libraries, each with its own defaults.

    peer.py NAME REFERENCE CURRENT [REFERENCE CURRENT]…

NAME is evidently, nannyml, whylogs, tfdv or deepchecks. For each pair of Parquet files a
line of JSON on standard output: seconds from reading the files to the verdict, imports left
out; rows of both files; the columns called drifted.
"""

import contextlib
import json
import os
import sys
import time
import warnings

TEXTS = ["carrier", "tailnum", "origin", "dest"]


def read(path):
    import pandas as pd

    return pd.read_parquet(path)


def evidently():
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    def verdict(reference, current):
        """The preset with its own tests: a method by column type and number of rows, and that method's threshold."""
        numbers = [c for c in reference.columns if c not in TEXTS]
        definition = DataDefinition(numerical_columns=numbers, categorical_columns=TEXTS)
        sets = [Dataset.from_pandas(frame, data_definition=definition) for frame in (current, reference)]
        result = Report([DataDriftPreset()], include_tests=True).run(*sets).dict()
        drifted = []
        for test in result["tests"]:
            column = test["metric_config"]["params"].get("column")
            if column and test["status"] == "FAIL":
                drifted.append(column)
        return drifted

    return verdict


def nannyml():
    import nannyml as nml

    def verdict(reference, current):
        """Univariate drift with default methods, thresholds and chunks: a column is drifted when any of its chunks alerts."""
        calculator = nml.UnivariateDriftCalculator(column_names=list(reference.columns), treat_as_categorical=TEXTS)
        result = calculator.fit(reference).calculate(current).filter(period="analysis").to_df()
        alerts = result.loc[:, [c for c in result.columns if c[-1] == "alert"]]
        return sorted({c[0] for c in alerts.columns if alerts[c].any()})

    return verdict


def whylogs():
    import whylogs as why
    from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

    def verdict(reference, current):
        """Drift scores of two profiles: anything but NO_DRIFT is drifted."""
        views = [why.log(pandas=frame).view() for frame in (current, reference)]
        scores = calculate_drift_scores(target_view=views[0], reference_view=views[1], with_thresholds=True)
        return [c for c, s in scores.items() if s and s.get("drift_category") not in (None, "NO_DRIFT")]

    return verdict


def tfdv():
    import tensorflow_data_validation as tf
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    kinds = anomalies_pb2.AnomalyInfo.Type

    def verdict(reference, current):
        """Statistics, schema and drift comparators. There are no default thresholds: 0.01 for the L-infinity norm of
        categories, as in its guide, and 0.1 for the Jensen-Shannon divergence of numbers."""
        before, now = tf.generate_statistics_from_dataframe(reference), tf.generate_statistics_from_dataframe(current)
        schema = tf.infer_schema(before)
        for column in reference.columns:
            comparator = tf.get_feature(schema, column).drift_comparator
            if column in TEXTS:
                comparator.infinity_norm.threshold = 0.01
            else:
                comparator.jensen_shannon_divergence.threshold = 0.1
        anomalies = tf.validate_statistics(now, schema, previous_statistics=before)
        return [name for name, info in anomalies.anomaly_info.items() if any("COMPARATOR" in kinds.Name(r.type) for r in info.reason)]

    return verdict


def deepchecks():
    from deepchecks.tabular import Dataset
    from deepchecks.tabular.checks import FeatureDrift

    def verdict(reference, current):
        """Feature drift with the thresholds of its suite, 0.2; it looks at no more than 100,000 rows of each side."""
        sets = [Dataset(frame, cat_features=TEXTS) for frame in (reference, current)]
        value = FeatureDrift().run(*sets).value
        return [c for c, v in value.items() if v["Drift score"] is not None and v["Drift score"] > 0.2]

    return verdict


def main(name, *paths):
    warnings.filterwarnings("ignore")
    with contextlib.redirect_stdout(sys.stderr):
        verdict = {"evidently": evidently, "nannyml": nannyml, "whylogs": whylogs, "tfdv": tfdv, "deepchecks": deepchecks}[name]()
        import pandas  # noqa: F401
    for reference, current in zip(paths[::2], paths[1::2]):
        with contextlib.redirect_stdout(sys.stderr):
            start = time.perf_counter()
            frames = read(reference), read(current)
            drifted = verdict(*frames)
            seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "rows": sum(map(len, frames)), "drifted": sorted(drifted)}), flush=True)
    sys.stdout.flush()
    os._exit(0)  # some leave threads behind


if __name__ == "__main__":
    main(*sys.argv[1:])

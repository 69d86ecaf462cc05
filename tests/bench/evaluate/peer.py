"""pandas merge and scikit-learn's metrics: peer.py PREDICTIONS LABELS.

Prints one line of JSON: seconds from the files to the metrics, by its own clock and
without the imports, and the metrics.
"""

import json
import sys
import time

import pandas as pd
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score


def main():
    start = time.perf_counter()
    predictions = pd.read_parquet(sys.argv[1])
    labels = pd.read_parquet(sys.argv[2])
    read = time.perf_counter()
    joined = predictions.merge(labels, on="id", how="inner")
    merged = time.perf_counter()
    y, score = joined["label"].to_numpy(), joined["score"].to_numpy()
    found = {
        "n": len(joined),
        "roc_auc": roc_auc_score(y, score),
        "log_loss": log_loss(y, score),
        "brier_score": brier_score_loss(y, score),
        "accuracy": accuracy_score(y, joined["prediction"].to_numpy()),
    }
    end = time.perf_counter()
    print(json.dumps({"seconds": end - start, "read": read - start, "merge": merged - read, "metrics": end - merged, "found": found}))


main()

"""Writes reference.golden.json: what scikit-learn says of predictions.csv and the target of each example.

    python make_reference.py > reference.golden.json      (scikit-learn 1.9.1, numpy 2.4.6)
"""

import csv
import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn import metrics

HERE = Path(__file__).parent


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def measured(folder: Path) -> dict[str, float]:
    truth = [row[list(row)[-1]] for row in rows(folder / "holdout.csv")]
    answers = rows(folder / "predictions.csv")
    if "prediction" in answers[0]:
        y, guess = np.array(truth, dtype=float), np.array([row["prediction"] for row in answers], dtype=float)
        return {
            "mae": metrics.mean_absolute_error(y, guess),
            "rmse": metrics.root_mean_squared_error(y, guess),
            "r2": metrics.r2_score(y, guess),
        }
    scores = np.array([[float(value) for name, value in row.items() if name != "label"] for row in answers])
    labels = [row["label"] for row in answers]
    out = {"accuracy": metrics.accuracy_score(truth, labels)}
    if scores.shape[1] == 2:
        y = np.array(truth, dtype=int)
        # The columns are float32 texts and do not add up to 1 exactly: the positive class alone counts.
        positive = scores[:, 1]
        out |= {"roc_auc": metrics.roc_auc_score(y, positive), "log_loss": metrics.log_loss(y, np.column_stack([1 - positive, positive]))}
        out["brier_score"] = metrics.brier_score_loss(y, positive)
        return out
    names = sorted(set(truth))
    chosen = scores[np.arange(len(truth)), [names.index(label) for label in truth]]
    out["log_loss"] = float(np.mean(-np.log(chosen)))
    out["roc_auc"] = float(np.mean([metrics.roc_auc_score([label == name for label in truth], scores[:, k]) for k, name in enumerate(names)]))
    out["matthews_corrcoef"] = metrics.matthews_corrcoef(truth, labels)
    return out


examples = {name: measured(HERE / name) for name in ("binary", "multiclass", "regression", "trained")}
print(json.dumps({"generator": f"make_reference.py, scikit-learn {sklearn.__version__}, numpy {np.__version__}", "examples": examples}, indent=1))

"""Metrics on the holdout, under scikit-learn's names.

A metric that the rows do not define (AUC of one class, R2 of one row) is None, never a
stand-in number. Log loss clips at CLIP, as evaluation does later on captured answers.
"""

import math

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

CLIP = 1e-6

Metrics = dict[str, float | int | None]


def classification(
    truth: NDArray[np.generic], labels: NDArray[np.generic], probabilities: NDArray[np.float64], classes: NDArray[np.generic]
) -> Metrics:
    """Scores labels [N] and probabilities [N,C] against the truth [N].

    Rows whose class the model never saw count as wrong in the metrics of labels and are
    left out of those of probabilities; `n_unseen_class` says how many there are.
    """
    seen = np.isin(truth, classes)
    out: Metrics = {"n": len(truth), "n_unseen_class": int(np.count_nonzero(~seen))}
    y = np.searchsorted(classes, truth[seen])
    p = np.clip(probabilities[seen], CLIP, 1 - CLIP)
    if len(classes) == 2:
        out |= _binary(y, p[:, 1], labels[seen] == classes[1])
    else:
        out |= _multiclass(y, p, len(classes))
        out["f1_macro"] = _finite(metrics.f1_score(truth, labels, average="macro", zero_division=0))
    out["log_loss"] = float(np.mean(-np.log(p[np.arange(len(y)), y] / p.sum(axis=1)))) if len(y) else None
    out["accuracy"] = float(np.mean(truth == labels))
    return out


def _binary(y: NDArray[np.int64], p: NDArray[np.float64], positive: NDArray[np.bool_]) -> Metrics:
    both = len(np.unique(y)) == 2
    return {
        "n_positive": int(np.count_nonzero(y)),
        "roc_auc": float(metrics.roc_auc_score(y, p)) if both else None,
        "average_precision": float(metrics.average_precision_score(y, p)) if y.any() else None,
        "brier_score": float(np.mean((p - y) ** 2)) if len(y) else None,
        "f1": float(metrics.f1_score(y, positive, zero_division=0)) if len(y) else None,
        "precision": float(metrics.precision_score(y, positive, zero_division=0)) if len(y) else None,
        "recall": float(metrics.recall_score(y, positive, zero_division=0)) if y.any() else None,
    }


def _multiclass(y: NDArray[np.int64], p: NDArray[np.float64], classes: int) -> Metrics:
    # One class against the rest, for the classes that the holdout has on both sides.
    aucs = [metrics.roc_auc_score(y == c, p[:, c]) for c in range(classes) if 0 < np.count_nonzero(y == c) < len(y)]
    return {"roc_auc_ovr": float(np.mean(aucs)) if len(aucs) == classes else None}


def regression(truth: NDArray[np.float64], answers: NDArray[np.float64]) -> Metrics:
    """Scores answers [N] against the truth [N]."""
    error = answers - truth
    return {
        "n": len(truth),
        "mae": _finite(np.mean(np.abs(error))),
        "rmse": _finite(np.sqrt(np.mean(error**2))),
        "r2": _finite(metrics.r2_score(truth, answers)) if len(truth) > 1 and np.ptp(truth) > 0 else None,
    }


def _finite(value: float | np.floating) -> float | None:
    return float(value) if math.isfinite(value) else None

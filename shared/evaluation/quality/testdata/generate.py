"""Writes golden.json: reference values of scikit-learn, SciPy and statsmodels for shared/evaluation/quality.

Run: python generate.py > golden.json   (needs scikit-learn, scipy and statsmodels; their versions are recorded)
"""

import json
import sys

import numpy as np
import scipy
import sklearn
import statsmodels
from scipy import stats
from sklearn import metrics
from sklearn.isotonic import IsotonicRegression
from statsmodels.stats.proportion import proportion_confint

SEED = 20130402
rng = np.random.default_rng(SEED)
GROUPS = 200


def clusters(n, size):
    """Keys of about size rows each, in groups as the package makes them; blocks of 1/20 of the rows."""
    keys = rng.integers(0, max(12, n // size), n)
    return keys % GROUPS, np.arange(n) * 20 // n


def influence_errors(psi, keys, blocks):
    def cluster(ids):
        sums = np.array([psi[ids == g].sum() for g in np.unique(ids)])
        return float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()))

    return cluster(keys), cluster(blocks)


def placements(score, label):
    """DeLong's placements by comparing every pair, O(n²)."""
    pos, neg = score[label == 1], score[label == 0]
    wins = (pos[:, None] > neg[None, :]) + 0.5 * (pos[:, None] == neg[None, :])
    return wins.mean(axis=1), wins.mean(axis=0)


def delong(score, label):
    v10, v01 = placements(score, label)
    se = np.sqrt(v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01))
    auc = v10.mean()
    psi = np.empty(len(score))
    psi[label == 1] = (v10 - auc) / len(v10)
    psi[label == 0] = (v01 - auc) / len(v01)
    return auc, se, psi


def ece(score, label, groups=10):
    """On the package's groups: those that the middle of the rows of a distinct score falls into."""
    values, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    before = np.cumsum(counts) - counts
    group = (groups * (before + counts / 2) / len(score)).astype(int)[inverse]
    total, expected = 0.0, 0.0
    for g in np.unique(group):
        rows = group == g
        p = score[rows].mean()
        total += rows.mean() * abs(p - label[rows].mean())
        expected += rows.mean() * np.sqrt(2 / np.pi * p * (1 - p) / rows.sum())
    return total, expected


def bootstrap(score, label, pred, draws=4000):
    out = {k: [] for k in ("average_precision", "f1", "balanced_accuracy", "matthews_corrcoef")}
    for _ in range(draws):
        i = rng.integers(0, len(score), len(score))
        y, s, p = label[i], score[i], pred[i]
        if y.min() == y.max():
            continue
        out["average_precision"].append(metrics.average_precision_score(y, s))
        out["f1"].append(metrics.f1_score(y, p, zero_division=0))
        out["balanced_accuracy"].append(metrics.balanced_accuracy_score(y, p))
        out["matthews_corrcoef"].append(metrics.matthews_corrcoef(y, p))
    return {k: np.percentile(v, [2.5, 97.5]).tolist() for k, v in out.items()}


def binary_metrics(score, label, pred):
    clipped = np.clip(score, 1e-6, 1 - 1e-6)
    out = {
        "roc_auc": metrics.roc_auc_score(label, score),
        "average_precision": metrics.average_precision_score(label, score),
        "log_loss": metrics.log_loss(label, clipped),
        "brier_score": metrics.brier_score_loss(label, score),
        "accuracy": metrics.accuracy_score(label, pred),
        "balanced_accuracy": metrics.balanced_accuracy_score(label, pred),
        "f1": metrics.f1_score(label, pred),
        "precision": metrics.precision_score(label, pred),
        "recall": metrics.recall_score(label, pred),
        "matthews_corrcoef": metrics.matthews_corrcoef(label, pred),
    }
    return {k: float(v) for k, v in out.items()}


def binary(name, n, digits, rate, strength, key_size):
    label = (rng.random(n) < rate).astype(int)
    keys, blocks = clusters(n, key_size)
    raw = rng.normal(size=n) + strength * label + rng.normal(size=GROUPS)[keys] * (key_size > 1) + np.log(rate / (1 - rate))
    score = np.round(1 / (1 + np.exp(-raw)), digits)
    pred = (score >= 0.4).astype(int)
    auc, se, psi = delong(score, label)
    error, expected = ece(score, label)
    loss = -np.log(np.clip(np.where(label == 1, score, 1 - score), 1e-6, 1 - 1e-6))
    case = {
        "name": name,
        "exact": digits <= 2,
        "score": score.tolist(),
        "label": label.tolist(),
        "pred": pred.tolist(),
        "key": keys.tolist(),
        "block": blocks.tolist(),
        "metrics": binary_metrics(score, label, pred),
        "delong_se": float(se),
        "auc_cluster": influence_errors(psi, keys, blocks),
        "ece": [error, expected],
        "loss_se": float(loss.std(ddof=1) / np.sqrt(n)),
        "loss_cluster": influence_errors((loss - loss.mean()) / n, keys, blocks),
        "wilson": {
            k: proportion_confint(int(c), int(m), alpha=0.05, method="wilson")
            for k, c, m in [
                ("accuracy", (pred == label).sum(), n),
                ("precision", (pred & label).sum(), pred.sum()),
                ("recall", (pred & label).sum(), label.sum()),
            ]
        },
    }
    z = stats.norm.ppf(0.975)
    logit, half = np.log(auc / (1 - auc)), z * se / (auc * (1 - auc))
    case["auc_interval"] = (1 / (1 + np.exp(-np.array([logit - half, logit + half])))).tolist()
    if key_size == 1:
        case["bootstrap"] = bootstrap(score, label, pred)
    return case


def multiclass():
    n, k = 1500, 4
    label = rng.choice(k, n, p=[0.5, 0.3, 0.15, 0.05])
    raw = rng.normal(size=(n, k)) + 1.5 * np.eye(k)[label]
    score = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    score = np.round(score, 2)
    score[:, 0] = np.round(1 - score[:, 1:].sum(axis=1), 2)
    score = np.clip(score, 0, 1)
    pred = score.argmax(axis=1)
    macro = {"average": "macro", "zero_division": 0}
    aucs = [metrics.roc_auc_score(label == c, score[:, c]) for c in range(k)]
    return {
        "score": score.tolist(),
        "label": label.tolist(),
        "pred": pred.tolist(),
        "metrics": {
            "roc_auc": float(np.mean(aucs)),
            "log_loss": float(-np.log(np.clip(score[np.arange(n), label], 1e-6, 1 - 1e-6)).mean()),
            "accuracy": metrics.accuracy_score(label, pred),
            "balanced_accuracy": metrics.balanced_accuracy_score(label, pred),
            "f1": metrics.f1_score(label, pred, **macro),
            "precision": metrics.precision_score(label, pred, **macro),
            "recall": metrics.recall_score(label, pred, **macro),
            "matthews_corrcoef": metrics.matthews_corrcoef(label, pred),
        },
        "auc_se": float(np.mean([delong(score[:, c], (label == c).astype(int))[1] for c in range(k)])),
    }


def regression():
    n = 1200
    keys, blocks = clusters(n, 6)
    truth = np.round(1e5 + 40 * rng.normal(size=n), 3)  # a mean far above the spread
    value = np.round(truth + 10 * rng.normal(size=n) + 5 * rng.normal(size=GROUPS)[keys], 3)
    e = value - truth
    mae = np.abs(e).mean()
    mse = (e**2).mean()
    spread = (truth - truth.mean()) ** 2
    r2 = metrics.r2_score(truth, value)
    return {
        "value": value.tolist(),
        "truth": truth.tolist(),
        "key": keys.tolist(),
        "block": blocks.tolist(),
        "metrics": {
            "mae": metrics.mean_absolute_error(truth, value),
            "rmse": metrics.root_mean_squared_error(truth, value),
            "r2": r2,
            "mape": metrics.mean_absolute_percentage_error(truth, value),
        },
        "mae_se": float(np.abs(e).std(ddof=1) / np.sqrt(n)),
        "mae_cluster": influence_errors((np.abs(e) - mae) / n, keys, blocks),
        "rmse_cluster": influence_errors((e**2 - mse) / n / (2 * np.sqrt(mse)), keys, blocks),
        "r2_cluster": influence_errors((e**2).sum() / spread.sum() ** 2 * spread - e**2 / spread.sum(), keys, blocks),
    }


def freeze(scores):
    """The package's bins of scores that are all distinct."""
    values = np.sort(scores)
    assert len(np.unique(values)) == len(values) and len(values) > 1000
    upper, mass = [], 0
    for i in range(len(values) - 1):
        mass += 1
        if mass * 1000 >= len(values):
            upper.append(values[i] / 2 + values[i + 1] / 2)
            mass = 0
    return np.array(upper)


def weighted_metrics(p, score, pred):
    """The expected metrics, each row a positive one with weight p and a negative one with weight 1 − p."""
    y = np.r_[np.ones(len(p)), np.zeros(len(p))]
    w = np.r_[p, 1 - p]
    s, c = np.r_[score, score], np.r_[pred, pred]
    return {
        "roc_auc": metrics.roc_auc_score(y, s, sample_weight=w),
        "average_precision": metrics.average_precision_score(y, s, sample_weight=w),
        "accuracy": metrics.accuracy_score(y, c, sample_weight=w),
        "f1": metrics.f1_score(y, c, sample_weight=w),
        "precision": metrics.precision_score(y, c, sample_weight=w),
        "recall": metrics.recall_score(y, c, sample_weight=w),
    }


def label_noise(p, score, pred, draws=3000):
    """Standard deviation of the realised metrics over draws of the labels."""
    out = {}
    for _ in range(draws):
        y = (rng.random(len(p)) < p).astype(int)
        for k, v in {
            "roc_auc": metrics.roc_auc_score(y, score),
            "average_precision": metrics.average_precision_score(y, score),
            "accuracy": (y == pred).mean(),
            "f1": metrics.f1_score(y, pred),
            "precision": metrics.precision_score(y, pred),
            "recall": metrics.recall_score(y, pred),
        }.items():
            out.setdefault(k, []).append(v)
    return {k: float(np.std(v)) for k, v in out.items()}


def cbpe():
    def draw(n, shift):
        p = 1 / (1 + np.exp(-(1.5 * rng.normal(size=n) - 1 + shift)))
        return np.round(p**2, 7), (rng.random(n) < p).astype(int)  # scores that are no probabilities

    reference, label = draw(6000, 0)
    reference, first = np.unique(reference, return_index=True)  # in order, all distinct
    label = label[first]
    window, _ = draw(2500, 0.3)
    pred = (window >= 0.25).astype(int)
    upper = freeze(reference)

    def bin_means(scores):
        at = np.searchsorted(upper, scores, side="left")
        sums, counts = np.bincount(at, scores, len(upper) + 1), np.bincount(at, minlength=len(upper) + 1)
        return (sums / np.maximum(counts, 1))[at]

    binned = IsotonicRegression(out_of_bounds="clip").fit(bin_means(reference), label)
    raw = IsotonicRegression(out_of_bounds="clip").fit(reference, label)
    means = bin_means(window)
    p = binned.predict(means)
    return {
        "reference": reference.tolist(),
        "label": label.tolist(),
        "window": window.tolist(),
        "pred": pred.tolist(),
        "bins": len(upper) + 1,
        "binned": weighted_metrics(p, means, pred),
        "raw": weighted_metrics(raw.predict(window), window, pred),
        "label_noise": label_noise(p, means, pred),
    }


json.dump(
    {
        "generator": "shared/evaluation/quality/testdata/generate.py",
        "seed": SEED,
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "statsmodels": statsmodels.__version__,
        "binary": [
            binary("few scores", 1200, 2, 0.3, 1.2, 1),
            binary("few scores, keys of several rows", 1200, 2, 0.3, 1.2, 8),
            binary("many scores", 1500, 6, 0.25, 1.0, 1),
            binary("rare", 2000, 2, 0.02, 2.5, 1),
        ],
        "multiclass": multiclass(),
        "regression": regression(),
        "cbpe": cbpe(),
    },
    sys.stdout,
    separators=(",", ":"),
)
print()

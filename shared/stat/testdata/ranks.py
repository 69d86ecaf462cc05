"""Writes ranks.json: reference values of scikit-learn and NumPy for the areas, calibrations and resamples of shared/stat.

Run: python ranks.py > ranks.json   (needs scikit-learn and scipy; versions are recorded)
"""

import json
import sys

import numpy as np
import scipy
import sklearn
from scipy.optimize import brentq
from sklearn import metrics
from sklearn.isotonic import IsotonicRegression

SEED = 20130403
rng = np.random.default_rng(SEED)


def ranks():
    for bins, n, m in [(2, 5, 7), (10, 300, 900), (50, 40, 4000), (1, 3, 4), (1000, 5000, 700)]:
        shift = np.linspace(0, 2, bins)
        pos = rng.multinomial(n, np.exp(shift) / np.exp(shift).sum())
        neg = rng.multinomial(m, np.exp(-shift) / np.exp(-shift).sum())
        values = np.arange(bins)
        score = np.r_[np.repeat(values, pos), np.repeat(values, neg)]
        label = np.r_[np.ones(n), np.zeros(m)]
        s1, s0 = score[label == 1], score[label == 0]
        wins = (s1[:, None] > s0[None, :]) + 0.5 * (s1[:, None] == s0[None, :])
        # the extremes of scores that are ties only by their bin, three ways to break them
        fine = {k: score + 0.4 * v for k, v in {"best": label, "worst": -label, "random": rng.random(len(score))}.items()}
        yield {
            "pos": pos.tolist(),
            "neg": neg.tolist(),
            "auc": metrics.roc_auc_score(label, score),
            "ap": metrics.average_precision_score(label, score),
            "se": float(np.sqrt(wins.mean(axis=1).var(ddof=1) / n + wins.mean(axis=0).var(ddof=1) / m)),
            "fine_auc": [metrics.roc_auc_score(label, s) for s in fine.values()],
            "fine_ap": [metrics.average_precision_score(label, s) for s in fine.values()],
        }


def isotonic():
    for n, distinct in [(1, 1), (5, 5), (200, 200), (500, 40)]:
        x = np.round(rng.random(n) * distinct) / distinct
        w = rng.integers(0, 5, n) + (np.arange(n) == 0)
        y = np.round(np.clip(x + 0.4 * rng.normal(size=n), 0, 1), 3)
        fit = IsotonicRegression(out_of_bounds="clip").fit(x[w > 0], y[w > 0], sample_weight=w[w > 0])
        at = np.r_[x, rng.random(50) * 1.4 - 0.2]
        yield {"x": x.tolist(), "y": y.tolist(), "w": w.tolist(), "at": at.tolist(), "want": fit.predict(at).tolist()}


def newcombe():
    """Method 5 of Newcombe (2006): both ends solve |auc - t| = z se(t), se of Hanley and McNeil."""
    z = 1.959963984540054
    for auc, n1, n0 in [(0.5, 10, 10), (0.8, 15, 1000), (0.99, 50, 5000), (0.7, 400, 30), (0.999, 12, 12)]:
        def away(t):
            q1, q2 = t / (2 - t), 2 * t * t / (1 + t)
            more = (n1 + n0) / 2 - 1
            return abs(auc - t) - z * np.sqrt((t * (1 - t) + more * (q1 - t * t + q2 - t * t)) / (n1 * n0))
        yield {"auc": auc, "n1": n1, "n0": n0, "lo": brentq(away, 1e-9, auc), "hi": brentq(away, auc, 1 - 1e-12)}


draws = rng.normal(size=41)
json.dump(
    {
        "generator": "shared/stat/testdata/ranks.py",
        "seed": SEED,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
        "ranks": list(ranks()),
        "isotonic": list(isotonic()),
        "newcombe": list(newcombe()),
        "percentiles": {"draws": draws.tolist(), "want": np.percentile(draws, [2.5, 97.5]).tolist()},
    },
    sys.stdout,
    separators=(",", ":"),
)
print()

"""Writes paired.json: reference values for McNemar, DeLong and clustered standard errors of shared/stat.

Run: python paired.py > paired.json   (needs scipy, statsmodels, scikit-learn and MLstatkit; their versions are recorded)

DeLong is written out from the paper (DeLong, DeLong and Clarke-Pearson 1988, Biometrics 44: the kernel on all
pairs, the covariance of the structural components) and compared here with MLstatkit's and scikit-learn's.
"""

import json
import sys
from importlib.metadata import version

import numpy as np
import scipy
import sklearn
import statsmodels
import statsmodels.api as sm
from MLstatkit import Delong_test
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar

SEED = 19880901
rng = np.random.default_rng(SEED)


def mcnemars():
    for b, c in [(0, 1), (1, 0), (6, 1), (10, 25), (121, 59), (5000, 5200), (0, 40), (1000000, 1001000)]:
        table = [[100, b], [c, 30]]
        exact, corrected = mcnemar(table, exact=True), mcnemar(table, exact=False, correction=True)
        yield {"b": b, "c": c, "exact": exact.pvalue, "chi2": corrected.statistic, "corrected": corrected.pvalue}


def components(y, s):
    """The structural components V10 (positives) and V01 (negatives)."""
    pos, neg = s[y == 1], s[y == 0]
    psi = (pos[:, None] > neg[None, :]) + 0.5 * (pos[:, None] == neg[None, :])
    return psi.mean(axis=1), psi.mean(axis=0)


def delong(n, share, digits, groups):
    latent = rng.normal(size=n)
    y = (rng.random(n) < share).astype(int)
    a = np.round(latent * 0.6 + rng.normal(size=n) + 1.2 * y, digits)
    b = np.round(latent * 0.6 + rng.normal(size=n) + 0.9 * y, digits)
    group = rng.integers(0, groups, n)
    (a10, a01), (b10, b01) = components(y, a), components(y, b)
    m, k = len(a10), len(a01)
    s10, s01 = np.cov([a10, b10], ddof=1), np.cov([a01, b01], ddof=1)
    cov = s10 / m + s01 / k
    delta = b10.mean() - a10.mean()
    se = np.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
    psi = np.zeros(n)
    psi[y == 1] = ((b10 - a10) - delta) / m
    psi[y == 0] = ((b01 - a01) - delta) / k
    sums = np.array([psi[group == g].sum() for g in np.unique(group)])
    g = len(sums)
    z, p = Delong_test(y, b, a, return_ci=False, return_auc=False)[:2]
    assert abs(abs(z) - abs(delta / se)) < 1e-6 * abs(z), (z, delta / se)
    assert abs(roc_auc_score(y, a) - a10.mean()) < 1e-12
    return {
        "y": y.tolist(), "a": a.tolist(), "b": b.tolist(), "group": group.tolist(),
        "auc_a": roc_auc_score(y, a), "auc_b": roc_auc_score(y, b),
        "se_a": np.sqrt(cov[0, 0]), "se_b": np.sqrt(cov[1, 1]),
        "delta": delta, "se": se, "p": 2 * stats.norm.sf(abs(delta / se)),
        "se_cluster": np.sqrt(g / (g - 1) * (sums**2).sum()),
    }


def clustered(n, groups):
    group = rng.integers(0, groups, n)
    d = rng.normal(0.1, 1, n) + rng.normal(0, 0.5, groups)[group]
    ols = sm.OLS(d, np.ones(n))
    robust = ols.fit(cov_type="cluster", cov_kwds={"groups": group, "use_correction": True})
    return {"d": d.tolist(), "group": group.tolist(), "mean": d.mean(), "se": ols.fit().bse[0], "se_cluster": robust.bse[0]}


def main():
    out = {
        "generator": f"python {sys.version.split()[0]}, numpy {np.__version__}, scipy {scipy.__version__}, statsmodels {statsmodels.__version__}, "
        f"scikit-learn {sklearn.__version__}, MLstatkit {version('MLstatkit')}",
        "seed": SEED,
        "mcnemar": list(mcnemars()),
        "delong": [delong(120, 0.4, 1, 12), delong(300, 0.15, 6, 30), delong(60, 0.5, 0, 5)],
        "clustered": [clustered(200, 20), clustered(50, 40)],
    }
    json.dump(out, sys.stdout)
    print()


main()

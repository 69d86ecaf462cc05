"""Writes golden.json: reference values of SciPy and statsmodels for shared/stat.

Run: python golden.py > golden.json   (needs scipy and statsmodels; their versions are recorded)
"""

import json
import sys

import numpy as np
import scipy
import statsmodels
from scipy import stats
from scipy.spatial.distance import jensenshannon
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

SEED = 20130401
rng = np.random.default_rng(SEED)


def wilson():
    for k, n in [(0, 5), (5, 5), (1, 10), (50, 1000), (3, 200000), (199999, 200000)]:
        for alpha in (0.05, 0.05 / 80, 1e-6):
            lo, hi = proportion_confint(k, n, alpha=alpha, method="wilson")
            yield {"k": k, "n": n, "alpha": alpha, "lo": lo, "hi": hi}


def clopper_pearson():
    for k, n in [(0, 1), (1, 1), (1, 2), (2, 2), (1, 5), (5, 20), (0, 50), (3, 50), (49, 50), (50, 50), (7, 200), (101, 999), (998, 999)]:
        for z in (1.0, 1.96, 3.2, 4.5):
            level = 1 - 2 * stats.norm.sf(z)
            ci = stats.binomtest(k, n).proportion_ci(confidence_level=level, method="exact")
            yield {"k": k, "n": n, "z": z, "lo": ci.low, "hi": ci.high}


def newcombe():
    for k1, n1, k2, n2 in [(5, 56, 0, 29), (10, 10, 0, 20), (500, 10000, 40, 1000), (0, 50, 0, 70)]:
        for alpha in (0.05, 0.001):
            lo, hi = confint_proportions_2indep(k1, n1, k2, n2, method="newcomb", compare="diff", alpha=alpha)
            yield {"k1": k1, "n1": n1, "k2": k2, "n2": n2, "alpha": alpha, "lo": lo, "hi": hi}


def histograms():
    for cells, n, m in [(2, 100, 50), (10, 10000, 1000), (200, 100000, 5000), (30, 300, 200)]:
        p = rng.multinomial(n, rng.dirichlet(np.ones(cells)))
        q = rng.multinomial(m, rng.dirichlet(np.ones(cells) * 3))
        values = np.arange(cells)
        ks = stats.ks_2samp(np.repeat(values, p), np.repeat(values, q), method="asymp")
        keep = (p + q) * min(n, m) / (n + m) >= 5
        case = {
            "p": p.tolist(),
            "q": q.tolist(),
            "ks": ks.statistic,
            # ks_2samp's asymptotic p-value uses the exact-size correction; the limit law is kstwobign
            "ks_p": stats.kstwobign.sf(ks.statistic * np.sqrt(n * m / (n + m))),
            "tv": 0.5 * np.abs(p / n - q / m).sum(),
            "js": jensenshannon(p, q, base=2),
        }
        # uniform within [i, i+1): the distance of the piecewise linear distribution functions
        fine = 2000
        grid = np.linspace(0, cells, cells * fine + 1)
        edges = np.arange(cells + 1)
        fp = np.interp(grid, edges, np.concatenate([[0], np.cumsum(p / n)]))
        fq = np.interp(grid, edges, np.concatenate([[0], np.cumsum(q / m)]))
        case["wasserstein"] = np.trapezoid(np.abs(fp - fq), grid)
        if keep.all():
            chi2, pvalue, df, _ = stats.chi2_contingency(np.array([p, q]), correction=False)
            case |= {"chi2": chi2, "df": int(df), "chi2_p": pvalue}
            case["v"] = stats.contingency.association(np.array([p, q]), method="cramer")
        yield case


def main():
    ps = rng.uniform(size=12) ** 3
    json.dump(
        {
            "generator": "golden.py",
            "versions": {"scipy": scipy.__version__, "statsmodels": statsmodels.__version__, "numpy": np.__version__},
            "seed": SEED,
            "z": [{"p": p, "z": stats.norm.ppf(p)} for p in (1e-12, 0.001, 0.025, 0.3, 0.5, 0.95, 1 - 1e-9)],
            "kolmogorov": [{"x": x, "sf": stats.kstwobign.sf(x)} for x in (0.2, 0.5, 0.9, 1.0, 1.1, 1.36, 2.0, 4.0, 10.0)],
            "chi_square": [
                {"x": x, "df": df, "sf": stats.chi2.sf(x, df), "p": 0.95, "q": stats.chi2.ppf(0.95, df)}
                for x, df in [(0.5, 1), (3.84, 1), (16.9, 9), (250, 199), (700, 199)]
            ],
            "wilson": list(wilson()),
            "clopper_pearson": list(clopper_pearson()),
            "newcombe": list(newcombe()),
            "histograms": list(histograms()),
            "bh": {"p": ps.tolist(), "adjusted": multipletests(ps, method="fdr_bh")[1].tolist()},
        },
        sys.stdout,
        indent=1,
    )


if __name__ == "__main__":
    main()

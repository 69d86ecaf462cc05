"""Writes statistics.json and constraints.json in the form of SageMaker Model Monitor.

The values are made up; the form is that of AWS's pages "Schema for Statistics" and
"Schema for Constraints". Standard library only, Python 3.11. The sketch of "delay"
is compacted as KLL does it: a full level is sorted and every other item moves up.
"""

import json
import random

rng = random.Random(4)
N = 6000


def sketch(values, k=512):
    levels = [[]]
    for v in values:
        levels[0].append(v)
        i = 0
        while len(levels[i]) > max(8, int(k * 0.64 ** (len(levels) - 1 - i))):
            level = sorted(levels[i])
            kept = [level.pop()] if len(level) % 2 else []
            if i + 1 == len(levels):
                levels.append([])
            levels[i + 1] += level[rng.randrange(2) :: 2]
            levels[i] = kept
            i += 1
    return levels


def buckets(values, n=10):
    lo, hi = min(values), max(values)
    out = []
    for i in range(n):
        a, b = lo + (hi - lo) * i / n, lo + (hi - lo) * (i + 1) / n
        count = sum(1 for v in values if a <= v < b or i == n - 1 and v == hi)
        out.append({"lower_bound": a, "upper_bound": b, "count": float(count)})
    return out


def numeric(name, kind, values, missing, data, with_sketch=True):
    mean = sum(values) / len(values)
    kll = {"buckets": buckets(values)}
    if with_sketch:
        kll["sketch"] = {"parameters": {"c": 0.64, "k": 512.0}, "data": data}
    return {
        "name": name,
        "inferred_type": kind,
        "numerical_statistics": {
            "common": {"num_present": len(values), "num_missing": missing},
            "mean": mean,
            "sum": float(sum(values)),
            "std_dev": (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5,
            "min": float(min(values)),
            "max": float(max(values)),
            "distribution": {"kll": kll},
        },
    }


def text(name, counts, missing):
    return {
        "name": name,
        "inferred_type": "String",
        "string_statistics": {
            "common": {"num_present": sum(counts.values()), "num_missing": missing},
            "distinct_count": float(len(counts)),
            "distribution": {"categorical": {"buckets": [{"value": v, "count": n} for v, n in counts.items()]}},
        },
    }


delay = [round(rng.gauss(10, 30), 3) for _ in range(N - 120)]
seats = [float(rng.choice([4, 50, 150, 180])) for _ in range(N)]
age = [float(rng.randrange(1, 40)) for _ in range(N)]
many = {"name": "tail", "inferred_type": "String", "string_statistics": {"common": {"num_present": N, "num_missing": 0}, "distinct_count": 4012.0}}
statistics = {
    "version": 0.0,
    "dataset": {"item_count": N},
    "features": [
        numeric("delay", "Fractional", delay, 120, sketch(delay)),
        numeric("seats", "Integral", seats, 0, [sorted(seats)]),
        numeric("age", "Integral", age, 0, None, with_sketch=False),
        text("carrier", {"UA": 2400, "AA": 1800, "B6": 1200, "DL": 600}, 0),
        many,
    ],
}
constraints = {
    "version": 0.0,
    "features": [
        {"name": "delay", "inferred_type": "Fractional", "completeness": 0.9, "num_constraints": {"is_non_negative": False}},
        {"name": "seats", "inferred_type": "Integral", "completeness": 1.0, "num_constraints": {"is_non_negative": True}},
        {"name": "age", "inferred_type": "Integral", "completeness": 1.0, "num_constraints": {"is_non_negative": True},
         "monitoringConfigOverrides": {"distribution_constraints": {"comparison_threshold": 0.3}}},
        {"name": "carrier", "inferred_type": "String", "completeness": 1.0, "string_constraints": {"domains": ["UA", "AA", "B6", "DL", "HA"]}},
        {"name": "tail", "inferred_type": "String", "completeness": 1.0},
    ],
    "monitoring_config": {
        "evaluate_constraints": "Enabled",
        "emit_metrics": "Enabled",
        "datatype_check_threshold": 1.0,
        "domain_content_threshold": 1.0,
        "distribution_constraints": {"perform_comparison": "Enabled", "comparison_threshold": 0.1, "comparison_method": "Robust"},
    },
}
for name, doc in (("statistics", statistics), ("constraints", constraints)):
    with open(f"{name}.json", "w") as f:
        json.dump(doc, f)
        f.write("\n")

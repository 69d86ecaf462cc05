"""What the training rows looked like, column by column: the source of the contract and of documentation.

    {"v":1,"rows":63000,"features":[
      {"name":"dep_delay","type":"number","missing_ratio":0.0,"min":-43,"max":1301,"constant":false},
      {"name":"carrier","type":"category","missing_ratio":0.0,"distinct":16,
       "categories":[{"value":"HA","rows":93}],"other_ratio":0.001}]}

`categories` are those with a code of their own in the model, so at most max_categories, in
the order of their codes; `other_ratio` is the share of rows with any other category.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .pipeline import Inputs
from .schema import NUMBER, Schema
from .split import Rows


def describe(schema: Schema, inputs: Inputs, rows: Rows, encoded: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """The document features.json."""
    return {
        "v": 1,
        "rows": len(rows),
        "features": [
            {"name": column.name, "type": column.type}
            | (
                _number(inputs[column.name][rows])
                if column.type == NUMBER
                else _category(inputs[column.name][rows], encoded[column.name])
            )
            for column in schema.columns
        ],
    }


def warnings(document: Mapping[str, object]) -> list[str]:
    """Columns that cannot have taught the model anything, by name."""
    found = []
    for feature in document["features"]:  # type: ignore[attr-defined]
        if feature["missing_ratio"] == 1:
            found.append(f"column {feature['name']!r} has no value in any training row")
        elif feature.get("constant") or feature.get("distinct") == 1:
            found.append(f"column {feature['name']!r} has the same value in all training rows")
    return found


def _number(values: NDArray[np.float32]) -> dict[str, object]:
    present = values[~np.isnan(values)]
    out: dict[str, object] = {"missing_ratio": 1 - len(present) / len(values)}
    if len(present):
        low, high = present.min(), present.max()
        out |= {"min": float(str(low)), "max": float(str(high)), "constant": bool(low == high) and len(present) == len(values)}
    return out


def _category(values: NDArray[np.object_], encoded: Sequence[str]) -> dict[str, object]:
    distinct, counts = np.unique(values, return_counts=True)
    rows = dict(zip(distinct, counts.tolist(), strict=True))
    known = sum(rows[value] for value in encoded)
    return {
        "missing_ratio": rows.get("", 0) / len(values),
        "distinct": len(distinct),
        "categories": [{"value": value, "rows": rows[value]} for value in encoded],
        "other_ratio": (len(values) - known) / len(values),
    }

"""The scikit-learn pipeline: encoding of strings and gradient-boosted trees.

Numbers go into the trees as they are; a missing one is NaN, for which every split has
learned a side. A category becomes its place in the order of the target's mean (the
order in which one threshold can separate a set of categories best; Fisher 1958, and
what tree libraries do for categorical splits). Categories that are rare in training or
were never seen there become NaN: each split has learned a side for "other" from the
rare ones. So an unknown category at serving time is an ordinary input.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from threadpoolctl import threadpool_limits

from .fault import FailedPrecondition
from .hyperparameters import Hyperparameters
from .schema import CATEGORY, NUMBER, Schema
from .split import Rows
from .target import Target

# Rows of the overall mean that are mixed into the mean of a category, so that ten lucky rows do not lead the order.
SMOOTHING = 10.0
EARLY_STOPPING_ROWS = 10_000
# From how many rows scikit-learn computes bins (its constant `subsample`).
BINNING_ROWS = 200_000

# By column: [N] float32 for numbers, [N] str objects for categories.
Inputs = dict[str, NDArray[Any]]


def matrix(schema: Schema, inputs: Inputs, rows: Rows) -> NDArray[np.object_]:
    """The inputs of some rows as [len(rows), columns] in the order of the schema."""
    out = np.empty((len(rows), len(schema.columns)), dtype=object)
    for i, column in enumerate(schema.columns):
        out[:, i] = inputs[column.name][rows]
    return out


def fit(schema: Schema, inputs: Inputs, target: Target, rows: Rows, settings: Hyperparameters) -> Pipeline:
    """Fits the pipeline on the training rows.

    Deterministic for one set of arguments when settings.threads is 1. Raises
    FailedPrecondition when early stopping is asked for and a class is too small for it.
    """
    numbers = [i for i, column in enumerate(schema.columns) if column.type == NUMBER]
    names = [i for i, column in enumerate(schema.columns) if column.type == CATEGORY]
    order = _means(target, rows)
    steps: list[tuple[str, object, list[int]]] = []
    if numbers:
        steps.append(("numbers", "passthrough", numbers))
    if names:
        known = [categories(inputs[schema.columns[i].name][rows], order, settings) for i in names]
        encoder = OrdinalEncoder(
            categories=known, handle_unknown="use_encoded_value", unknown_value=np.nan, dtype=np.float32
        )
        steps.append(("categories", encoder, names))
    encode, trees = ColumnTransformer(steps), _trees(target, rows, settings)
    encoded = encode.fit_transform(matrix(schema, inputs, rows)).astype(np.float32)
    _level_sparse_columns(encoded, trees)
    with threadpool_limits(settings.threads):
        trees.fit(encoded, target.labels(rows))
    return Pipeline([("encode", encode), ("trees", trees)])


def _level_sparse_columns(encoded: NDArray[np.float32], trees: HistGradientBoostingClassifier | HistGradientBoostingRegressor) -> None:
    """Takes columns with hardly a value out of the training, in place, by making them constant.

    scikit-learn cannot bin a column without any value. It draws the rows that it bins: what early stopping
    leaves, and BINNING_ROWS of those. The bound is so high that no draw misses all values of a column.
    """
    n = len(encoded)
    least = max(20, n // 1000) if trees.early_stopping or n > BINNING_ROWS else 1
    present = np.count_nonzero(~np.isnan(encoded), axis=0)
    encoded[:, present < least] = 0


def categories(values: NDArray[np.object_], means: NDArray[np.float64], settings: Hyperparameters) -> NDArray[np.object_]:
    """The categories of one column that get a code of their own, in the order of their codes.

    values: [N] texts, means: [N] what to order by. At least one category is returned,
    at most settings.max_categories.
    """
    distinct, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    by_count = np.argsort(-counts, kind="stable")[: settings.max_categories]  # ties by name: np.unique has sorted them
    kept = by_count[counts[by_count] >= settings.min_frequency]
    if not len(kept):
        kept = by_count[:1]
    sums = np.bincount(codes, weights=means, minlength=len(distinct))
    smoothed = (sums + SMOOTHING * means.mean()) / (counts + SMOOTHING)
    kept = np.sort(kept)
    return distinct[kept[np.argsort(smoothed[kept], kind="stable")]]


def _means(target: Target, rows: Rows) -> NDArray[np.float64]:
    """What categories are ordered by: the number, or whether the class is the second (binary) or the most frequent one."""
    values = target.values[rows]
    if target.classes is None:
        return values.astype(np.float64)
    reference = 1 if len(target.classes) == 2 else int(np.bincount(values).argmax())
    return (values == reference).astype(np.float64)


def _trees(
    target: Target, rows: Rows, settings: Hyperparameters
) -> HistGradientBoostingClassifier | HistGradientBoostingRegressor:
    kind = HistGradientBoostingRegressor if target.classes is None else HistGradientBoostingClassifier
    return kind(
        learning_rate=settings.learning_rate,
        max_iter=settings.max_iter,
        max_leaf_nodes=settings.max_leaf_nodes,
        max_depth=settings.max_depth,
        min_samples_leaf=settings.min_samples_leaf,
        l2_regularization=settings.l2_regularization,
        max_bins=settings.max_bins,
        categorical_features=None,
        early_stopping=_stops_early(target, rows, settings),
        n_iter_no_change=settings.n_iter_no_change,
        validation_fraction=settings.validation_fraction,
        random_state=settings.seed,
    )


def _stops_early(target: Target, rows: Rows, settings: Hyperparameters) -> bool:
    if settings.early_stopping == "false":
        return False
    # Its validation rows are stratified: each class needs a row on either side, and enough rows for a share of each.
    smallest, classes = len(rows), 1
    if target.classes is not None:
        counts = np.bincount(target.values[rows])
        counts = counts[counts > 0]
        smallest, classes = int(counts.min()), len(counts)
    possible = smallest >= 2 and len(rows) * min(settings.validation_fraction, 1 - settings.validation_fraction) >= classes
    if settings.early_stopping == "true":
        if not possible:
            raise FailedPrecondition(
                "hyperparameters.early_stopping: the rarest class has too few rows to validate on; add rows or set it to false"
            )
        return True
    return possible and len(rows) >= EARLY_STOPPING_ROWS


def encoded_categories(schema: Schema, pipeline: Pipeline) -> dict[str, Sequence[str]]:
    """The categories with a code of their own by column, in the order of their codes."""
    names = [column.name for column in schema.columns if column.type == CATEGORY]
    if not names:
        return {}
    encoder = pipeline.named_steps["encode"].named_transformers_["categories"]
    return {name: [str(value) for value in known] for name, known in zip(names, encoder.categories_, strict=True)}


def predict(pipeline: Pipeline, rows: NDArray[np.object_], threads: int) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
    """scikit-learn's own answers: (labels [N], probabilities [N,C]), or (numbers [N], None) for regression."""
    with threadpool_limits(threads):
        labels = pipeline.predict(rows)
        classifies = hasattr(pipeline.named_steps["trees"], "classes_")
        return labels, pipeline.predict_proba(rows) if classifies else None

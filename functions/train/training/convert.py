"""The fitted pipeline as an ONNX graph that takes raw columns.

One input [N,1] per column, FLOAT for numbers and STRING for categories; outputs `label`
[N] and `probabilities` [N,C], or `prediction` [N,1]. The bytes are a function of the
pipeline alone: every name in the graph is ours, nothing of the converter's counters or
random ids is left.
"""

import copy

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, checker
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.pipeline import Pipeline

from .fault import Internal
from .schema import NUMBER, RESERVED_PREFIX, Schema

# Understood by every ONNX Runtime since 1.14; trees have not changed since.
OPSET = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 8
BATCH = "N"


def to_onnx(schema: Schema, pipeline: Pipeline) -> bytes:
    """Converts a fitted pipeline; the result passes onnx.checker."""
    # The converter sees neutral names: a column may be called like one of its inner tensors.
    stand_ins = {f"input_{i}": column.name for i, column in enumerate(schema.columns)}
    types = [
        (name, FloatTensorType([None, 1]) if column.type == NUMBER else StringTensorType([None, 1]))
        for name, column in zip(stand_ins, schema.columns, strict=True)
    ]
    model = convert_sklearn(
        exactly_in_float32(pipeline),
        initial_types=types,
        options={"zipmap": False} if schema.classifies else None,
        target_opset=OPSET,
    )
    outputs = ["label", "probabilities"] if schema.classifies else ["prediction"]
    if len(model.graph.output) != len(outputs) or len(model.graph.input) != len(stand_ins):
        raise Internal("the converter gave a graph with other inputs or outputs than the pipeline has")
    names = stand_ins | dict(zip((output.name for output in model.graph.output), outputs, strict=True))
    _rename(model, names)
    _describe(model)
    checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def exactly_in_float32(pipeline: Pipeline) -> Pipeline:
    """A copy whose thresholds are float32 numbers, with the same answer for every float32 input.

    scikit-learn compares x <= t with a float64 t halfway between two training values; the
    converter rounds t to the nearest float32, which for neighbouring values can be the upper
    one. Rounded down, x <= t has the same answer for every float32 x.
    """
    rounded = copy.deepcopy(pipeline)
    for predictors in rounded.named_steps["trees"]._predictors:
        for predictor in predictors:
            predictor.nodes["num_threshold"] = _down(predictor.nodes["num_threshold"])
    return rounded


def _down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        nearest = thresholds.astype(np.float32)
    return np.where(nearest > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def _rename(model: ModelProto, names: dict[str, str]) -> None:
    graph = model.graph

    def renamed(name: str) -> str:
        # The empty name is an optional input that is left out.
        return names.setdefault(name, f"{RESERVED_PREFIX}{len(names)}") if name else name

    for value in [*graph.input, *graph.output, *graph.initializer, *graph.value_info]:
        value.name = renamed(value.name)
    for i, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{i}"
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
        # The converter collects attributes in a set, so their order changes with the hash seed of the process.
        attributes = sorted(node.attribute, key=lambda attribute: attribute.name)
        del node.attribute[:]
        node.attribute.extend(attributes)


def _describe(model: ModelProto) -> None:
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    imports = sorted(model.opset_import, key=lambda entry: entry.domain)
    del model.opset_import[:]
    model.opset_import.extend(imports)
    del model.graph.value_info[:]
    del model.metadata_props[:]
    model.graph.name = "tidegate"
    model.graph.doc_string = model.doc_string = ""
    model.domain = ""
    model.producer_name, model.producer_version = "tidegate", "1"
    model.model_version = 0
    model.ir_version = IR_VERSION

"""Writes the small ONNX models of this folder.

    python models.py        (onnx 1.23.2, numpy 2.4.6)

The files are committed: tests need no Python. Weights are fixed numbers, so the
expected outputs are stated in the tests.
"""
import pathlib

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper as nh

HERE = pathlib.Path(__file__).parent


def info(name, kind, shape):
    return h.make_tensor_value_info(name, kind, shape)


def const(name, array):
    return nh.from_array(np.asarray(array), name)


def save(name, nodes, inputs, outputs, initializers=(), ml=False):
    graph = h.make_graph(nodes, name, inputs, outputs, list(initializers))
    opsets = [h.make_opsetid("", 17)] + ([h.make_opsetid("ai.onnx.ml", 3)] if ml else [])
    model = h.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="tidegate-testdata")
    onnx.checker.check_model(model)
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def affine():
    """y = x @ W + b, FP32 [N,3] -> [N,2]."""
    save("affine", [h.make_node("Gemm", ["x", "W", "b"], ["y"])],
         [info("x", T.FLOAT, ["N", 3])], [info("y", T.FLOAT, ["N", 2])],
         [const("W", np.array([[1, 2], [3, 4], [5, 6]], np.float32)), const("b", np.array([0.5, -0.5], np.float32))])


def echo():
    """Identity of every served datatype, [N] each; strings are [N,1]."""
    kinds = {"bool": T.BOOL, "u8": T.UINT8, "u16": T.UINT16, "u32": T.UINT32, "u64": T.UINT64, "i8": T.INT8, "i16": T.INT16,
             "i32": T.INT32, "i64": T.INT64, "fp16": T.FLOAT16, "fp32": T.FLOAT, "fp64": T.DOUBLE, "text": T.STRING}
    shape = lambda n: ["N", 1] if n == "text" else ["N"]
    save("echo", [h.make_node("Identity", [n], [f"{n}_out"]) for n in kinds],
         [info(n, k, shape(n)) for n, k in kinds.items()], [info(f"{n}_out", k, shape(n)) for n, k in kinds.items()])


def mixed():
    """A small classifier in the form that the trainer writes: 7 FP32 and 4 STRING columns [N,1], label [N], probabilities [N,2].

    score = 0.1 * (sum of the numbers, NaN as 0) + code(text) summed; code: "a" 1, "b" 2, else 0.
    """
    numbers = [f"n{i}" for i in range(7)]
    texts = [f"t{i}" for i in range(4)]
    nodes = []
    for t in texts:
        nodes.append(h.make_node("LabelEncoder", [t], [f"{t}_code"], domain="ai.onnx.ml",
                                 keys_strings=["a", "b"], values_floats=[1.0, 2.0], default_float=0.0))
    nodes += [
        h.make_node("Concat", numbers, ["numbers"], axis=1),
        h.make_node("IsNaN", ["numbers"], ["absent"]),
        h.make_node("Where", ["absent", "zero", "numbers"], ["imputed"]),
        h.make_node("Concat", ["imputed"] + [f"{t}_code" for t in texts], ["row"], axis=1),
        h.make_node("Gemm", ["row", "W", "b"], ["logits"]),
        h.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        h.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
    ]
    weights = np.zeros((11, 2), np.float32)
    weights[:7, 1], weights[7:, 1] = 0.1, 1.0
    save("mixed", nodes, [info(n, T.FLOAT, ["N", 1]) for n in numbers] + [info(t, T.STRING, ["N", 1]) for t in texts],
         [info("label", T.INT64, ["N"]), info("probabilities", T.FLOAT, ["N", 2])],
         [const("zero", np.float32(0)), const("W", weights), const("b", np.array([1, 0], np.float32))], ml=True)


def slow():
    """Loops `turns`[0] times over a 64x64 product; y[0] is the number of turns made. Seconds for a large number."""
    body = h.make_graph(
        [h.make_node("MatMul", ["m_in", "m_in"], ["m_out"]), h.make_node("Identity", ["go_in"], ["go_out"])], "body",
        [info("turn", T.INT64, []), info("go_in", T.BOOL, []), info("m_in", T.FLOAT, [64, 64])],
        [info("go_out", T.BOOL, []), info("m_out", T.FLOAT, [64, 64])])
    save("slow", [h.make_node("Squeeze", ["turns"], ["count"]),
                  h.make_node("Loop", ["count", "yes", "eye"], ["last"], body=body),
                  h.make_node("Slice", ["last", "zero", "one", "one"], ["row"]),
                  h.make_node("ReduceSum", ["row"], ["sum"], keepdims=0),
                  h.make_node("Cast", ["sum"], ["unit"], to=T.INT64),
                  h.make_node("Mul", ["turns", "unit"], ["y"])],
         [info("turns", T.INT64, [1])], [info("y", T.INT64, [1])],
         [const("yes", np.array(True)), const("eye", np.eye(64, dtype=np.float32)), const("zero", np.array([0])), const("one", np.array([1]))])


def fixed():
    """No batch dimension: [2,3] -> its sum, a scalar, and its transposition [3,2]; k, a scalar input, is added."""
    save("fixed", [h.make_node("ReduceSum", ["x"], ["s"], keepdims=0), h.make_node("Add", ["s", "k"], ["sum"]),
                   h.make_node("Transpose", ["x"], ["turned"])],
         [info("x", T.FLOAT, [2, 3]), info("k", T.FLOAT, [])], [info("sum", T.FLOAT, []), info("turned", T.FLOAT, [3, 2])])


def varying():
    """Outputs whose shapes depend on the values: the positions of x that are not 0, and their values."""
    save("varying", [h.make_node("NonZero", ["x"], ["at"]), h.make_node("Transpose", ["at"], ["positions"]),
                     h.make_node("GatherND", ["x", "positions"], ["found"])],
         [info("x", T.FLOAT, ["N"])], [info("positions", T.INT64, ["K", 1]), info("found", T.FLOAT, ["K"])])


def parse():
    """Reads strings as numbers; a string that is none makes the run fail."""
    save("parse", [h.make_node("Cast", ["text"], ["y"], to=T.FLOAT)], [info("text", T.STRING, ["N", 1])], [info("y", T.FLOAT, ["N", 1])])


if __name__ == "__main__":
    for make in (affine, echo, mixed, slow, fixed, varying, parse):
        make()

"""Makes the model files of the tests of shared/modelfile, and what the onnx package reads from the good ones.

    python make_models.py          (onnx 1.23.0, numpy, scikit-learn 1.9.1, skl2onnx 1.20.0, protobuf<7)

good/<name>.onnx lies beside good/<name>.json, the reference: ir_version, opsets, producer, inputs and
outputs as onnx itself parses them. bad/<name>.onnx must be refused.
"""

import json
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

HERE = pathlib.Path(__file__).parent
F, S = TensorProto.FLOAT, TensorProto.STRING
X = helper.make_tensor_value_info("x", F, ["N", 2])
Y = helper.make_tensor_value_info("y", F, ["N", 2])


def model(nodes, inputs=(X,), outputs=(Y,), initializers=(), **kwargs):
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), list(initializers))
    return helper.make_model(graph, producer_name="tidegate tests", ir_version=10,
                             opset_imports=[helper.make_opsetid("", 21)], **kwargs)


def identity(**kwargs):
    return model([helper.make_node("Identity", ["x"], ["y"])], **kwargs)


def weights(name="w"):
    return numpy_helper.from_array(np.eye(2, dtype=np.float32), name)


def external(tensor):
    """Makes the tensor point at another file."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    return tensor


def branch(name, tensor):
    node = helper.make_node("Constant", [], [name], value=tensor)
    return helper.make_graph([node], name, [], [helper.make_tensor_value_info(name, F, [2, 2])])


def conditional(tensor):
    """A model with an If: the tensor is in one of its subgraphs."""
    cond = helper.make_tensor_value_info("c", TensorProto.BOOL, [1])
    nodes = [helper.make_node("If", ["c"], ["m"], then_branch=branch("t", tensor), else_branch=branch("e", weights())),
             helper.make_node("MatMul", ["x", "m"], ["y"])]
    return model(nodes, inputs=[X, cond])


def with_function(tensor):
    """A model that calls a function; the tensor is a constant inside it."""
    nodes = [helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("MatMul", ["a", "w"], ["b"])]
    f = helper.make_function("local", "F", ["a"], ["b"], nodes, [helper.make_opsetid("", 21)])
    m = model([helper.make_node("F", ["x"], ["y"], domain="local")], functions=[f])
    m.opset_import.append(helper.make_opsetid("local", 1))
    return m


def matmul(tensor, inputs=(X,)):
    return model([helper.make_node("MatMul", ["x", "w"], ["y"])], inputs=inputs, initializers=[tensor])


def sparse(tensor):
    m = matmul(weights())
    del m.graph.initializer[:]
    indices = numpy_helper.from_array(np.array([0, 3], dtype=np.int64), "")
    m.graph.sparse_initializer.append(helper.make_sparse_tensor(tensor, indices, [2, 2]))
    return m


def values(name="w"):
    return numpy_helper.from_array(np.ones(2, dtype=np.float32), name)


def classifier(**options):
    """Columns of numbers and strings, encoding inside the graph: the form that functions/train writes."""
    rng = np.random.default_rng(7)
    table = np.empty((200, 2), dtype=object)
    table[:, 0] = rng.normal(size=200).astype(np.float32)
    table[:, 1] = rng.choice(["a", "b"], 200)
    y = (table[:, 0].astype(np.float32) + (table[:, 1] == "a") > 0.5).astype(np.int64)
    encode = ColumnTransformer([("n", "passthrough", [0]), ("c", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [1])])
    pipeline = Pipeline([("encode", encode), ("trees", HistGradientBoostingClassifier(max_iter=3, max_leaf_nodes=4))]).fit(table, y)
    m = to_onnx(pipeline, initial_types=[("delay", FloatTensorType([None, 1])), ("carrier", StringTensorType([None, 1]))],
                options={id(pipeline): options}, target_opset={"": 21, "ai.onnx.ml": 3})
    m.graph.name = "pipeline"  # skl2onnx makes one up
    return m


def zipmap():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(50, 2)).astype(np.float32)
    m = to_onnx(LogisticRegression().fit(x, x[:, 0] > 0), x[:1], target_opset={"": 21, "ai.onnx.ml": 3})
    m.graph.name = "logistic"
    return m


def every_type():
    """One input of each element type that is served, and each form of a shape."""
    kinds = ["FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "STRING", "BOOL", "FLOAT16", "DOUBLE", "UINT32", "UINT64"]
    ins = [helper.make_tensor_value_info("in_" + k.lower(), getattr(TensorProto, k), [None, 3]) for k in kinds]
    outs = [helper.make_tensor_value_info("out_" + k.lower(), getattr(TensorProto, k), ["batch", 3]) for k in kinds]
    ins.append(helper.make_tensor_value_info("scalar", F, []))
    outs.append(helper.make_tensor_value_info("free", F, [None, "a", 4, None]))
    nodes = [helper.make_node("Identity", [i.name], [o.name]) for i, o in zip(ins, outs[:len(kinds)])]
    nodes.append(helper.make_node("Expand", ["scalar", "shape"], ["free"]))
    m = model(nodes, inputs=ins, outputs=outs, initializers=[numpy_helper.from_array(np.array([1, 1, 4, 1], dtype=np.int64), "shape")])
    helper.set_model_props(m, {"owner": "tests", "note": "a text: \u00e9"})
    m.model_version = 3
    return m


def typed(type_proto, name="y"):
    return identity(outputs=[helper.make_value_info(name, type_proto)])


def write(folder, name, m):
    (HERE / folder).mkdir(exist_ok=True)
    (HERE / folder / f"{name}.onnx").write_bytes(m.SerializeToString(deterministic=True))


def reference(m):
    """What the onnx package says about a model."""
    filled = {t.name for t in m.graph.initializer} | {t.values.name for t in m.graph.sparse_initializer}

    def spec(v):
        t = v.type.tensor_type
        shape = [d.dim_value if d.HasField("dim_value") else -1 for d in t.shape.dim] if t.HasField("shape") else None
        return {"name": v.name, "type": TensorProto.DataType.Name(t.elem_type), "shape": shape}

    return {
        "ir_version": m.ir_version, "producer_name": m.producer_name, "producer_version": m.producer_version,
        "model_version": m.model_version, "graph_name": m.graph.name, "nodes": len(m.graph.node),
        "opsets": [{"domain": o.domain, "version": o.version} for o in m.opset_import],
        "metadata": {p.key: p.value for p in m.metadata_props},
        "inputs": [spec(v) for v in m.graph.input if v.name not in filled], "outputs": [spec(v) for v in m.graph.output],
    }


GOOD = {
    "identity": identity(),
    "classifier": classifier(zipmap=False),
    "every_type": every_type(),
    "conditional": conditional(weights()),
    "function": with_function(weights()),
    "sparse": sparse(values()),
    "unknown_rank": identity(outputs=[helper.make_tensor_value_info("y", F, None)]),
    # Before IR version 4 initializers are inputs as well.
    "initializer_is_input": matmul(weights(), inputs=(X, helper.make_tensor_value_info("w", F, [2, 2]))),
}

complex_out = helper.make_tensor_value_info("y", TensorProto.COMPLEX64, ["N", 2])
bfloat_in = helper.make_tensor_value_info("x", TensorProto.BFLOAT16, ["N", 2])
tensor_type = helper.make_tensor_type_proto(F, ["N"])
BAD = {
    "external_initializer": matmul(external(weights())),
    "external_subgraph": conditional(external(weights("inner"))),
    "external_function": with_function(external(weights("in_function"))),
    "external_sparse": sparse(external(values("in_sparse"))),
    "sequence": typed(helper.make_sequence_type_proto(tensor_type)),
    "zipmap": zipmap(),
    "map": typed(helper.make_map_type_proto(TensorProto.INT64, tensor_type)),
    "optional": typed(helper.make_optional_type_proto(tensor_type)),
    "sparse_type": typed(helper.make_sparse_tensor_type_proto(F, [2, 2])),
    "complex": identity(outputs=[complex_out]),
    "bfloat16": identity(inputs=[bfloat_in]),
    "no_graph": onnx.ModelProto(ir_version=10, producer_name="tidegate tests"),
    "no_input": model([helper.make_node("Constant", [], ["y"], value=weights())], inputs=[]),
    "no_output": identity(outputs=[]),
    "no_type": identity(outputs=[onnx.ValueInfoProto(name="y")]),
    "no_name": identity(inputs=[helper.make_tensor_value_info("", F, [1])]),
    "control_character": identity(inputs=[helper.make_tensor_value_info("a\nb", F, [1])]),
    "same_input_twice": identity(inputs=[X, X]),
    "same_output_twice": identity(outputs=[Y, Y]),
    "all_inputs_filled": matmul(weights("x"), inputs=[X]),
}

if __name__ == "__main__":
    for name, m in GOOD.items():
        if name != "unknown_rank":  # exporters write it, the checker wants a shape
            onnx.checker.check_model(m)
        write("good", name, m)
        (HERE / "good" / f"{name}.json").write_text(json.dumps(reference(m), indent=1, sort_keys=True) + "\n")
    for name, m in BAD.items():
        write("bad", name, m)

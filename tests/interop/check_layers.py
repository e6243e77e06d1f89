"""Holds every ONNX file under a folder against what gradus answered: `check_layers.py CASES`.

Beside them the SavedModels are read with TensorFlow's own messages, which the tensorboard package
brings along without TensorFlow: every field has to be known, and the graph has to hang together.

Needs onnx, onnxruntime, numpy and tensorboard. The last line is the largest difference; it fails
above 1e-5.
"""
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from tensorboard.compat.proto import meta_graph_pb2

LIMIT = 1e-5


def difference(y, expected):
    """The largest one, in proportion where numbers are larger than 1."""
    return float((np.abs(y - expected) / np.maximum(1, np.abs(expected))).max())


def answers(path, x):
    """What onnxruntime makes of x, once onnx.checker has found nothing wrong."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (inputs,), (outputs,) = session.get_inputs(), session.get_outputs()
    whole = session.run(None, {inputs.name: x})[0]
    one = session.run([outputs.name], {inputs.name: x[:1]})[0]
    assert difference(one, whole[:1]) <= LIMIT, f"{path}: a batch of one answers differently"
    return whole


def meta_graph(path):
    """The one MetaGraphDef of a SavedModel, whose two fields are a version and a list of these."""
    data, at, graphs = path.read_bytes(), 0, []

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        field = varint()
        if field == 1 << 3:
            assert varint() == 1, f"{path}: the schema's version"
            continue
        assert field == 2 << 3 | 2, f"{path}: an unknown field {field >> 3}"
        length = varint()
        graphs.append(meta_graph_pb2.MetaGraphDef.FromString(data[at:at + length]))
        at += length
    assert len(graphs) == 1, f"{path}: {len(graphs)} graphs"
    return graphs[0]


def expect_known(message, path):
    """No field anywhere that TensorFlow does not know."""
    assert not len(UnknownFieldSet(message)), f"{path}: unknown fields in {type(message).__name__}"
    for _, value in message.ListFields():
        # One message, a map of them, or a sequence; or anything else, which has no fields.
        several = [value] if isinstance(value, (Message, str, bytes, int, float)) else \
            [value[key] for key in value] if hasattr(value, "keys") else list(value)
        for inner in several:
            if isinstance(inner, Message):
                expect_known(inner, path)


def check_saved_model(path):
    """Tags, signature, and a graph whose edges end at nodes."""
    graph = meta_graph(path)
    expect_known(graph, path)
    assert list(graph.meta_info_def.tags) == ["serve"], f"{path}: {graph.meta_info_def.tags}"
    nodes = {node.name: node for node in graph.graph_def.node}
    assert len(nodes) == len(graph.graph_def.node) > 0, f"{path}: two nodes of one name"
    of = lambda name: name.lstrip("^").split(":")[0]
    signature = graph.signature_def["serving_default"]
    assert signature.inputs and signature.outputs, f"{path}: no inputs or outputs"
    for tensor in [*signature.inputs.values(), *signature.outputs.values()]:
        assert of(tensor.name) in nodes, f"{path}: no {tensor.name}"
    for node in nodes.values():
        for name in node.input:
            assert of(name) in nodes, f"{path}: {node.name} reads {name}, which is not there"
        if node.op == "Const":
            tensor = node.attr["value"].tensor
            count = int(np.prod([dim.size for dim in tensor.tensor_shape.dim]))
            assert tensor.dtype == node.attr["dtype"].type, f"{path}: {node.name}"
            if tensor.tensor_content:
                assert len(tensor.tensor_content) == 4 * count, f"{path}: {node.name}"


def main(cases):
    saved_models = sorted(cases.glob("*/*/saved_model.pb")) + sorted(cases.glob("*/*/*/saved_model.pb"))
    for path in saved_models:
        check_saved_model(path)
    print(f"{len(saved_models)} SavedModels have only fields that TensorFlow knows")
    if not saved_models:
        return 1
    worst, count = 0.0, 0
    for folder in sorted(p.parent for p in cases.glob("*/x.npy")):
        x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
        for name in ("nhwc", "nchw"):
            given = x if name == "nhwc" else np.ascontiguousarray(x.transpose(0, 3, 1, 2))
            answer = answers(str(folder / f"{name}.onnx"), given)
            if name == "nchw" and answer.ndim == 4:
                answer = answer.transpose(0, 2, 3, 1)
            off = difference(answer.reshape(y.shape), y)
            worst, count = max(worst, off), count + 1
            if not off <= LIMIT:
                print(f"{folder.name}/{name}.onnx: off by {off:.2e}")
    print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}: {count} files, "
          f"largest difference {worst:.1e}")
    return 0 if count and worst <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))

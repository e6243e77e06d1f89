"""Asks everyone who serves models for what gradus answered: `served.py CASES`.

Prints a section of Markdown: versions, sizes, and the largest difference in probabilities. It fails
where one is above 1e-5, for photos that the graph resizes above 1e-4, or where somebody cannot load a
file.
"""
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import traceback
import warnings

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
warnings.filterwarnings("ignore")

import keras
import numpy as np
import onnx
import onnxruntime
import openvino
import tensorflow as tf

import check_layers
from check_layers import LIMIT, difference

NETWORKS = ["dogs_vs_cats", "resnet18", "inception_like"]
KINDS = ["saved_model", "variables"]
# Whose sizes are told, those that other scripts load among them.
FILES = [*KINDS, "nhwc.onnx", "model.keras", "model.weights.h5", "pytorch.safetensors"]
# For photos that are resized in the graph. gradus rounds to whole levels between the two axes, as Pillow
# does, and the graph once, after both: pixels are off by up to a level of 255, which came to 5.3e-5 in a
# probability with bilinear. What overshoots is cut off there as well: with bicubic and lanczos one pixel
# in a thousand is off by up to four levels, which came to 2.3e-4.
RESIZED = {"nearest": 1e-4, "bilinear": 1e-4, "bicubic": 5e-4, "lanczos": 5e-4}


def only(values):
    (value,) = values
    return value


def loaded(folder, x):
    signature = tf.saved_model.load(folder).signatures["serving_default"]
    name = only(signature.structured_input_signature[1])
    return only(signature(**{name: tf.constant(x)}).values()).numpy()


def loaded_by_v1(folder, x):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], folder)
        signature = graph.signature_def["serving_default"]
        inputs, outputs = only(signature.inputs.values()), only(signature.outputs.values())
        return session.run(outputs.name, {inputs.name: x})


def run_by_cli(folder, x):
    name = only(tf.saved_model.load(folder).signatures["serving_default"]
                .structured_input_signature[1])
    with tempfile.TemporaryDirectory() as out:
        np.save(f"{out}/x.npy", x)
        program = pathlib.Path(sys.executable).with_name("saved_model_cli")
        subprocess.run([program, "run", "--dir", folder, "--tag_set", "serve", "--signature_def",
                        "serving_default", "--inputs", f"{name}={out}/x.npy", "--outdir",
                        f"{out}/y"], check=True, capture_output=True)
        return np.load(only(pathlib.Path(out, "y").glob("*.npy")))


def as_a_keras_layer(folder, x):
    layer = keras.layers.TFSMLayer(folder, call_endpoint="serving_default")
    inputs = keras.Input(x.shape[1:])
    return only(keras.Model(inputs, layer(inputs)).predict(x, verbose=0).values())


def by_tflite(folder, x):
    model = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    interpreter = tf.lite.Interpreter(model_content=model)
    inputs, outputs = only(interpreter.get_input_details()), only(interpreter.get_output_details())
    interpreter.resize_tensor_input(inputs["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(inputs["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(outputs["index"])


def by_openvino(path, x):
    model = openvino.convert_model(path)
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    return only(openvino.compile_model(model, "CPU", options)(x).values())


def nchw(read):
    """The same with channels first, there and back."""
    def read_nchw(path, x):
        y = read(path, np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        return y.transpose(0, 2, 3, 1) if y.ndim == 4 else y
    return read_nchw


READERS = [
    ("SavedModel", "`tf.saved_model.load`", loaded, KINDS),
    ("SavedModel", "`tf.compat.v1.saved_model.load`", loaded_by_v1, KINDS),
    ("SavedModel", "`saved_model_cli run`", run_by_cli, KINDS),
    ("SavedModel", "`keras.layers.TFSMLayer`", as_a_keras_layer, KINDS),
    ("SavedModel", "TFLite, converter and interpreter", by_tflite, KINDS),
    ("SavedModel", "OpenVINO", by_openvino, KINDS),
    ("ONNX", "`onnx.checker`, onnxruntime", check_layers.answers, ["nhwc.onnx"]),
    ("ONNX, channels first", "`onnx.checker`, onnxruntime", nchw(check_layers.answers),
     ["nchw.onnx"]),
    ("ONNX", "OpenVINO", by_openvino, ["nhwc.onnx"]),
    ("ONNX, channels first", "OpenVINO", nchw(by_openvino), ["nchw.onnx"]),
]


class Report:
    """Lines of Markdown, and whether all is well."""

    def __init__(self):
        self.lines, self.good = [], True

    def row(self, *cells):
        self.lines.append("| " + " | ".join(cells) + " |")

    def cell(self, what, read, path, x, y):
        """The difference, or that it could not be read."""
        try:
            off = difference(np.asarray(read(str(path), x)).reshape(y.shape), y)
        except Exception:
            print(f"{what}: {path}\n{traceback.format_exc()}", file=sys.stderr)
            self.good = False
            return "fails"
        print(f"{what}: {path}: {off:.1e}", file=sys.stderr)
        self.good = self.good and off <= LIMIT
        return f"{off:.1e}"


def size(path):
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return f"{sum(p.stat().st_size for p in files) / 1e6:.2f} MB"


def networks(cases, report):
    report.row("form", "read by", *NETWORKS)
    report.row("---", "---", *["---:"] * len(NETWORKS))
    for form, reader, read, kinds in READERS:
        for kind in kinds:
            cells = []
            for network in NETWORKS:
                folder = cases / network
                x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
                cells.append(report.cell(reader, read, folder / kind, x, y))
            report.row(f"{form}, variables" if kind == "variables" else form, reader, *cells)
    report.lines.append("")
    report.row("size of", *NETWORKS)
    report.row("---", *["---:"] * len(NETWORKS))
    for kind in FILES:
        report.row(f"`{kind}`", *(size(cases / network / kind) for network in NETWORKS))


def layers(cases, report):
    """Every network under CASES, by the readers that start at once."""
    folders = sorted(p.parent for p in cases.glob("*/x.npy") if p.parent.name not in NETWORKS)
    report.row("form", "read by", "networks", "largest difference")
    report.row("---", "---", "---:", "---:")
    for form, reader, read, kinds in READERS:
        if read in (loaded_by_v1, run_by_cli, as_a_keras_layer):
            continue
        for kind in kinds:
            cells = []
            for folder in folders:
                x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
                cells.append(report.cell(reader, read, folder / kind, x, y))
            worst = "fails" if "fails" in cells else max(cells, key=float)
            form = f"{form}, variables" if kind == "variables" else form
            report.row(form, reader, str(len(cells)), worst)


def photos(cases, report):
    """Raw photos of their own sizes to the graphs that resize them."""
    folder = cases / "pixels"
    sent = [np.load(p) for p in sorted(folder.glob("photo-*.npy"))]
    report.row("pixels in the graph", "photos", "of the network's size", "of their own sizes")
    report.row("---", "---:", "---:", "---:")
    for name in ["nearest", "bilinear", "bicubic", "lanczos"]:
        y = np.load(folder / f"{name}.npy")
        off = [difference(loaded(str(folder / name), photo[None])[0], expected)
               for photo, expected in zip(sent, y)]
        resized = [photo.shape[:2] != sent[0].shape[:2] for photo in sent]
        same = max(o for o, r in zip(off, resized) if not r)
        other = max(o for o, r in zip(off, resized) if r)
        report.good = report.good and same <= LIMIT and other <= RESIZED[name]
        report.row(name, str(len(sent)), f"{same:.1e}", f"{other:.1e}")


def main(cases):
    report = Report()
    report.lines += [
        "## Read by others", "",
        f"Python {platform.python_version()}, TensorFlow {tf.__version__}, Keras "
        f"{keras.__version__}, onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}, "
        f"OpenVINO {openvino.__version__.split('-')[0]}.", "",
        "Largest difference in probabilities from gradus's own, on a batch of photos:", ""]
    networks(cases, report)
    report.lines += ["", "Small networks with random weights, which hold every layer with every "
                     "option; the difference is in proportion where an output is above 1:", ""]
    layers(cases, report)
    report.lines += ["", "Raw photos to a SavedModel that takes pixels, read by "
                     "`tf.saved_model.load`, against gradus's own decoding and resizing:", ""]
    photos(cases, report)
    print("\n".join(report.lines))
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))

"""Holds every ONNX file under a folder against what gradus answered: `check_layers.py CASES`.

Needs onnx, onnxruntime and numpy. The last line is the largest difference; it fails above 1e-5.
"""
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime

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


def main(cases):
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

"""Makes the small files of Keras beside it: `generate.py`, with Keras 3.15.1, tf_keras 2.21.0, h5py 3.14.

`keras3.keras`, `keras2.h5` and their answers to x[i] = (7 i mod 11) / 11 in `answers.json`; `branches.zip`
with two more of both kinds, whose layers branch, and which have models inside; `cycle.h5`, in which a
group contains itself.
"""
import json
import os
import pathlib
import tempfile
import zipfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import h5py
import keras
import numpy as np
import tf_keras

FOLDER = pathlib.Path(__file__).parent
IMAGE = (6, 5, 1)


def network(k):
    layers = k.layers
    return k.Sequential([
        layers.Conv2D(2, 3, activation="relu", padding="same", input_shape=IMAGE, name="first")
        if k is tf_keras else layers.Conv2D(2, 3, activation="relu", padding="same", name="first"),
        layers.BatchNormalization(name="normal"),
        layers.MaxPooling2D(2, name="pool"),
        layers.Dropout(0.25, name="drop"),
        layers.Flatten(name="flat"),
        layers.Dense(3, activation="softmax", name="last"),
    ])


def branches(k):
    """Branches in every form that gradus has, of layers that are alike: weights must not be mixed up."""
    L = k.layers

    def convolution(x, name, size=1, **options):
        x = L.Conv2D(3, size, padding="same", name=f"{name}_conv", **options)(x)
        return L.BatchNormalization(name=f"{name}_bn")(x)

    x = image = k.Input(IMAGE)
    x = L.ZeroPadding2D(((0, 1), (1, 0)), name="pad")(x)
    x = L.Activation("relu", name="stem_relu")(convolution(x, "stem", 3, strides=2))
    # As in keras.applications: the shortcut is taken first.
    shortcut = convolution(x, "a0")
    body = convolution(L.Activation("relu", name="a1_relu")(convolution(x, "a1")), "a2", 3)
    x = L.Activation("relu", name="a_out")(L.Add(name="a_add")([shortcut, body]))
    x = L.ReLU(name="b_out")(L.Add(name="b_add")([x, convolution(x, "b1", 3)]))
    x = L.Add(name="c_add")([convolution(x, "c0"), x, convolution(x, "c1"), L.Conv2D(3, 1, name="c2")(x)])
    if k is not tf_keras:
        x = x + L.Conv2D(3, 1, activation="tanh", name="plus")(x)
    pooled = L.AveragePooling2D(2, strides=1, padding="same", name="d_pool")(x)
    inner = L.Concatenate(name="d_inner")([L.Conv2D(2, 3, padding="same", name="d1")(x), pooled])
    x = L.Concatenate(name="d_concat")([x, inner, L.Conv2D(2, 1, name="d2")(x)])
    base = k.Model(image, x, name="base")
    head = k.Sequential([L.Dense(4, activation="elu", name="hidden"), L.Dense(3, activation="softmax", name="last")],
                        name="head")
    image = k.Input(IMAGE)
    x = L.GlobalAveragePooling2D(name="mean")(base(image, training=False))
    return k.Model(image, head(L.Concatenate(name="twice")([L.Dense(2, name="wide")(x), x])))


def write_branches(x, random):
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(
            FOLDER / "branches.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        answers = {}
        for name, k in [("branches3.keras", keras), ("branches2.h5", tf_keras)]:
            model = branches(k)
            model.set_weights([random.uniform(-0.5 if w.ndim > 1 else 0.3, 0.5, w.shape).astype(np.float32)
                               for w in model.get_weights()])
            path = pathlib.Path(folder) / name
            model.save(path)
            answers[name] = model.predict(x, verbose=0).tolist()
            archive.writestr(zipfile.ZipInfo(name), path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
        archive.writestr(zipfile.ZipInfo("answers.json"), json.dumps(answers))


def main():
    x = ((7 * np.arange(2 * 30)) % 11 / 11).astype(np.float32).reshape(2, *IMAGE)
    random, answers = np.random.default_rng(0), {}
    for name, k in [("keras3.keras", keras), ("keras2.h5", tf_keras)]:
        model = network(k)
        model.build((None, *IMAGE))
        model.set_weights([random.uniform(0.1, 1, w.shape).astype(np.float32) - 0.3 * (w.ndim > 1)
                           for w in model.get_weights()])
        model.compile("rmsprop", "categorical_crossentropy")
        model.save(FOLDER / name)
        answers[name] = model.predict(x, verbose=0).tolist()
    (FOLDER / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")
    write_branches(x, random)
    with h5py.File(FOLDER / "cycle.h5", "w") as file:
        group = file.create_group("layers")
        for i in range(4):
            group[f"again_{i}"] = group


main()

"""Makes the small files of Keras beside it: `generate.py`, with Keras 3.15.1, tf_keras 2.21.0, h5py 3.14.

`keras3.keras`, `keras2.h5` and their answers to x[i] = (7 i mod 11) / 11 in `answers.json`; `cycle.h5`,
in which a group contains itself.
"""
import json
import os
import pathlib

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
    with h5py.File(FOLDER / "cycle.h5", "w") as file:
        group = file.create_group("layers")
        for i in range(4):
            group[f"again_{i}"] = group


main()

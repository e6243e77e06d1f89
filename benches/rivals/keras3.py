"""Keras 3's side of `cargo xtask rivals`, on TensorFlow: the tutorial's network.

    python keras3.py train --batch 15 --threads 2 --seconds 3
    python keras3.py infer --batch 64 --threads 2 --seconds 3

The first line says what was measured: versions, parameters. Each other line is one measure as
JSON: its name, and how many images a second the median call gets done.
"""

import argparse
import json
import os
import platform
import statistics
import time

arguments = argparse.ArgumentParser()
arguments.add_argument("what", choices=["train", "infer"])
arguments.add_argument("--batch", type=int, default=15)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--inter-op", type=int, default=1)
arguments.add_argument("--jit", choices=["auto", "on", "off"], default="off")
arguments.add_argument("--seconds", type=float, default=3)
options = arguments.parse_args()
os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1",
                  OMP_NUM_THREADS=str(options.threads))

import numpy as np
import tensorflow as tf
import keras
from keras import layers

tf.config.threading.set_intra_op_parallelism_threads(options.threads)
tf.config.threading.set_inter_op_parallelism_threads(options.inter_op)


def tutorial():
    model = keras.Sequential([layers.Input((128, 128, 3))])
    for filters in (32, 64, 128):
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        model.add(layers.BatchNormalization())
        model.add(layers.MaxPooling2D(2))
        model.add(layers.Dropout(0.25))
    model.add(layers.Flatten())
    model.add(layers.Dense(512, activation="relu"))
    model.add(layers.BatchNormalization())
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(2, activation="softmax"))
    jit = {"auto": "auto", "on": True, "off": False}[options.jit]
    model.compile(loss="categorical_crossentropy", optimizer="rmsprop", metrics=["accuracy"],
                  jit_compile=jit)
    return model


def report(measure, work, call):
    """How much work a second the median call does."""
    for _ in range(4):
        call()
    times, end = [], time.perf_counter() + options.seconds
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    print(json.dumps({"measure": measure, "rate": work / statistics.median(times)}), flush=True)


model = tutorial()
print(json.dumps({
    "version": f"Keras {keras.__version__} on TensorFlow {tf.__version__} "
               f"(Python {platform.python_version()})",
    "parameters": model.count_params(), "threads": options.threads}), flush=True)
n = options.batch
x = tf.constant(np.random.default_rng(0).random((n, 128, 128, 3), dtype="float32"))
if options.what == "train":
    y = tf.constant(np.eye(2, dtype="float32")[np.arange(n) % 2])
    report("train", n, lambda: model.train_on_batch(x, y))
else:
    # Without what predict() adds around it, and with the result fetched.
    answer = tf.function(lambda x: model(x, training=False), jit_compile=options.jit == "on")
    report("infer", n, lambda: answer(x).numpy())

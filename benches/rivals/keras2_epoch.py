"""Keras 2's side of `cargo xtask rivals epoch`: the tutorial's epoch on photos, as published.

    python keras2_epoch.py --data DIR --threads 2

DIR holds dogs_vs_cats-train.csv and dogs_vs_cats-val.csv. Prints images a second of the median
epoch after the first, validation included, in the form of the other scripts.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import statistics
import time

arguments = argparse.ArgumentParser()
arguments.add_argument("--data", required=True)
arguments.add_argument("--batch", type=int, default=15)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--epochs", type=int, default=3)
options = arguments.parse_args()
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")

import pandas as pd
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers
from tf_keras.preprocessing.image import ImageDataGenerator

tf.config.threading.set_intra_op_parallelism_threads(options.threads)
keras.utils.set_random_seed(0)


def flow(part, **augmentation):
    frame = pd.read_csv(os.path.join(options.data, f"dogs_vs_cats-{part}.csv"), dtype=str)
    with contextlib.redirect_stdout(io.StringIO()):
        return ImageDataGenerator(rescale=1 / 255, **augmentation).flow_from_dataframe(
            frame, options.data, x_col="filename", y_col="category", target_size=(128, 128),
            class_mode="categorical", batch_size=options.batch)


class Clock(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.times = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.times.append(time.perf_counter() - self.start)


model = keras.Sequential([layers.Input((128, 128, 3))])
for filters in (32, 64, 128):
    model.add(layers.Conv2D(filters, (3, 3), activation="relu"))
    model.add(layers.BatchNormalization())
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Dropout(0.25))
model.add(layers.Flatten())
model.add(layers.Dense(512, activation="relu"))
model.add(layers.BatchNormalization())
model.add(layers.Dropout(0.5))
model.add(layers.Dense(2, activation="softmax"))
model.compile(loss="categorical_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
print(json.dumps({
    "version": f"Keras {keras.__version__} (tf_keras) on TensorFlow {tf.__version__} "
               f"(Python {platform.python_version()})",
    "parameters": model.count_params(), "threads": options.threads}), flush=True)

train = flow("train", rotation_range=15, shear_range=0.1, zoom_range=0.2, horizontal_flip=True,
             width_shift_range=0.1, height_shift_range=0.1)
validation = flow("val")
steps = [max(1, part.samples // options.batch) for part in (train, validation)]
clock = Clock()
model.fit(train, epochs=options.epochs, steps_per_epoch=steps[0], validation_data=validation,
          validation_steps=steps[1], callbacks=[clock], verbose=0)
images = sum(steps) * options.batch
print(json.dumps({"measure": "epoch", "rate": images / statistics.median(clock.times[1:])}))

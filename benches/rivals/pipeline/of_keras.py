"""Keras 3's side of `cargo xtask rivals pipeline`: files to augmented batches, in one thread.

    python of_keras.py --data DIR

Prints images a second of processor time, the median of five epochs, and of each stage by the clock,
in the form of the other scripts. DIR is filled with drawings if it is empty.
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
arguments.add_argument("--threads", type=int, default=1)
options = arguments.parse_args()
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1", OMP_NUM_THREADS="1")

import keras
import pandas as pd
import PIL
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from keras.utils import img_to_array, load_img
from PIL import Image

import photos

ROUNDS = 5
TUTORIAL = dict(rotation_range=15, rescale=1 / 255, shear_range=0.1, zoom_range=0.2,
                horizontal_flip=True, width_shift_range=0.1, height_shift_range=0.1)


def say(measure, rate):
    print(json.dumps({"measure": measure, "rate": rate}), flush=True)


def epoch(flow):
    start = time.process_time()
    images = sum(len(flow[i][0]) for i in range(len(flow)))
    return images / (time.process_time() - start)


def stages(names):
    times = [[], [], []]
    generator = ImageDataGenerator(**TUTORIAL)
    for name in names:
        start = time.perf_counter()
        image = load_img(os.path.join(options.data, name))
        image.load()  # Pillow decodes no sooner than it must.
        decoded = time.perf_counter()
        small = img_to_array(image.resize((128, 128), Image.Resampling.NEAREST))
        resized = time.perf_counter()
        generator.standardize(
            generator.apply_transform(small, generator.get_random_transform(small.shape)))
        for stage, seconds in enumerate([
                decoded - start, resized - decoded, time.perf_counter() - resized]):
            times[stage].append(seconds)
    for stage, seconds in zip(["decode", "resize", "augment"], times):
        say(stage, 1 / statistics.median(seconds))


print(json.dumps({"version": f"Keras {keras.__version__}, Pillow {PIL.__version__} "
                             f"(Python {platform.python_version()})",
                  "parameters": None, "threads": options.threads}), flush=True)
names = photos.files(options.data)
frame = pd.DataFrame({"filename": names, "category": [name[:3] for name in names]})
with contextlib.redirect_stdout(io.StringIO()):
    flow = ImageDataGenerator(**TUTORIAL).flow_from_dataframe(
        frame, options.data, x_col="filename", y_col="category", target_size=(128, 128),
        batch_size=options.batch)
say("pipeline", statistics.median([epoch(flow) for _ in range(ROUNDS + 1)][1:]))
stages(names)

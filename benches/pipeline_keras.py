"""Keras's side of benches/pipeline.rs, on one thread; and the files for both.

    pip install keras jax scipy pillow pandas
    OMP_NUM_THREADS=1 KERAS_BACKEND=jax taskset -c 0 python benches/pipeline_keras.py DIR

DIR is filled with 600 JPEG files of about 200 x 180 pixels, quality 88, unless it has some.
"""

import os
import statistics
import sys
import time

import numpy as np
import pandas as pd
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from keras.utils import img_to_array, load_img
from PIL import Image

ROUNDS = 7
TUTORIAL = dict(rotation_range=15, rescale=1 / 255, shear_range=0.1, zoom_range=0.2,
                horizontal_flip=True, width_shift_range=0.1, height_shift_range=0.1)


def draw(folder, images=600):
    rng = np.random.default_rng(0)
    for index in range(images):
        kind, f = [("cat", 0.05), ("dog", 0.11)][index % 2]
        w, h = int(rng.integers(180, 221)), int(rng.integers(160, 201))
        y, x = np.mgrid[:h, :w]
        wave = [np.sin(f * x * (c + 1) * 0.5 + rng.uniform(0, 6))
                * np.cos(f * y + rng.uniform(0, 6)) for c in range(3)]
        pixels = 127 + 90 * np.stack(wave, -1) + 12 * rng.normal(size=(h, w, 3))
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        image.save(os.path.join(folder, f"{kind}.{index}.jpg"), quality=88)


def report(name, epoch):
    """Images a second of processor time; the first round warms up."""
    rates = []
    for _ in range(ROUNDS + 1):
        start = time.process_time()
        images = epoch()
        rates.append(images / (time.process_time() - start))
    rates = sorted(rates[1:])
    print(f"{name:34s} {statistics.median(rates):7.0f} images/s "
          f"({rates[0]:.0f} to {rates[-1]:.0f})", flush=True)


def stages(folder, names):
    times = [[], [], []]
    generator = ImageDataGenerator(**TUTORIAL)
    for name in names * 2:
        start = time.perf_counter()
        image = load_img(os.path.join(folder, name))
        image.load()  # Pillow decodes no sooner than it must.
        decoded = time.perf_counter()
        small = img_to_array(image.resize((128, 128), Image.Resampling.NEAREST))
        resized = time.perf_counter()
        generator.standardize(
            generator.apply_transform(small, generator.get_random_transform(small.shape)))
        for stage, seconds in enumerate([
                decoded - start, resized - decoded, time.perf_counter() - resized]):
            times[stage].append(seconds)
    for name, seconds in zip(["read and decode", "resize", "augment"], times):
        print(f"{name:34s} {statistics.median(seconds) * 1e6:7.1f} µs")


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    if not os.listdir(folder):
        draw(folder)
    names = sorted(os.listdir(folder))
    frame = pd.DataFrame({"filename": names, "category": [name[:3] for name in names]})
    flow = ImageDataGenerator(**TUTORIAL).flow_from_dataframe(
        frame, folder, x_col="filename", y_col="category", target_size=(128, 128), batch_size=15)
    report("flow_from_dataframe", lambda: sum(len(flow[i][0]) for i in range(len(flow))))
    stages(folder, names)


main()

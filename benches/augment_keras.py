"""Keras's side of benches/augment.rs, on one thread.

    pip install keras jax scipy pillow
    KERAS_BACKEND=jax python benches/augment_keras.py [DIR]

DIR holds JPEG files; without it only arrays in memory are augmented.
"""

import itertools
import os
import statistics
import sys
import time

import numpy as np
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from keras.utils import img_to_array, load_img

TUTORIAL = dict(rotation_range=15, rescale=1 / 255, shear_range=0.1, zoom_range=0.2,
                horizontal_flip=True, width_shift_range=0.1, height_shift_range=0.1)


def report(name, work, seconds=4.0):
    """The median of batches of 50, as images a second."""
    for _ in range(50):
        work()
    rates, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(50):
            work()
        rates.append(50 / (time.perf_counter() - start))
    print(f"{name:45s} {statistics.median(rates):8.0f} images/s")


def augmented(generator, image):
    x = image.copy()
    params = generator.get_random_transform(x.shape)
    return generator.standardize(generator.apply_transform(x, params))


def main():
    np.random.seed(1)
    r, c, k = np.ogrid[:128, :128, :3]
    image = ((r * 7 + c * 3 + k * 40) % 256).astype(np.float32)
    tutorial = ImageDataGenerator(**TUTORIAL)
    values = ImageDataGenerator(
        **TUTORIAL, channel_shift_range=20.0, brightness_range=[0.8, 1.2])
    report("tutorial", lambda: augmented(tutorial, image))
    report("brightness and channel shift", lambda: augmented(values, image))
    if len(sys.argv) > 1:
        folder = sys.argv[1]
        files = itertools.cycle(sorted(os.path.join(folder, f) for f in os.listdir(folder)))
        load = lambda: img_to_array(load_img(next(files), target_size=(128, 128)))
        report("decode, resize, augment", lambda: augmented(tutorial, load()))


main()

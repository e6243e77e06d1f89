"""What Keras's ImageDataGenerator draws, fits and standardizes: writes keras.json beside this file.

    pip install keras jax scipy pillow
    KERAS_BACKEND=jax python draws.py

The images are those of `noise` in tests/keras.rs.
"""

import json
import pathlib
import warnings

import keras
import numpy as np
from keras.src.legacy.preprocessing.image import ImageDataGenerator

warnings.simplefilter("ignore")
ALL = dict(rotation_range=25, shear_range=7.5, horizontal_flip=True, vertical_flip=True)
DRAWS = {
    "floats": dict(width_shift_range=0.1, height_shift_range=0.25, zoom_range=0.3),
    "pixels": dict(width_shift_range=7, height_shift_range=12.5, zoom_range=[0.5, 0.9]),
    "lists": dict(width_shift_range=[0.1, 0.2, 0.4], height_shift_range=[3.0, 8.0, 0.5]),
    "one pixel": dict(width_shift_range=1, height_shift_range=[0.3], zoom_range=0.1),
}
VALUES = dict(channel_shift_range=40.0, brightness_range=[0.6, 1.5])
SHAPE = (31, 18, 3)
SEEDS = [0, 1, 2, 7, 42, 123456789, 2**32 - 1]


def noise(*shape):
    h = np.arange(np.prod(shape), dtype=np.uint32) * np.uint32(2654435761)
    h = (h ^ h >> np.uint32(15)) * np.uint32(2246822519)
    return ((h ^ h >> np.uint32(13)) >> np.uint32(24)).reshape(shape)


def draws(options):
    """Seven seeds, three draws in a row from each; as text, which every reader reads exactly."""
    generator = ImageDataGenerator(**ALL, **VALUES, **options)
    rows = []
    for seed in SEEDS:
        np.random.seed(seed)
        rows += [generator.get_random_transform(SHAPE) for _ in range(3)]
    return [{k: repr(float(v)) for k, v in row.items()} for row in rows]


def fitted(images, fit=None, **options):
    """The statistics, and the first image standardized by them. ZCA in float64: Keras's SVD in
    float32 is off by 1e-5."""
    generator = ImageDataGenerator(**options)
    generator.fit(images, **(fit or {}))
    case = {"y": generator.standardize(images[0].astype(generator.dtype))}
    for name in ("mean", "std", "zca_whitening_matrix"):
        if getattr(generator, name) is not None:
            case[name] = getattr(generator, name)
    return {k: [float(f"{x:.9g}") for x in np.ravel(v)] for k, v in case.items()}


def main():
    images = noise(40, 3, 2, 3)
    few = noise(4, 3, 2, 3)
    std = dict(featurewise_std_normalization=True, rescale=1 / 255)
    augment = dict(augment=True, rounds=3, seed=11)
    result = {
        "keras": keras.__version__,
        "seeds": SEEDS,
        "shape": SHAPE,
        "draws": {name: draws(options) for name, options in DRAWS.items()},
        "fit": {
            "center": fitted(images, featurewise_center=True),
            "std": fitted(images, **std),
            "samplewise and std": fitted(images, samplewise_std_normalization=True, **std),
            "augmented": fitted(images, augment, **std, rotation_range=90, horizontal_flip=True),
            "augmented brightness": fitted(
                images, augment, featurewise_std_normalization=True, brightness_range=[0.5, 1.5],
                channel_shift_range=30.0),
            "zca": fitted(images, dtype="float64", zca_whitening=True, rescale=1 / 255),
            "zca of few": fitted(
                few, dtype="float64", zca_whitening=True, zca_epsilon=0.1, rescale=1 / 255),
        },
    }
    path = pathlib.Path(__file__).with_name("keras.json")
    path.write_text(json.dumps(result, indent=None, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size, "bytes")


main()

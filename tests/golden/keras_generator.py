"""Writes keras_generator.safetensors: batches of the real Keras's own flow_from_dataframe.

    pip install "keras==3.15.1" jax pillow pandas scipy safetensors
    python tests/golden/keras_generator.py

Seven small PNG files drawn by a formula, everything that ImageDataGenerator changes switched on, two
epochs by next(): the rows in the order in which they came, and their images. Two runs give the same
bytes.
"""

import json
import os
import pathlib
import tempfile

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"

import keras
import numpy as np
import pandas as pd
import PIL
import scipy
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from PIL import Image
from safetensors.numpy import save_file

FILES, BATCH, EPOCHS = 7, 3, 2
ALL = dict(
    rotation_range=25, width_shift_range=0.2, height_shift_range=0.15, shear_range=12.0, zoom_range=0.3,
    horizontal_flip=True, vertical_flip=True, channel_shift_range=30.0, brightness_range=[0.6, 1.4])

CASES = {
    "nearest.square": dict(target=(16, 16), seed=42, **ALL),
    "nearest.tall_reflect": dict(target=(19, 11), seed=7, fill_mode="reflect", rescale=1 / 255, **ALL),
    "nearest.wide_constant": dict(
        target=(10, 21), seed=123456, fill_mode="constant", cval=90.0, interpolation_order=0, **ALL),
    "bilinear.wide_wrap": dict(target=(12, 16), seed=3, fill_mode="wrap", **ALL),
}


def drawing(i):
    r, c, k = np.ogrid[: 15 + 4 * i, : 31 - 2 * i, :3]
    return ((7 * r + 13 * c + 50 * k + 29 * i + 3 * (r * c % 31)) % 256).astype(np.uint8)


def run(folder, name, options):
    options = dict(options)
    target, seed = options.pop("target"), options.pop("seed")
    frame = pd.DataFrame({
        "filename": [f"{i}.png" for i in range(FILES)],
        "class": [["a", "b"][i % 2] for i in range(FILES)]})
    flow = ImageDataGenerator(**options).flow_from_dataframe(
        frame, folder, target_size=target, batch_size=BATCH, seed=seed, interpolation=name.split(".")[0])
    rows, make = [], flow._get_batches_of_transformed_samples

    def spy(index_array):
        rows.extend(index_array.tolist())
        return make(index_array)

    flow._get_batches_of_transformed_samples = spy
    images = [next(flow)[0] for _ in range(EPOCHS * len(flow))]
    return {"rows": np.array(rows, dtype=np.int32), "images": np.concatenate(images)}


def main():
    tensors = {}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(FILES):
            Image.fromarray(drawing(i)).save(os.path.join(folder, f"{i}.png"))
        for name, options in CASES.items():
            for field, value in run(folder, name, options).items():
                tensors[f"{name}/{field}"] = value
    versions = {m.__name__: m.__version__ for m in (keras, np, PIL, scipy)}
    text = json.dumps({"cases": CASES, "versions": versions}, sort_keys=True)
    path = pathlib.Path(__file__).with_suffix(".safetensors")
    save_file(dict(sorted(tensors.items())), path, metadata={"golden": text})
    print(path, path.stat().st_size, "bytes,", len(CASES), "cases")


main()

"""Writes keras_order.json: the rows, random draws and file numbers of Keras's own generator.

    pip install keras jax pillow pandas scipy
    KERAS_BACKEND=jax python keras_order.py
"""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from PIL import Image

DRAWS = 2


class Recorder(ImageDataGenerator):
    """Draws as any generator does, from where Keras has left the stream, and changes nothing."""

    def __init__(self):
        super().__init__()
        self.draws = []

    def get_random_transform(self, img_shape, seed=None):
        self.draws.append([np.random.random() for _ in range(DRAWS)])
        return {}

    def apply_transform(self, x, transform_parameters):
        return x


def run(kind, n, batch_size, seed, shuffle, save, epochs):
    recorder, seen = Recorder(), []
    with tempfile.TemporaryDirectory() as images, tempfile.TemporaryDirectory() as saved:
        options = dict(batch_size=batch_size, seed=seed, shuffle=shuffle)
        if save:
            options |= dict(save_to_dir=saved, save_prefix="x")
        if kind == "files":
            names = [f"{i}.png" for i in range(n)]
            for name in names:
                Image.new("RGB", (2, 2)).save(os.path.join(images, name))
            frame = pd.DataFrame({"filename": names, "class": ["a", "b"] * (n // 2) + ["a"] * (n % 2)})
            flow = recorder.flow_from_dataframe(frame, images, target_size=(2, 2), **options)
        else:
            flow = recorder.flow(np.zeros((n, 2, 2, 3)), np.zeros(n), **options)
        make = flow._get_batches_of_transformed_samples

        def spy(index_array):
            recorder.draws = []
            batch = make(index_array)
            files = {int(p.stem.split("_")[1]): p for p in Path(saved).iterdir()}
            numbers = [int(files[i].stem.split("_")[2]) for i in index_array.tolist()] if save else []
            for path in files.values():
                path.unlink()
            seen.append(dict(rows=index_array.tolist(), draws=recorder.draws, numbers=numbers))
            return batch

        flow._get_batches_of_transformed_samples = spy
        for _ in range(epochs * len(flow)):
            next(flow)
        batches = len(flow)
    return dict(
        kind=kind, n=n, batch_size=batch_size, seed=seed, shuffle=shuffle, save=save,
        epochs=[seen[e * batches : (e + 1) * batches] for e in range(epochs)],
    )


cases = [
    run("files", 11, 4, 42, True, False, 3),
    run("files", 6, 3, 0, True, True, 2),
    run("array", 5, 2, 123456, True, True, 2),
    run("array", 5, 2, 7, False, False, 2),
    run("files", 3, 8, 4294967000, True, False, 2),
]
Path(__file__).with_suffix(".json").write_text(json.dumps(cases, indent=None) + "\n")

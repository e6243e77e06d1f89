"""The JPEG files on which `cargo xtask rivals pipeline` is measured: 600 of about 200 x 180 pixels,
waves and noise, quality 88, as Pillow writes them."""

import os

import numpy as np
from PIL import Image

IMAGES = 600


def files(folder):
    """Their names in order; drawn if the folder has none."""
    os.makedirs(folder, exist_ok=True)
    if not os.listdir(folder):
        draw(folder)
    return sorted(os.listdir(folder))


def draw(folder):
    rng = np.random.default_rng(0)
    for index in range(IMAGES):
        kind, f = [("cat", 0.05), ("dog", 0.11)][index % 2]
        w, h = int(rng.integers(180, 221)), int(rng.integers(160, 201))
        y, x = np.mgrid[:h, :w]
        wave = [np.sin(f * x * (c + 1) * 0.5 + rng.uniform(0, 6))
                * np.cos(f * y + rng.uniform(0, 6)) for c in range(3)]
        pixels = 127 + 90 * np.stack(wave, -1) + 12 * rng.normal(size=(h, w, 3))
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        image.save(os.path.join(folder, f"{kind}.{index}.jpg"), quality=88)

"""What Pillow makes of one image by RandAugment's changes: writes pillow.json beside this file.

    pip install numpy pillow
    python pillow.py

Pictures are text of two hexadecimal digits a level.
"""

import json
import pathlib

import numpy as np
import PIL
from PIL import Image, ImageEnhance, ImageOps

HEIGHT, WIDTH = 20, 16


def noise():
    """Each value a hash of its place, in 30 to 207; the first rows one level."""
    h = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint32) * np.uint32(2654435761)
    h = (h ^ h >> np.uint32(15)) * np.uint32(2246822519)
    h = ((h ^ h >> np.uint32(13)) >> np.uint32(24)).reshape(HEIGHT, WIDTH, 3)
    x = (30 + h * 7 // 10).astype(np.uint8)
    x[:4] = 99
    return x


def affine(matrix):
    return lambda x: x.transform(x.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


def enhance(kind, m):
    return lambda x: getattr(ImageEnhance, kind)(x).enhance(1.0 + m)


CHANGES = {
    "ShearX(0.27)": affine((1, 0.27, 0, 0, 1, 0)),
    "ShearY(-0.13)": affine((1, 0, 0, -0.13, 1, 0)),
    "TranslateX(5)": affine((1, 0, -5, 0, 1, 0)),
    "TranslateY(-3)": affine((1, 0, 0, 0, 1, 3)),
    "Rotate(17)": lambda x: x.rotate(17),
    "Rotate(-29)": lambda x: x.rotate(-29),
    **{
        f"{kind}({m})": enhance(kind, m)
        for kind in ("Brightness", "Color", "Contrast", "Sharpness")
        for m in (0.63, -0.27)
    },
    "Posterize(4)": lambda x: ImageOps.posterize(x, 4),
    "Solarize(127.5)": lambda x: ImageOps.solarize(x, 127.5),
    "AutoContrast": ImageOps.autocontrast,
    "Equalize": ImageOps.equalize,
}


def resized(x, box, size):
    """Bilinear and antialiased in floats, which rounds nothing."""
    channels = [Image.fromarray(x[..., k].astype(np.float32)).crop(box) for k in range(3)]
    channels = [np.asarray(c.resize(size, Image.Resampling.BILINEAR)) for c in channels]
    return [round(float(v), 4) for v in np.stack(channels, -1).ravel()]


def main():
    x = noise()
    image = Image.fromarray(x)
    changes = {name: bytes(change(image).tobytes()).hex() for name, change in CHANGES.items()}
    parts = [((3, 6, 9, 11), (8, 9)), ((0, 1, 16, 20), (7, 4))]
    resize = [
        {"left": b[0], "top": b[1], "right": b[2], "bottom": b[3], "width": s[0], "height": s[1],
         "y": resized(x, b, s)}
        for b, s in parts
    ]
    result = {"pillow": PIL.__version__, "changes": changes, "resize": resize}
    path = pathlib.Path(__file__).with_name("pillow.json")
    path.write_text(json.dumps(result, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size, "bytes")


main()

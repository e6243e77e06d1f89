"""What Pillow makes of odd files, and how far the decoder of this crate is from it.

    pip install pillow==13.0.0 numpy
    python odd.py golden FOLDER           writes odd.csv, progressive.jpg, cmyk.jpg and cmyk.rgb
    python odd.py table FOLDER READ_ONE   prints the table of docs/odd-files.md

FOLDER holds the odd files and an odd.csv with the columns `filename` and `what_is_odd`. READ_ONE is
the program that `cargo build --release -p gradus-data --example read_one` builds: a process of its
own for each file, whose peak memory is the resident set that GNU time reports when it ends.
"""

import csv
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
GRID = 8


def pillow(path):
    """Height x width x 3, or the reason why there is no image."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(Image.open(path).convert("RGB"))
    except Exception as error:
        return str(error).replace(str(path), path.name)


def names(folder):
    with open(folder / "odd.csv", newline="") as file:
        return [(row["filename"], row["what_is_odd"]) for row in csv.DictReader(file)]


def grid(pixels):
    """The mean colour of each of 8 x 8 parts, row by row; a part has a pixel at least."""
    height, width, _ = pixels.shape
    for i in range(GRID):
        rows = slice(i * height // GRID, max(i * height // GRID + 1, (i + 1) * height // GRID))
        for j in range(GRID):
            first = j * width // GRID
            columns = slice(first, max(first + 1, (j + 1) * width // GRID))
            yield from pixels[rows, columns].reshape(-1, 3).mean(axis=0)


def golden(folder):
    with open(HERE / "odd.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["filename", "verdict", "width", "height", "grid"])
        for name, _ in names(folder):
            pixels = pillow(folder / name)
            if isinstance(pixels, str):
                writer.writerow([name, "refused", "", "", ""])
                continue
            means = " ".join(f"{mean:.2f}" for mean in grid(pixels))
            writer.writerow([name, "read", pixels.shape[1], pixels.shape[0], means])
    y, x = np.mgrid[:24, :40]
    image = np.stack([x * 6, y * 8, x * y % 256], axis=-1).astype(np.uint8)
    Image.fromarray(image).save(HERE / "progressive.jpg", progressive=True)
    ink = np.dstack([image, (255 - x * 5).astype(np.uint8)])
    Image.fromarray(ink, "CMYK").save(HERE / "cmyk.jpg", quality=100, subsampling=0)
    (HERE / "cmyk.rgb").write_bytes(pillow(HERE / "cmyk.jpg").tobytes())


def run(program, path, into):
    """What the program prints, its peak memory in MB and whether it read an image."""
    with tempfile.NamedTemporaryFile("r") as measured:
        time = ["/usr/bin/time", "--quiet", "-f", "%M", "-o", measured.name]
        ran = subprocess.run([*time, program, path, into], stdout=subprocess.PIPE, text=True)
        return ran.stdout.strip(), int(measured.read()) / 1024, ran.returncode == 0


def table(folder, program):
    print("| file | what is odd | Pillow 13 | gradus | largest, mean difference | peak memory, MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, odd in names(folder):
        pixels = pillow(folder / name)
        with tempfile.NamedTemporaryFile() as into:
            said, memory, is_read = run(program, folder / name, into.name)
            found = np.fromfile(into.name, np.uint8) if is_read else None
        theirs = pixels if isinstance(pixels, str) else f"{pixels.shape[1]} x {pixels.shape[0]}"
        off = ""
        if found is not None and not isinstance(pixels, str):
            far = np.abs(found.reshape(pixels.shape).astype(int) - pixels)
            off = f"{far.max()}, {far.mean():.3f}"
        ours = said.replace(str(folder / name) + ": ", "")
        print(f"| {name} | {odd} | {theirs} | {ours} | {off} | {memory:.0f} |")


if __name__ == "__main__":
    if sys.argv[1] == "golden":
        golden(Path(sys.argv[2]))
    else:
        table(Path(sys.argv[2]), sys.argv[3])

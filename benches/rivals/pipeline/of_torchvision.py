"""torchvision's side of `cargo xtask rivals pipeline`: files to augmented batches, in one thread.

    python of_torchvision.py --data DIR --backend tensor|pil

The tutorial's augmentation as torchvision has it: RandomAffine (bilinear) and RandomHorizontalFlip
on bytes, then float32 in [0, 1]. It draws zoom once for both axes, where Keras draws twice. Prints
images a second of processor time, the median of five epochs. DIR is filled if it is empty.
"""

import argparse
import json
import os
import platform
import statistics
import time

arguments = argparse.ArgumentParser()
arguments.add_argument("--data", required=True)
arguments.add_argument("--batch", type=int, default=15)
arguments.add_argument("--threads", type=int, default=1)
arguments.add_argument("--backend", choices=["tensor", "pil"], default="tensor")
options = arguments.parse_args()
os.environ["OMP_NUM_THREADS"] = "1"

import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import InterpolationMode, v2

import photos

ROUNDS = 5
torch.set_num_threads(1)


class Photos(Dataset):
    def __init__(self, names):
        self.names = names
        self.transform = v2.Compose([
            v2.Resize((128, 128), InterpolationMode.NEAREST),
            v2.RandomAffine(15, translate=(0.1, 0.1), scale=(0.8, 1.2), shear=(-0.1, 0.1),
                            interpolation=InterpolationMode.BILINEAR),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
        ])

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        path = os.path.join(options.data, self.names[index])
        if options.backend == "pil":
            image = Image.open(path).convert("RGB")
        else:
            image = decode_image(path, ImageReadMode.RGB)
        return self.transform(image), int(self.names[index].startswith("dog"))


def epoch(loader):
    start = time.process_time()
    images = sum(len(batch) for batch, _ in loader)
    return images / (time.process_time() - start)


print(json.dumps({"version": f"torchvision {torchvision.__version__} "
                             f"(Python {platform.python_version()})",
                  "parameters": None, "threads": options.threads}), flush=True)
loader = DataLoader(Photos(photos.files(options.data)), options.batch, shuffle=True)
rates = [epoch(loader) for _ in range(ROUNDS + 1)][1:]
print(json.dumps({"measure": "pipeline", "rate": statistics.median(rates)}), flush=True)

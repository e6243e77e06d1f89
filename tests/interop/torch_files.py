"""Asks PyTorch for what gradus answered, and leaves gradus weights of PyTorch: `torch_files.py CASES`.

Loads `pytorch.safetensors` into the tutorial's network and `torchvision.safetensors` into
torchvision's ResNet-18, and writes `back.safetensors`, `back_torchvision.safetensors` with other weights
and `back_torch.npy`, what gradus shall answer with them. Prints a section of Markdown, and fails where
an answer is off by more than 1e-5.
"""
import collections
import pathlib
import sys

import numpy as np
import safetensors.torch
import torch
import torchvision
from torch import nn

LIMIT = 1e-5


def dogs_vs_cats():
    layers = collections.OrderedDict()
    for i, (before, after) in enumerate([(3, 32), (32, 64), (64, 128)]):
        number = f"_{i}" if i else ""
        layers[f"conv2d{number}"] = nn.Conv2d(before, after, 3)
        layers[f"relu{number}"] = nn.ReLU()
        layers[f"batch_normalization{number}"] = nn.BatchNorm2d(after, eps=1e-3)
        layers[f"pool{number}"] = nn.MaxPool2d(2)
    layers["flatten"] = nn.Flatten()
    layers["dense"] = nn.Linear(25088, 512)
    layers["relu_3"] = nn.ReLU()
    layers["batch_normalization_3"] = nn.BatchNorm1d(512, eps=1e-3)
    layers["dense_1"] = nn.Linear(512, 2)
    return nn.Sequential(layers)


def answer(model, x):
    with torch.no_grad():
        return torch.softmax(model.eval()(torch.tensor(x).permute(0, 3, 1, 2)), 1).numpy()


def main(cases):
    print(f"## PyTorch's weights\n\nPyTorch {torch.__version__}, torchvision "
          f"{torchvision.__version__}; `load_state_dict`, strictly.\n")
    print("| network | file | largest difference |\n| --- | --- | ---: |")
    good = True
    for name, model, file, back in [
            ("dogs_vs_cats", dogs_vs_cats(), "pytorch.safetensors", "back.safetensors"),
            ("resnet18", torchvision.models.resnet18(num_classes=2), "torchvision.safetensors",
             "back_torchvision.safetensors")]:
        folder = cases / name
        x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
        model.load_state_dict(safetensors.torch.load_file(folder / file))
        off = float(np.abs(answer(model, x) - y).max())
        print(f"| {name} | {file} | {off:.1e} |")
        good = good and off <= LIMIT
        torch.manual_seed(1)
        with torch.no_grad():
            for tensor in model.state_dict().values():
                if tensor.is_floating_point():
                    tensor.mul_(1 + 0.1 * torch.rand(tensor.shape))
        weights = {key: value.contiguous() for key, value in model.state_dict().items()}
        safetensors.torch.save_file(weights, folder / back)
        np.save(folder / "back_torch.npy", answer(model, x))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))

"""PyTorch's side of `cargo xtask rivals`: the tutorial's network, and single convolutions.

    python pytorch.py train  --batch 15 --threads 2 --layout channels_last --seconds 3
    python pytorch.py infer  --batch 1  --threads 2 --layout nchw          --seconds 3
    python pytorch.py conv2d            --threads 2 --layout channels_last --seconds 3

The first line says what was measured: versions, parameters. Each other line is one measure as
JSON: its name, and how often a second the median call gets done (images, or 1e9 operations).
"""

import argparse
import json
import os
import platform
import statistics
import time

arguments = argparse.ArgumentParser()
arguments.add_argument("what", choices=["train", "infer", "conv2d"])
arguments.add_argument("--batch", type=int, default=15)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--layout", choices=["nchw", "channels_last"], default="channels_last")
arguments.add_argument("--seconds", type=float, default=3)
options = arguments.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)

import torch
from torch.nn import functional as F

from pytorch_network import Tutorial

torch.manual_seed(0)
torch.set_num_threads(options.threads)
torch.set_num_interop_threads(1)
FORMAT = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}[options.layout]


def parameters(model):
    """As Keras counts: moving means and variances too, but not how often they moved."""
    statistics_ = [b for name, b in model.named_buffers() if not name.endswith("batches_tracked")]
    return sum(p.numel() for p in [*model.parameters(), *statistics_])


def report(measure, work, call):
    """How much work a second the median call does."""
    for _ in range(3):
        call()
    times, end = [], time.perf_counter() + options.seconds
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    print(json.dumps({"measure": measure, "rate": work / statistics.median(times)}), flush=True)


def network():
    model = Tutorial().to(memory_format=FORMAT)
    x = torch.rand(options.batch, 3, 128, 128).contiguous(memory_format=FORMAT)
    return model, x


def train():
    model, x = network()
    y = torch.arange(options.batch) % 2
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, alpha=0.9, eps=1e-7)
    model.train()

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    report("train", options.batch, step)


def infer():
    model, x = network()
    model.eval()
    with torch.inference_mode():
        report("infer", options.batch, lambda: model(x).softmax(1))


def conv2d():
    """oneDNN's convolution in its three passes, without bias; operations count as if direct."""
    n = options.batch
    for name, size, c, k in [("conv2", 63, 32, 64), ("conv3", 30, 64, 128)]:
        x = torch.rand(n, c, size, size).contiguous(memory_format=FORMAT)
        kernel = torch.rand(k, c, 3, 3).contiguous(memory_format=FORMAT)
        dz = torch.rand(n, k, size - 2, size - 2).contiguous(memory_format=FORMAT)
        work = 2 * n * (size - 2) ** 2 * 9 * c * k / 1e9

        def backward(*wanted):
            return torch.ops.aten.convolution_backward(
                dz, x, kernel, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [*wanted, False])

        with torch.no_grad():
            report(f"{name} forward", work, lambda: F.conv2d(x, kernel))
            report(f"{name} dx", work, lambda: backward(True, False))
            report(f"{name} dW", work, lambda: backward(False, True))


print(json.dumps({
    "version": f"PyTorch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()}, "
               f"Python {platform.python_version()})",
    "parameters": parameters(Tutorial()), "threads": torch.get_num_threads()}), flush=True)
{"train": train, "infer": infer, "conv2d": conv2d}[options.what]()

"""PyTorch's side of `cargo xtask bench-gpu`: cuDNN's convolutions, and the tutorial's training step.

    python pytorch_gpu.py convolutions --out pytorch.jsonl
    python pytorch_gpu.py step         --out pytorch.jsonl    eager, and as one CUDA graph
    python pytorch_gpu.py compiled     --out pytorch.jsonl    torch.compile, batch 512 in bf16

The list of convolutions, the lines of the file and what is timed are those of benches/rivals/gpu: each
measure is a line of JSON, and what is in the file is not measured again. Steps include the copy of a
batch from pinned memory, as ours do, and read the loss every ten steps, as ours do.
"""

import argparse
import json
import pathlib
import platform
import statistics
import time

import torch
from torch.nn import functional as F

from pytorch_network import Tutorial

# As rows.rs has them: 35 convolutions in three passes and precisions take 315 rows of a quarter of a
# second, and as many searches of cuDNN's for an algorithm, in a stage of eight minutes.
SECONDS, SAMPLES = 0.2, 7
# As convolutions.rs has them: name, images, side and channels of x, side of the kernel, filters, stride,
# padding in Keras's words.
CASES = [
    ("tutorial conv1, 128", 128, 128, 3, 3, 32, 1, "valid"),
    ("tutorial conv2, 128", 128, 63, 32, 3, 64, 1, "valid"),
    ("tutorial conv3, 128", 128, 30, 64, 3, 128, 1, "valid"),
    ("tutorial conv1, 15", 15, 128, 3, 3, 32, 1, "valid"),
    ("tutorial conv2, 15", 15, 63, 32, 3, 64, 1, "valid"),
    ("tutorial conv3, 15", 15, 30, 64, 3, 128, 1, "valid"),
    ("resnet50 stem", 64, 224, 3, 7, 64, 2, "same"),
    ("resnet50 56, 1x1 first", 64, 56, 64, 1, 64, 1, "valid"),
    ("resnet50 56, 3x3", 64, 56, 64, 3, 64, 1, "same"),
    ("resnet50 56, 1x1 out", 64, 56, 64, 1, 256, 1, "valid"),
    ("resnet50 56, 1x1 in", 64, 56, 256, 1, 64, 1, "valid"),
    ("resnet50 56 to 28, 1x1 in", 64, 56, 256, 1, 128, 1, "valid"),
    ("resnet50 56 to 28", 64, 56, 128, 3, 128, 2, "same"),
    ("resnet50 56 to 28, shortcut", 64, 56, 256, 1, 512, 2, "same"),
    ("resnet50 28, 1x1 in", 64, 28, 512, 1, 128, 1, "valid"),
    ("resnet50 28, 3x3", 64, 28, 128, 3, 128, 1, "same"),
    ("resnet50 28, 1x1 out", 64, 28, 128, 1, 512, 1, "valid"),
    ("resnet50 28 to 14, 1x1 in", 64, 28, 512, 1, 256, 1, "valid"),
    ("resnet50 28 to 14", 64, 28, 256, 3, 256, 2, "same"),
    ("resnet50 28 to 14, shortcut", 64, 28, 512, 1, 1024, 2, "same"),
    ("resnet50 14, 1x1 in", 64, 14, 1024, 1, 256, 1, "valid"),
    ("resnet50 14, 3x3", 64, 14, 256, 3, 256, 1, "same"),
    ("resnet50 14, 1x1 out", 64, 14, 256, 1, 1024, 1, "valid"),
    ("resnet50 14 to 7, 1x1 in", 64, 14, 1024, 1, 512, 1, "valid"),
    ("resnet50 14 to 7", 64, 14, 512, 3, 512, 2, "same"),
    ("resnet50 14 to 7, shortcut", 64, 14, 1024, 1, 2048, 2, "same"),
    ("resnet50 7, 1x1 in", 64, 7, 2048, 1, 512, 1, "valid"),
    ("resnet50 7, 3x3", 64, 7, 512, 3, 512, 1, "same"),
    ("resnet50 7, 1x1 out", 64, 7, 512, 1, 2048, 1, "valid"),
    ("airbench whitening", 1024, 32, 3, 2, 24, 1, "valid"),
    ("airbench 31, 24 to 64", 1024, 31, 24, 3, 64, 1, "same"),
    ("airbench 15, 64 to 64", 1024, 15, 64, 3, 64, 1, "same"),
    ("airbench 15, 64 to 256", 1024, 15, 64, 3, 256, 1, "same"),
    ("airbench 7, 256 to 256", 1024, 7, 256, 3, 256, 1, "same"),
    ("airbench 3, 256 to 256", 1024, 3, 256, 3, 256, 1, "same"),
]
PRECISIONS = ["f32", "tf32", "bf16"]
BATCHES = [15, 128, 512]
READ_EVERY = 10


def settle(precision):
    """Sums of products as that precision has them, and nothing faster behind its back."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision != "f32"
    torch.backends.cudnn.benchmark = True


class Rows:
    def __init__(self, path):
        self.path, self.done = pathlib.Path(path), set()
        text = self.path.read_text() if self.path.exists() else ""
        if text and not text.endswith("\n"):
            with self.path.open("a") as file:
                file.write("\n")  # the end of a line that was cut off
        for line in text.splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if "table" in row:
                self.done.add((row["table"], row["line"], row["column"]))
        self.write({
            "machine": torch.cuda.get_device_name(), "cuda": torch.version.cuda,
            "program": f"PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}, "
                       f"Python {platform.python_version()}"})

    def write(self, row):
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def keep(self, key, work, call, device):
        """The median of what one call takes, by the device's clock or the host's."""
        if key in self.done:
            return
        for _ in range(5):
            call()
        calls = max(1, min(1000, int(SECONDS / SAMPLES / (seconds(5, call, device) / 5))))
        times = sorted(seconds(calls, call, device) / calls for _ in range(SAMPLES))
        median = statistics.median(times)
        print(f"{key[0]:12} {key[1]:28} {key[2]:22} {median * 1e6:10.1f} µs  {work / median:.3e}/s", flush=True)
        self.write({"table": key[0], "line": key[1], "column": key[2], "seconds": median,
                    "least": times[0], "most": times[-1], "work": work})


def seconds(calls, call, device):
    torch.cuda.synchronize()
    if not device:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        torch.cuda.synchronize()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(calls):
        call()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3


def convolutions(rows):
    for name, n, side, c, r, k, stride, padding in CASES:
        out = -(-side // stride) if padding == "same" else (side - r) // stride + 1
        # Where "same" has one zero more behind than before, PyTorch, which knows both sides alike, has
        # one more before: as many outputs, and as much to do.
        before = max(0, (out - 1) * stride + r - side + 1) // 2 if padding == "same" else 0
        for precision in PRECISIONS:
            settle(precision)
            kind = torch.bfloat16 if precision == "bf16" else torch.float32
            rand = lambda *shape: torch.rand(*shape, device="cuda", dtype=kind).contiguous(
                memory_format=torch.channels_last)
            x, kernel = rand(n, c, side, side), rand(k, c, r, r)
            y = F.conv2d(x, kernel, stride=stride, padding=before)
            dz, work = torch.rand_like(y), 2 * y.numel() * c * r * r

            def backward(*wanted):
                return torch.ops.aten.convolution_backward(
                    dz, x, kernel, None, [stride] * 2, [before] * 2, [1, 1], False, [0, 0], 1, [*wanted, False])

            column = f"cuDNN {precision}"
            with torch.no_grad():
                rows.keep(("forward", name, column), work, lambda: F.conv2d(x, kernel, stride=stride, padding=before), True)
                rows.keep(("dx", name, column), work, lambda: backward(True, False), True)
                rows.keep(("dW", name, column), work, lambda: backward(False, True), True)


class Training:
    """A step as people write it: a batch is sent, the loss added up on the device."""

    def __init__(self, batch, precision, compiled=False):
        settle(precision)
        torch.manual_seed(0)
        self.model = Tutorial().cuda().to(memory_format=torch.channels_last).train()
        self.called = torch.compile(self.model, mode="max-autotune") if compiled else self.model
        self.optimizer = torch.optim.RMSprop(
            self.model.parameters(), lr=1e-3, alpha=0.9, eps=1e-7, foreach=True, capturable=True)
        images = torch.rand(batch, 3, 128, 128).contiguous(memory_format=torch.channels_last)
        self.sent, self.targets = images.pin_memory(), (torch.arange(batch) % 2).pin_memory()
        self.x, self.y = self.sent.cuda(), self.targets.cuda()
        self.bf16, self.total, self.steps = precision == "bf16", torch.zeros((), device="cuda"), 0
        self.graph = None

    def work(self):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=self.bf16, cache_enabled=False):
            loss = F.cross_entropy(self.called(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        self.total += loss.detach()

    def record(self):
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.work()
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.work()

    def step(self):
        self.x.copy_(self.sent, non_blocking=True)
        self.y.copy_(self.targets, non_blocking=True)
        self.graph.replay() if self.graph else self.work()
        self.steps += 1
        if self.steps % READ_EVERY == 0:
            self.total.item()


def step(rows):
    for batch in BATCHES:
        for precision in PRECISIONS:
            for column in ["PyTorch, eager", "PyTorch, graph"]:
                if ("step", f"batch {batch}, {precision}", column) in rows.done:
                    continue
                training = Training(batch, precision)
                if column == "PyTorch, graph":
                    training.record()
                rows.keep(("step", f"batch {batch}, {precision}", column), batch, training.step, False)
                del training
                torch.cuda.empty_cache()


def compiled(rows):
    training = Training(512, "bf16", compiled=True)
    rows.keep(("step", "batch 512, bf16", "PyTorch, compiled"), 512, training.step, False)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("what", choices=["convolutions", "step", "compiled"])
    arguments.add_argument("--out", default="pytorch.jsonl")
    options = arguments.parse_args()
    {"convolutions": convolutions, "step": step, "compiled": compiled}[options.what](Rows(options.out))

"""The tutorial's network in PyTorch, for pytorch.py and pytorch_gpu.py."""

from torch import nn


class Tutorial(nn.Module):
    """The tutorial's network. Keras's momentum 0.99 is PyTorch's 0.01."""

    def __init__(self):
        super().__init__()
        channels = [3, 32, 64, 128]
        self.blocks = nn.Sequential(*[layer for c, k in zip(channels, channels[1:]) for layer in (
            nn.Conv2d(c, k, 3), nn.ReLU(), nn.BatchNorm2d(k, eps=1e-3, momentum=0.01),
            nn.MaxPool2d(2), nn.Dropout(0.25))])
        self.top = nn.Sequential(
            nn.Flatten(), nn.Linear(14 * 14 * 128, 512), nn.ReLU(),
            nn.BatchNorm1d(512, eps=1e-3, momentum=0.01), nn.Dropout(0.5), nn.Linear(512, 2))

    def forward(self, x):
        return self.top(self.blocks(x))

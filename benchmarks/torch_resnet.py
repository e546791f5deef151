"""The network of `ResNet.published` in PyTorch, and its training; importing this needs torch."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np

torch: Any = import_module("torch")  # typed Any: torch is not among our dependencies
nn = torch.nn


class Bottleneck(nn.Module):
    """As svmconv.models.resnet.Bottleneck."""

    def __init__(self, before: int, inner: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *(nn.BatchNorm2d(before), nn.ReLU(), nn.Conv2d(before, inner, 1, stride)),
            *(nn.BatchNorm2d(inner), nn.ReLU(), nn.Conv2d(inner, inner, 3, padding=1)),
            nn.Conv2d(inner, after, 1),
        )
        self.stride = stride
        left = (after - before) // 2
        self.padding = (0, 0, 0, 0, left, after - before - left)

    def forward(self, x: Any) -> Any:
        shortcut = x if self.stride == 1 else nn.functional.avg_pool2d(x, 2)
        if any(self.padding):
            shortcut = nn.functional.pad(shortcut, self.padding)
        return shortcut + self.residual(x)


def resnet(classes: int) -> Any:
    """Images (n, 1, h, w) -> logits (n, classes)."""
    blocks, before = [], 64
    for inner, after, stride in ((16, 64, 1), (32, 128, 2), (64, 256, 2)):
        blocks.append(Bottleneck(before, inner, after, stride))
        blocks += [Bottleneck(after, inner, after) for _ in range(2)]
        before = after
    return nn.Sequential(
        *(nn.Conv2d(1, 64, 3, padding=1, bias=False), nn.ReLU(), *blocks),
        *(nn.BatchNorm2d(before), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(nn.Linear(before, 200), nn.ReLU(), nn.Linear(200, 2), nn.ReLU(), nn.Linear(2, classes)),
    )


def parameters(module: Any) -> int:
    return sum(p.numel() for p in module.parameters())


def epochs(
    module: Any, x: np.ndarray, y: np.ndarray, *, batch: int, rate: float, threads: int
) -> Iterator[float]:
    """Train for ever on images (n, 1, h, w); the mean loss of every epoch."""
    torch.set_num_threads(threads)
    module = module.to(memory_format=torch.channels_last).train()
    images = torch.tensor(x, dtype=torch.float32).to(memory_format=torch.channels_last)
    labels, loss_of = torch.tensor(y), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(module.parameters(), lr=rate, momentum=0.9)
    while True:
        losses = []
        for places in torch.randperm(len(images)).split(batch):
            optimizer.zero_grad()
            loss = loss_of(module(images[places]), labels[places])
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        yield float(torch.stack(losses).mean())

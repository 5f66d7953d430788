"""Shared by all tests: one thread a process, a cache of their own, tiny models and data."""

import os
from collections.abc import Iterator
from pathlib import Path

# Two test processes with two spinning threads each are ten times slower than one thread each.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest
import torch
from PIL import Image

from biggan.config import BigGANConfig, TrainConfig
from biggan.data import LabelledImages, open_dataset

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGGAN_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def _no_global_randomness() -> Iterator[None]:
    """Nothing in the package may move PyTorch's global generator; tests that do restore it."""
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


@pytest.fixture
def tiny() -> BigGANConfig:
    """Networks of a few thousand parameters at 8 px."""
    return BigGANConfig(
        resolution=8, image_channels=1, num_classes=10, z_dim=8, shared_dim=6, g_ch=2, d_ch=2,
        g_attention=(), d_attention=(), g_lr=1e-3, d_lr=1e-3,
    )  # fmt: skip


@pytest.fixture
def tiny_train() -> TrainConfig:
    """Eight steps of eight images."""
    return TrainConfig(
        images=64, batch_size=8, ema_decay=0.9, precision="fp32", device="cpu",
        log_every=16, preview_every=32, checkpoint_every=32,
    )  # fmt: skip


@pytest.fixture
def tiny_digits() -> LabelledImages:
    return open_dataset("digits", resolution=8, channels=1)


class Watcher:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.clock: list[int] = []

    def message(self, line: str) -> None:
        self.lines.append(line)

    def progress(self, images_seen: int, images: int, metrics: dict[str, float]) -> None:
        self.clock.append(images_seen)


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


def make_folder(root: Path, classes: dict[str, int], size: int = 12, mode: str = "RGB") -> Path:
    """A folder of class folders of noise images."""
    random = np.random.default_rng(0)
    channels = len(Image.new(mode, (1, 1)).getbands())
    for name, count in classes.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            shape = (size, size) if channels == 1 else (size, size, channels)
            pixels = random.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(pixels, mode).save(root / name / f"{i:03d}.png")
    return root

"""What the studio's tests share: a tiny model, and an application over it."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from biggan import BigGAN, BigGANConfig
from biggan.latents import LatentLaw
from biggan.sampling import add_statistics
from biggan.web.app import create_app

HOME = "http://127.0.0.1:8000"
NAMES = ["tench", "goldfish", "great white shark", "tiger shark", "hammerhead", "cock", "hen", "ostrich", "3", "it's"]
ONE = {"seed": 3, "classes": [{"label": 2}]}


def small_model(num_classes: int = 10, seed: int = 0, resolution: int = 8, channels: int = 1) -> BigGAN:
    config = BigGANConfig(
        resolution=resolution, image_channels=channels, num_classes=num_classes, z_dim=168, shared_dim=6,
        g_ch=2, d_ch=2, g_attention=(), d_attention=(),
    )  # fmt: skip
    torch.manual_seed(seed)
    names = NAMES if num_classes == 10 else [f"class {k}" for k in range(num_classes)]
    return BigGAN(config, names).eval()


def with_table(model: BigGAN) -> BigGAN:
    """The model with statistics of TF-Hub's law at 0.1, 0.5 and 1."""
    add_statistics(model, [LatentLaw("truncation", value) for value in (0.1, 0.5, 1.0)], batches=1)
    return model


def saved(model: BigGAN, folder: Path) -> tuple[Path, BigGAN]:
    model.save_pretrained(folder)
    return folder, model


def client(app: FastAPI, **headers: str) -> TestClient:
    return TestClient(app, base_url=HOME, headers=headers, raise_server_exceptions=False)


def studio(*models: BigGAN, folder: Path = Path("runs/demo")) -> FastAPI:
    return create_app({folder.with_name(f"{folder.name}{k or ''}"): model for k, model in enumerate(models)})


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def pixels(line: dict[str, Any]) -> torch.Tensor:
    """A picture's line as a tensor (C, R, R)."""
    image = Image.open(io.BytesIO(base64.b64decode(line["png"])))
    data = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return data.reshape(image.height, image.width, -1).permute(2, 0, 1)

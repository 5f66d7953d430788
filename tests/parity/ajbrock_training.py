"""A recorded training of ajbrock/BigGAN-PyTorch: its configuration and weights in our terms.

Plain BigGAN with a shared embedding and skip-z only; see `tests/golden` for the files' layout.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from biggan.config import BigGANConfig, TrainConfig
from biggan.state import TrainState, new_state

# ours, from theirs; the first that matches is applied
RENAMINGS = (
    (r"^shared\.", "shared_embedding."),
    (r"^embed\.", "class_projection."),
    (r"^output_layer\.0\.", "output_bn."),
    (r"^output_layer\.2\.", "output_conv."),
    (r"^blocks\.(\d+)\.0\.conv_sc\.", r"blocks.\1.shortcut."),
    (r"^blocks\.(\d+)\.0\.", r"blocks.\1."),
    (r"^blocks\.(\d+)\.1\.", r"attention.\1."),
)


@dataclass(frozen=True)
class Recording:
    """What a file holds."""

    tensors: dict[str, Tensor]
    config: dict[str, Any]

    def weights(self, prefix: str) -> dict[str, Tensor]:
        """The state dict of that prefix under our names."""
        return ours({k[len(prefix) + 1 :]: v for k, v in self.tensors.items() if k.startswith(prefix + ".")})


def read(path: Path) -> Recording:
    with safe_open(path, "pt") as handle:
        config = json.loads(handle.metadata()["config"])
        return Recording({key: handle.get_tensor(key) for key in handle.keys()}, config)  # noqa: SIM118


def ours(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Their state dict under our names; sv0 is a log and has none."""
    named = {}
    for key, value in theirs.items():
        pattern, name = next(((p, n) for p, n in RENAMINGS if re.match(p, key)), ("$^", ""))
        key = re.sub(pattern, name, key)
        key = key.replace("stored_mean", "running_mean").replace("stored_var", "running_var")
        if key.endswith(".u0"):
            key, value = key.removesuffix("0"), value[0]
        if not key.endswith(".sv0"):
            named[key] = value
    return named


def supported(config: dict[str, Any]) -> bool:
    G = config["G"]
    return config["class"] == "BigGAN" and bool(G.get("G_shared")) and bool(G.get("hier"))


def network_config(config: dict[str, Any]) -> BigGANConfig:
    G, D, train = config["G"], config["D"], config["train"]
    return BigGANConfig(
        resolution=config["resolution"],
        num_classes=config["n_classes"],
        z_dim=config.get("dim_z", G["dim_z"]),
        shared_dim=G["shared_dim"],
        g_ch=G["G_ch"],
        d_ch=D["D_ch"],
        g_attention=tuple(int(r) for r in G["G_attn"].split("_") if r != "0"),
        d_attention=tuple(int(r) for r in D["D_attn"].split("_") if r != "0"),
        bn_eps=G["BN_eps"],
        sn_eps=G["SN_eps"],
        g_lr=train["G_lr"],
        d_lr=train["D_lr"],
        adam_eps=train["adam_eps"],
    )


def train_config(config: dict[str, Any]) -> TrainConfig:
    """Their schedule. An iteration's batch is all the images of one optimizer step."""
    train, size = config["train"], config["batch"]
    batch_size = size * train["accum"]
    return TrainConfig(
        batch_size=batch_size,
        microbatch_size=size,
        d_steps=train["num_D_steps"],
        g_ortho=train["G_ortho"],
        ema_decay=train["ema_decay"],
        ema_start=train["ema_start"] * batch_size,
        ema_buffers="average",
    )


def initial_state(recording: Recording) -> TrainState:
    state = new_state(network_config(recording.config), 0, torch.device("cpu"), torch.float64)
    state.G.load_state_dict(recording.weights("G0"))
    state.G_ema.load_state_dict(recording.weights("G0"))
    state.D.load_state_dict(recording.weights("D0"))
    return state

"""A recorded training of ajbrock/BigGAN-PyTorch: its configuration and weights in our terms.

The files' layout is in `tests/golden/README.md`; the weights come in through `biggan.convert.ajbrock`.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from biggan.config import BigGANConfig, TrainConfig
from biggan.convert import ajbrock
from biggan.model import BigGAN
from biggan.state import TrainState, new_state


@dataclass(frozen=True)
class Recording:
    """What a file holds."""

    tensors: dict[str, Tensor]
    config: dict[str, Any]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The state dict of that prefix, in their names."""
        return {k.removeprefix(prefix + "."): v for k, v in self.tensors.items() if k.startswith(prefix + ".")}

    def model(self, generator: str, discriminator: str) -> BigGAN:
        """Our model of the weights of two prefixes."""
        given = self.config["G"]
        return ajbrock.load(
            self.part(generator),
            self.part(discriminator),
            bn_eps=given.get("BN_eps", 1e-5),
            sn_eps=given.get("SN_eps", 1e-12),
            power_iterations=given.get("num_G_SV_itrs", 1),
            resolution=self.config["resolution"],
        )


def read(path: Path) -> Recording:
    with safe_open(path, "pt") as handle:
        config = json.loads(handle.metadata()["config"])
        return Recording({key: handle.get_tensor(key) for key in handle.keys()}, config)  # noqa: SIM118


def network_config(recording: Recording, model: BigGAN) -> BigGANConfig:
    """The model's configuration with the recorded optimisation."""
    train = recording.config["train"]
    return dataclasses.replace(
        model.config, g_lr=train["G_lr"], d_lr=train["D_lr"], adam_eps=train["adam_eps"],
        g_beta1=0.0, g_beta2=0.999, d_beta1=0.0, d_beta2=0.999,
    )  # fmt: skip


def train_config(config: dict[str, Any]) -> TrainConfig:
    """Their schedule. An iteration's batch is all the images of one optimizer step."""
    train, size = config["train"], config["batch"]
    batch_size = size * train["accum"]
    return TrainConfig(
        batch_size=batch_size,
        microbatch_size=size,
        d_steps=train["num_D_steps"],
        g_ortho=train.get("G_ortho", 0.0),
        ema_decay=train["ema_decay"],
        ema_start=train["ema_start"] * batch_size,
        ema_buffers="average",
    )


def initial_state(recording: Recording) -> TrainState:
    """Networks, average and fresh optimizers at the recorded beginning."""
    model = recording.model("G0", "D0")
    assert model.D is not None
    state = new_state(network_config(recording, model), 0, torch.device("cpu"), torch.float64)
    state.G.load_state_dict(model.G.state_dict())
    state.G_ema.load_state_dict(model.G.state_dict())
    state.D.load_state_dict(model.D.state_dict())
    return state

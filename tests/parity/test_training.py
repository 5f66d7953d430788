"""Recorded iterations of the reference implementation, replayed through our own steps in float64."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from biggan import BigGAN
from biggan.config import TrainConfig
from biggan.convert import ajbrock
from biggan.state import TrainState, new_state
from biggan.steps import DBatch, GBatch, discriminator_step, generator_step
from biggan.training import update_average

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDERS = (GOLDEN, *(Path(name) for name in [os.environ.get("BIGGAN_GOLDEN_DIR")] if name))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(path, "pt") as handle:
        tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118
        return tensors, json.loads(handle.metadata()["config"])


def recordings() -> list[Path]:
    """Every file of a training: ours, and those of BIGGAN_GOLDEN_DIR."""
    files = {path.name: path for folder in FOLDERS for path in sorted(folder.glob("*.safetensors"))}
    return [path for path in files.values() if "train" in read(path)[1]]


def model(tensors: dict[str, Tensor], config: dict[str, Any], G: str, D: str) -> BigGAN:
    """The networks whose state dicts stand under these prefixes."""
    part = {
        which: {key.removeprefix(f"{which}."): value for key, value in tensors.items() if key.startswith(f"{which}.")}
        for which in (G, D)
    }
    given = config["G"]
    return ajbrock.load(
        part[G], part[D],
        bn_eps=given.get("BN_eps", 1e-5),
        sn_eps=given.get("SN_eps", 1e-12),
        power_iterations=given.get("num_G_SV_itrs", 1),
        resolution=config["resolution"],
    )  # fmt: skip


def schedule(config: dict[str, Any]) -> TrainConfig:
    """Theirs in our terms. Our batch is all the images of one optimizer step."""
    train, size = config["train"], config["batch"]
    batch_size = size * train["accum"]
    return TrainConfig(
        batch_size=batch_size,
        microbatch_size=size,
        d_steps=train["num_D_steps"],
        g_ortho=train.get("G_ortho", 0.0),
        d_ortho=train.get("D_ortho", 0.0),
        ema_decay=train["ema_decay"],
        ema_start=train["ema_start"] * batch_size,
        ema_buffers="average",
    )


def initial_state(tensors: dict[str, Tensor], config: dict[str, Any]) -> TrainState:
    loaded, train = model(tensors, config, "G0", "D0"), config["train"]
    network = dataclasses.replace(
        loaded.config,
        g_lr=train["G_lr"],
        d_lr=train["D_lr"],
        adam_eps=train["adam_eps"],
        g_beta1=train.get("G_B1", 0.0),
        d_beta1=train.get("D_B1", 0.0),
        g_beta2=train.get("G_B2", 0.999),
        d_beta2=train.get("D_B2", 0.999),
    )
    state = new_state(network, 0, torch.device("cpu"), torch.float64)
    assert loaded.D is not None
    state.G.load_state_dict(loaded.G.state_dict())
    state.G_ema.load_state_dict(loaded.G.state_dict())
    state.D.load_state_dict(loaded.D.state_dict())
    return state


def replay(state: TrainState, tensors: dict[str, Tensor], config: TrainConfig) -> Tensor:
    """Run the recorded iterations; the losses as that code reports them, (iterations, 3)."""
    micro, size = config.batch_size // config.microbatch_size, config.microbatch_size
    z = iter(zip(tensors["z_sequence"], tensors["gy_sequence"], strict=True))
    reported = []
    for images, labels in zip(tensors["x"], tensors["y"], strict=True):
        real = iter(zip(images.split(size), labels.split(size), strict=True))
        for _ in range(config.d_steps):
            d = discriminator_step(state, [DBatch(*next(real), *next(z)) for _ in range(micro)], config)
        g = generator_step(state, [GBatch(*next(z)) for _ in range(micro)], config)
        state.images_seen += config.batch_size
        update_average(state, config)
        # The last micro-batch's; G's is already divided by their number.
        reported.append(torch.stack([g["g_loss"][-1] / micro, d["d_loss_real"][-1], d["d_loss_fake"][-1]]))
    return torch.stack(reported)


@pytest.mark.parametrize("path", recordings(), ids=lambda path: path.stem)
def test_recorded_iterations_are_replayed(path: Path) -> None:
    tensors, config = read(path)
    state = initial_state(tensors, config)
    reported = replay(state, tensors, schedule(config))
    torch.testing.assert_close(reported, tensors["losses_G_Dreal_Dfake"], rtol=1e-8, atol=1e-8)
    final = model(tensors, config, "G_final", "D_final")
    average = model(tensors, config, "G_ema_final", "D_final")
    assert final.D is not None
    for network, expected in ((state.G, final.G), (state.D, final.D), (state.G_ema, average.G)):
        wanted = expected.state_dict()
        assert network.state_dict().keys() == wanted.keys()
        for key, value in network.state_dict().items():
            # To the tensor's largest entry: a bias before a batch norm has a gradient of rounding only, which
            # Adam with a small epsilon makes into steps.
            error = (value - wanted[key]).abs().max() / wanted[key].abs().max()
            assert error <= 1e-6, f"{key}: relative error {error:.1e}"

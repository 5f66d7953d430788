"""Recorded iterations of the reference implementation, replayed through our own steps in float64."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from biggan.state import TrainState
from biggan.steps import DBatch, GBatch, discriminator_step, generator_step
from biggan.training import update_average
from parity.ajbrock_training import Recording, initial_state, read, supported, train_config

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDERS = (GOLDEN, *(Path(name) for name in [os.environ.get("BIGGAN_GOLDEN_DIR")] if name))


def recordings() -> list[Path]:
    """Every file of a training: ours, and those of BIGGAN_GOLDEN_DIR."""
    files = {path.name: path for folder in FOLDERS for path in sorted(folder.glob("*.safetensors"))}
    return [path for path in files.values() if "train" in read(path).config]


def replay(state: TrainState, recording: Recording) -> Tensor:
    """Run the recorded iterations; the losses as that code reports them, (iterations, 3)."""
    config, tensors = train_config(recording.config), recording.tensors
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
    recording = read(path)
    if not supported(recording.config):
        pytest.skip("an architecture that these networks do not have")
    state = initial_state(recording)
    reported = replay(state, recording)
    torch.testing.assert_close(reported, recording.tensors["losses_G_Dreal_Dfake"], rtol=1e-8, atol=1e-8)
    for prefix, network in (("G_final", state.G), ("D_final", state.D), ("G_ema_final", state.G_ema)):
        expected = recording.weights(prefix)
        assert network.state_dict().keys() == expected.keys()
        for key, value in network.state_dict().items():
            torch.testing.assert_close(value, expected[key], rtol=1e-6, atol=1e-12, msg=lambda m, k=key: f"{k}: {m}")

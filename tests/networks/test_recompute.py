import dataclasses

import pytest
import torch

from biggan.config import BigGANConfig, TrainConfig
from biggan.state import TrainState, new_state
from biggan.steps import DBatch, GBatch, discriminator_step, generator_step


def trained(network: BigGANConfig, config: TrainConfig, again: bool) -> TrainState:
    """The state after two iterations of two micro-batches."""
    state = new_state(network, 0, torch.device("cpu"), torch.float64)
    for part in (state.G, state.D):
        part.checkpoint_activations = again
        for name, parameter in part.named_parameters():
            if name.endswith("gamma"):
                parameter.data.fill_(0.5)
    random = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=random)

    y = torch.tensor([0, 1, 2])
    for _ in range(2):
        discriminator_step(state, [DBatch(draw(3, 1, 8, 8), y, draw(3, 8), y) for _ in range(2)], config)
        generator_step(state, [GBatch(draw(3, 8), y) for _ in range(2)], config)
    return state


@pytest.mark.parametrize("architecture", ["biggan", "biggan-deep"])
@pytest.mark.parametrize("evaluation", ["iterate", "stored"])
@pytest.mark.parametrize("r1", [0.0, 0.1])
def test_checkpointed_activations_change_no_number(
    tiny: BigGANConfig, architecture: str, evaluation: str, r1: float
) -> None:
    deep = {"skip_z": "whole", "linear_input": "z+class"} if architecture == "biggan-deep" else {}
    network = dataclasses.replace(
        tiny, architecture=architecture, sn_evaluation=evaluation, g_attention=(8,), d_attention=(4,), **deep
    )
    config = TrainConfig(batch_size=6, microbatch_size=3, r1=r1, r1_every=1)
    plain, again = (trained(network, config, flag).tensors() for flag in (False, True))
    for name, value in plain.items():       # weights, moments, u, v, batch statistics
        assert torch.equal(value, again[name]), name

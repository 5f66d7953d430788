import dataclasses
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from biggan import BigGAN, BigGANConfig, UserError
from biggan.explore import load_directions, save_directions, sefa
from biggan.explore.directions import entries
from biggan.networks.layers import ConditionalBatchNorm2d

VARIANTS: dict[str, dict[str, Any]] = {
    "chunks": {},
    "whole": {"skip_z": "whole", "architecture": "biggan-deep"},
    "none": {"skip_z": "none"},
    "class in the linear layer": {"linear_input": "z+class", "skip_z": "whole"},
    "tables by class": {"conditioning": "per_class", "skip_z": "none"},
    "no class": {"conditioning": "none", "skip_z": "none"},
}


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def model(tiny: BigGANConfig, request: pytest.FixtureRequest) -> BigGAN:
    torch.manual_seed(0)
    return BigGAN(dataclasses.replace(tiny, **request.param)).eval().double()


def what_z_changes(model: BigGAN) -> Tensor:
    """Per unit of each component of z, what the layers that see it put out: (out, z_dim), by forward passes alone."""
    seen: list[Tensor] = []
    norms = [m for block in model.G.blocks for m in block.modules() if isinstance(m, ConditionalBatchNorm2d)]
    layers = [model.G.linear, *(layer for norm in norms for layer in (norm.gain, norm.bias))]
    with ExitStack() as hooks, torch.no_grad():
        for layer in layers:
            hooks.enter_context(layer.register_forward_hook(lambda layer, given, made: seen.append(made)))
        z = torch.cat([torch.zeros(1, model.config.z_dim), torch.eye(model.config.z_dim)]).double()
        model.G(z, torch.zeros(len(z), dtype=torch.int64))
    made = torch.cat(seen, dim=1)
    return (made[1:] - made[0]).T


def test_directions_change_the_first_layers_most(model: BigGAN) -> None:
    found = sefa(model, 3, list(entries(model)))
    A = what_z_changes(model)
    _, singular, right = torch.linalg.svd(A)
    assert torch.allclose(found.eigenvalues, singular[:3] ** 2)
    assert torch.allclose((found.directions @ right[:3].T).abs(), torch.eye(3).double(), atol=1e-6)
    assert torch.allclose(found.directions @ found.directions.T, torch.eye(3).double(), atol=1e-9)
    assert torch.allclose((A @ found.directions.T).square().sum(0), found.eigenvalues)
    assert (found.directions.gather(1, found.directions.abs().argmax(1, keepdim=True)) > 0).all()


def test_each_layer_has_directions_in_its_own_chunk_of_z(tiny: BigGANConfig) -> None:
    model = BigGAN(tiny).eval()
    chunk = tiny.z_dim // tiny.z_chunks
    assert list(entries(model)) == list(range(tiny.z_chunks))
    for layer in range(tiny.z_chunks):
        found = sefa(model, chunk, [layer])
        outside = torch.ones(tiny.z_dim, dtype=torch.bool)
        outside[layer * chunk : (layer + 1) * chunk] = False
        assert found.layers == (layer,)
        assert float(found.directions[:, outside].abs().max()) < 1e-6


@pytest.mark.parametrize(
    ("num", "layers", "line"),
    [
        (2, [7], "--layers 7: z enters this model at layers 0, 1"),
        (5, [0], "--num 5 must be from 1 to 4"),
        (0, [0, 1], "--num 0 must be from 1 to 8"),
    ],
)
def test_what_there_is_not_is_named(tiny: BigGANConfig, num: int, layers: list[int], line: str) -> None:
    with pytest.raises(UserError, match=line):
        sefa(BigGAN(tiny).eval(), num, layers)


def test_files(tiny: BigGANConfig, tmp_path: Path) -> None:
    found = sefa(BigGAN(tiny).eval(), 3, [0, 1])
    save_directions(found, tmp_path / "d.safetensors")
    again = load_directions(tmp_path / "d.safetensors")
    assert torch.equal(again.directions, found.directions)
    assert torch.equal(again.eigenvalues, found.eigenvalues)
    assert again.layers == (0, 1)
    (tmp_path / "d.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UserError, match="damaged or missing"):
        load_directions(tmp_path / "d.safetensors")
    BigGAN(tiny).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="is not of biggan explore directions"):
        load_directions(tmp_path / "model.safetensors")

"""Directions in latent space found without labels: SeFa, a closed form (Shen and Zhou 2021).

    found = sefa(model, num=5)
    images = draw(model, [Picture(7, moves=((found.directions[0].tolist(), s),)) for s in (-3, 0, 3)])

A step n changes what a first layer A makes of z by A n, whatever z is. The unit vectors that change it the most
are the eigenvectors of A^T A of the largest eigenvalues.

Notable:
- z enters BigGAN at several places: the linear layer and, with skip-z, the gains and biases of each stage's batch
  norms. Where each place has a chunk of z of its own, A^T A falls into blocks, and each direction lies in one chunk.
- Weights are those of a forward pass, divided by their largest singular value. So several layers weigh alike in A,
  whatever they do to the image: eigenvalues rank the directions of one layer, hardly those of two.

Deliberately absent: any image. How much a direction changes what one sees is for its sheet to show.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from biggan.errors import UserError
from biggan.files import atomic_write
from biggan.model import BigGAN
from biggan.networks import Generator
from biggan.networks.layers import ConditionalBatchNorm2d

FORMAT = "biggan-directions-1"


@dataclass(frozen=True)
class Directions:
    """Unit vectors in the space of z, those that change the most first."""

    directions: Tensor      # (K, z_dim) float64, orthonormal
    eigenvalues: Tensor     # (K,) float64: |A n|^2
    layers: tuple[int, ...]             # that A is made of: 0 for the linear layer, k for the k-th stage's batch norms


def sefa(model: BigGAN, num: int = 5, layers: Sequence[int] = (0,)) -> Directions:
    """The `num` directions that change the most at these layers.

    Layer 0 is the linear layer, layer k the gains and biases of stage k. Equation 3 of the paper:
    max |A n|^2 over orthonormal n, with A of the layers' maps one below the other. Signs are arbitrary; here the
    largest component of each direction is positive. Raises UserError for layers that z does not enter, and for
    more directions than there are.
    """
    maps = entries(model)
    chosen = tuple(sorted(set(layers)))
    for layer in chosen:
        if layer not in maps:
            raise UserError(f"--layers {layer}: z enters this model at layers {', '.join(map(str, maps))}")
    A = torch.cat([maps[layer] for layer in chosen])                            # (out, z_dim)
    values, vectors = torch.linalg.eigh(A.T @ A)                                # ascending
    most = int((values > 1e-9 * values[-1]).sum())
    if not 1 <= num <= most:
        raise UserError(f"--num {num} must be from 1 to {most}, the directions that change anything at these layers")
    directions = vectors.T.flip(0)[:num]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    return Directions(directions * largest.sign(), values.flip(0)[:num], chosen)


def entries(model: BigGAN) -> dict[int, Tensor]:
    """The linear maps (out, z_dim), float64, by which z enters G, by layer.

    A map's columns are what the layer makes of unit vectors, so that all ways of routing z are one case.
    """
    with torch.no_grad(), model.drawing():
        weight, z_dim = model.G.linear.weight, model.config.z_dim
        no_class = torch.zeros_like(model.G.embed(torch.zeros(z_dim, dtype=torch.int64, device=weight.device)))
        first, conditions = model.G.route(torch.eye(z_dim).to(weight), no_class)
        maps = {0: model.G.linear.normalized_weight() @ first.T}
        maps |= {k + 1: condition_map(model.G, k, condition) for k, condition in enumerate(conditions)}
    return {layer: A.double().cpu() for layer, A in maps.items() if A.any()}


def condition_map(G: Generator, stage: int, condition: Tensor) -> Tensor:
    """What the gains and biases of a stage make of conditions (N, condition_dim): (all channels, N)."""
    norms = [
        norm
        for block, of_block in zip(G.blocks, G.stage_of_block, strict=True)
        for norm in block.modules()
        if of_block == stage and isinstance(norm, ConditionalBatchNorm2d)
    ]
    rows = [linear.normalized_weight() @ condition.T for norm in norms for linear in (norm.gain, norm.bias)]
    return torch.cat([condition.new_zeros(0, len(condition)), *rows])


# ---- files -----------------------------------------------------------------------------------------


def save_directions(found: Directions, path: str | Path) -> None:
    """Write them as safetensors, atomically."""
    tensors = {"directions": found.directions.contiguous(), "eigenvalues": found.eigenvalues.contiguous()}
    layers = ",".join(map(str, found.layers))
    with atomic_write(Path(path)) as temporary:
        save_file(tensors, temporary, metadata={"format": FORMAT, "layers": layers})


def load_directions(path: str | Path) -> Directions:
    """Read what `save_directions` wrote; UserError if it is something else."""
    try:
        with safe_open(path, "pt") as handle:
            about = handle.metadata() or {}
            if about.get("format") != FORMAT:
                raise UserError(f"{path} is not of biggan explore directions (its format is not {FORMAT!r})")
            layers = tuple(int(layer) for layer in about["layers"].split(","))
            return Directions(handle.get_tensor("directions"), handle.get_tensor("eigenvalues"), layers)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged or missing ({error}); make it by biggan explore directions") from error

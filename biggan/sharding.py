"""Weights in parts, for models beyond one card: FSDP2, `torch.distributed.fsdp.fully_shard`.

Each process keeps an equal part of every weight, gradient and optimizer moment. A block's weights are whole
only while it computes; its gradients are averaged and cut up again behind it.

Notable:
- Parts are DTensors. Here they are told by `full_tensor`, because importing their class takes a second that
  `biggan sample` should not wait for.
- Scalars, such as gamma of self-attention, can't be cut: they stay whole, and a hook averages their gradients.
- Buffers stay whole too: batch statistics and singular vectors agree in all processes by themselves.

Deliberately absent: saving in parts. A checkpoint is one file with whole tensors, so it goes on with any
number of processes, sharded or not.
"""

from collections.abc import Iterable, Mapping

import torch
import torch.distributed as dist
from torch import Tensor, nn

from biggan import distributed


def shard(network: nn.Module, blocks: Iterable[nn.Module], device: torch.device) -> None:
    """Cut up the weights of a network that may lie on the CPU; what is in no block is gathered for the whole pass."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (distributed.world_size(),))
    scalars = {parameter for parameter in network.parameters() if parameter.ndim == 0}
    for scalar in scalars:
        scalar.data = scalar.data.to(device)
        if scalar.requires_grad:
            scalar.register_post_accumulate_grad_hook(_average_gradient)
    for part in [*blocks, network]:
        fully_shard(part, mesh=mesh, ignored_params=scalars, reshard_after_forward=True)


def _average_gradient(parameter: Tensor) -> None:
    assert parameter.grad is not None
    parameter.grad.copy_(distributed.mean(parameter.grad))


def is_part(tensor: Tensor) -> bool:
    """Whether this process holds only a part of the tensor."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: Tensor) -> Tensor:
    """The whole tensor, gathered where this process holds a part: then all processes must ask for it."""
    return tensor.full_tensor() if is_part(tensor) else tensor  # type: ignore[attr-defined]


def local(tensor: Tensor) -> Tensor:
    """What this process holds of a tensor; writing to it writes to the tensor."""
    return tensor.to_local() if is_part(tensor) else tensor  # type: ignore[attr-defined]


def like(tensor: Tensor, target: Tensor) -> Tensor:
    """A whole tensor, cut up as `target` is; the same value must be given in all processes."""
    if not is_part(target):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = target.device_mesh, target.placements  # type: ignore[attr-defined]
    return distribute_tensor(tensor, mesh, placements, src_data_rank=None)


@torch.no_grad()
def fill(target: Tensor, value: Tensor) -> None:
    """Overwrite a tensor, or this process's part of it, by a whole value; RuntimeError if shapes differ."""
    if target.shape != value.shape:
        raise RuntimeError(f"shape {tuple(value.shape)} where {tuple(target.shape)} is expected")
    target.copy_(like(value.to(target.device, target.dtype), target))


@torch.no_grad()
def send_from_first(targets: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Overwrite the targets of all processes by the first one's whole values, a tensor at a time."""
    if distributed.world_size() == 1:
        return
    for key, target in targets.items():
        value = torch.empty(target.shape, dtype=target.dtype, device=target.device)
        if distributed.is_first():
            value.copy_(values[key])
        dist.broadcast(value, src=0)
        fill(target, value)


def clip_gradient(network: nn.Module, largest: float) -> Tensor:
    """Scale the gradient down to the norm `largest` if it is longer; its norm before, a scalar."""
    given = [p for p in network.parameters() if p.grad is not None]
    kinds = [kind for cut in (True, False) if (kind := [p for p in given if is_part(p) is cut])]
    norms = [whole(nn.utils.get_total_norm([p.grad for p in kind if p.grad is not None])) for kind in kinds]
    norm = norms[0] if len(norms) == 1 else torch.stack(norms).norm()
    for kind in kinds:
        nn.utils.clip_grads_with_norm_(kind, largest, norm)
    return norm

"""Several processes on PyTorch's own engine. In one process everything here does nothing.

Notable:
- Processes are started by torchrun, or by anything that sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR
  and MASTER_PORT.
- Each process works on an equal share of every micro-batch, so a mean over processes of means is the mean.
- Decisions of the host (stop, roll back) travel over gloo, so agreeing on one never waits for a device.
- The process that fails first claims the right to speak; the others end in silence.

Deliberately absent: anything that knows of GANs.
"""

import contextlib
import inspect
import os
import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

TIMEOUT = timedelta(hours=1)        # the others wait this long while the first process evaluates or saves


def asked_for() -> int:
    """The number of processes that the launcher started, before any of them has joined the group."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_rank() -> int:
    """The place of this process on its machine: the index of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The place of this process among them."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return rank() == 0


@contextlib.contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the processes that the launcher started, for the length of the block.

    After a failure the group is left as it is: to take it down could wait for a process that is gone.
    """
    if asked_for() == 1:
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store, this, count = next(iter(rendezvous("env://")))
    _Failures.store = PrefixStore("failures", store)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    group = PrefixStore("group", store)
    dist.init_process_group(backend, store=group, rank=this, world_size=count, timeout=TIMEOUT)
    yield
    dist.barrier()
    dist.destroy_process_group()
    _Failures.store = None


class _Failures:
    store: PrefixStore | None = None


def first_to_fail() -> bool:
    """Whether this process is the first to report a failure. Only that one should speak."""
    if _Failures.store is None:
        return os.environ.get("RANK", "0") == "0"       # before the group all fail alike
    try:
        return _Failures.store.add("count", 1) == 1
    except RuntimeError:                                # the store went down with its process
        return True


def lost_a_process(error: BaseException) -> bool:
    """Whether an error is only the echo of another process's end."""
    if world_size() == 1 or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, dist.DistError) or any(word in str(error) for word in ("gloo", "peer", "NCCL"))


# ---- values ----------------------------------------------------------------------------------------


@torch.no_grad()
def mean(values: Tensor) -> Tensor:
    """The mean over processes of a tensor of any shape."""
    if world_size() == 1:
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / world_size()


@torch.no_grad()
def gather(values: Tensor) -> Tensor:
    """The tensors (B, ...) of all processes, in their order: (B x processes, ...), without gradient."""
    if world_size() == 1:
        return values.detach()
    parts = [torch.empty_like(values) for _ in range(world_size())]
    dist.all_gather(parts, values.detach().contiguous())
    return torch.cat(parts)


def any_of(flag: bool) -> bool:
    """Whether the flag is set in any process."""
    if world_size() == 1:
        return flag
    flags = torch.tensor([int(flag)])
    dist.all_reduce(flags, op=dist.ReduceOp.MAX)
    return bool(flags.item())


def from_first(value: Any) -> Any:
    """The first process's value, in all of them: plain Python data."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    return box[0]


def barrier() -> None:
    """Wait until all processes are here."""
    any_of(False)


# ---- modules ---------------------------------------------------------------------------------------


def parallel(module: nn.Module) -> nn.Module:
    """The module as its gradients' averager over processes; in one process the module itself.

    Buffers are not broadcast: they are functions of weights and of batch statistics over all processes,
    so they agree already.
    """
    if world_size() == 1:
        return module
    device = next(module.parameters()).device
    ids = [device] if device.type == "cuda" else None
    # Of a kernel with one channel, channels-last strides are ambiguous: the layouts it warns of are one.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    known = inspect.signature(DistributedDataParallel.__init__).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"      # torch < 2.13
    options: dict[str, Any] = {name: False}
    return DistributedDataParallel(module, device_ids=ids, **options)


def synchronise(module: nn.Module, wanted: bool) -> contextlib.AbstractContextManager[object]:
    """Average gradients in the backward pass of this block's forward pass, or only add them up here."""
    if callable(choose := getattr(module, "set_requires_gradient_sync", None)):     # FSDP2
        choose(wanted)
    if wanted or not isinstance(module, DistributedDataParallel):
        return contextlib.nullcontext()
    return module.no_sync()

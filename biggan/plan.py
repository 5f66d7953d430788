"""What a run will need, before it is begun: parameters, arithmetic, memory, time.

Notable:
- An iteration is run on fake tensors, which have sizes but no content: the code that trains is the code
  that is counted, at the true micro-batch, in a second, for networks that would not fit here.
- Memory is the peak of all tensors alive at once. What a CPU's libraries and heap add is in `resident`; what a
  GPU's add is not known here.
- Time comes from real iterations; FLOPs are those of the fused forms, 2 a multiply-add, also where small maps take
  the textbook's.
"""

import dataclasses
import weakref
from collections.abc import Iterator
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from biggan.accelerate import accelerate
from biggan.config import BigGANConfig, TrainConfig
from biggan.ema import update_ema
from biggan.machine import median_seconds
from biggan.networks import Discriminator, Generator
from biggan.networks.resample import only_fused
from biggan.state import TrainState, adam, new_state
from biggan.steps import D_DRAWS, G_DRAWS, DBatch, GBatch, discriminator_step, generator_step

PROBE_IMAGES = 4            # of the iteration that is timed for a rate


@dataclasses.dataclass(frozen=True)
class Layer:
    """One part of a network."""

    name: str
    parameters: int
    flops: float            # of the forward pass, an image
    kept: int               # bytes that it leaves for the backward pass of the micro-batch


@dataclasses.dataclass(frozen=True)
class Plan:
    """What an iteration needs; the micro-batch counts the images of one process."""

    layers: list[Layer]
    microbatch: int
    flops: float            # of an iteration, forward and backward, an image of the batch
    state: int              # bytes of weights, average, moments and gradients
    peak: int               # bytes alive at once, the state included


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors made within the block, and their peak."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self.known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self.add(leaf.untyped_storage())
        return result

    def add(self, storage: torch.UntypedStorage) -> None:
        """Count a storage until it is freed."""
        if storage in self.known:
            return
        self.known.add(storage)
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self.subtract, size)

    def subtract(self, size: int) -> None:
        """A storage is freed."""
        self.now -= size


def plan(network: BigGANConfig, config: TrainConfig, microbatch: int, bf16: bool) -> Plan:
    """What one iteration of this run needs with micro-batches of so many images."""
    with FakeTensorMode(), LiveBytes() as live:
        state = _fake_state(network, config)
        with (
            only_fused(),
            FlopCounterMode(display=False, custom_mapping=ATTENTION) as counter,
            _Rows(state.G, "G", microbatch, live, counter) as of_G,
            _Rows(state.D, "D", 2 * microbatch, live, counter) as of_D,
        ):
            iteration(state, config, microbatch, 1, bf16)
        held = sum(t.nbytes for t in state.tensors().values())
        held += sum(p.nbytes for n in (state.G, state.D) for p in n.parameters())
    flops = counter.get_total_flops() / microbatch
    return Plan([*of_G.rows(), *of_D.rows()], microbatch, flops, held, peak(network, config, microbatch, bf16))


def peak(network: BigGANConfig, config: TrainConfig, microbatch: int, bf16: bool) -> int:
    """Bytes of all tensors alive at once. Counting FLOPs too would keep some alive that training frees."""
    with FakeTensorMode(), LiveBytes() as live:
        state = _fake_state(network, config)
        for parameter in state.G.parameters():
            parameter.grad = torch.zeros_like(parameter)        # of the iteration before
        iteration(state, config, microbatch, min(2, config.batch_size // microbatch) or 1, bf16)
    return live.peak


def drawing_peak(network: BigGANConfig, images: int) -> int:
    """Bytes of all tensors alive at once, the state included, while so many images are drawn without gradient."""
    with FakeTensorMode(), LiveBytes() as live, torch.no_grad():
        state = _fake_state(network, TrainConfig())
        batch = _g_batch(state, images)
        state.G_ema(batch.z, batch.y)
    return live.peak


def iteration(state: TrainState, config: TrainConfig, images: int, micro: int, bf16: bool) -> None:
    """One iteration on `micro` micro-batches of random images."""
    for step in range(config.d_steps):
        discriminator_step(state, [_d_batch(state, images) for _ in range(micro)], config, d_step=step, bf16=bf16)
    generator_step(state, [_g_batch(state, images) for _ in range(micro)], config, bf16=bf16)
    update_ema(state.G_ema, state.G, 0.999)


def resident(peak: int) -> int:
    """Bytes of a process on a CPU for a peak of live tensors: 1.6 times that, and a little.

    oneDNN's reordered copies and the heap's gaps come on top; fitted to six networks (docs/speed.md).
    """
    return peak * 8 // 5 + 16 * 2**20


def seconds(network: BigGANConfig, config: TrainConfig, bf16: bool, device: torch.device) -> float:
    """The time of a real iteration on a batch of random images, its micro-batches one after another."""
    microbatch = config.microbatch_size or config.batch_size
    state = new_state(network, config.seed, device)
    accelerate(state, config)
    with torch.random.fork_rng(devices=[]):
        return median_seconds(
            lambda: iteration(state, config, microbatch, config.batch_size // microbatch, bf16), device
        )


def images_per_second(network: BigGANConfig, config: TrainConfig, bf16: bool, device: torch.device) -> float:
    """The rate of real iterations on a few images."""
    images = min(PROBE_IMAGES, config.batch_size)
    few = dataclasses.replace(config, batch_size=images, microbatch_size=0, compile=False)
    return images / seconds(network, few, bf16, device)


def largest_microbatch(network: BigGANConfig, config: TrainConfig, bf16: bool, limit: int) -> int:
    """The largest divisor of the batch whose iteration stays within `limit` bytes; 0 if not even 1 does.

    The peak is nearly a straight line in the number of images, which says where to begin to look.
    """
    few, more = (peak(network, config, images, bf16) for images in (4, 8))
    fitting = 4 + (limit - few) // ((more - few) / 4)
    divisors = [n for n in range(1, config.batch_size + 1) if config.batch_size % n == 0 and n <= fitting]
    return next((n for n in reversed(divisors) if peak(network, config, n, bf16) <= limit), 0)


# ---- the parts -------------------------------------------------------------------------------------


def _fake_state(config: BigGANConfig, run: TrainConfig) -> TrainState:
    """`new_state` in float32 on the CPU; a fake module cannot be moved to a device."""
    G, D = Generator(config), Discriminator(config)
    state = TrainState(
        config=config,
        G=G,
        D=D,
        G_ema=Generator(config).requires_grad_(False),      # a copy would be of another fake mode
        g_optimizer=adam(G, config.g_lr, (config.g_beta1, config.g_beta2), config.adam_eps),
        d_optimizer=adam(D, config.d_lr, (config.d_beta1, config.d_beta2), config.adam_eps),
    )
    accelerate(state, dataclasses.replace(run, compile=False))
    return state


def _attention_flops(query: Any, key: Any, value: Any, *rest: Any, **options: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward_flops(gradient: Any, query: Any, key: Any, value: Any, *rest: Any, **options: Any) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


# PyTorch's counter knows the GPU's kernels only.
ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flops,
}


def _d_batch(state: TrainState, images: int) -> DBatch:
    c, device = state.config, state.device
    x = torch.rand(images, c.image_channels, *c.image_shape, device=device) * 2 - 1
    y = torch.zeros(images, dtype=torch.int64, device=device)
    return DBatch(x, y, torch.randn(images, c.z_dim, device=device), y, torch.rand(images, D_DRAWS, device=device))


def _g_batch(state: TrainState, images: int) -> GBatch:
    device = state.device
    z, y = torch.randn(images, state.config.z_dim, device=device), torch.zeros(images, dtype=torch.int64, device=device)
    return GBatch(z, y, torch.rand(images, G_DRAWS, device=device))


class _Rows:
    """Within the block, what the first training forward pass with gradient of each part of a network costs."""

    def __init__(self, network: nn.Module, name: str, images: int, live: LiveBytes, counter: FlopCounterMode) -> None:
        self.name, self.images, self.live, self.counter = name, images, live, counter
        self.parts = dict(_parts(network))
        self.whole = network
        self.began: dict[nn.Module, tuple[int, int]] = {}
        self.costs: dict[nn.Module, tuple[int, int]] = {}

    def __enter__(self) -> Self:
        self.handles = [
            handle
            for module in (self.whole, *self.parts.values())
            for handle in (module.register_forward_pre_hook(self.before), module.register_forward_hook(self.after))
        ]
        return self

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()

    def before(self, module: nn.Module, args: Any) -> None:
        """A forward pass begins."""
        self.began[module] = (self.counter.get_total_flops(), self.live.now)

    def after(self, module: nn.Module, args: Any, result: Any) -> None:
        """A forward pass ended."""
        if torch.is_grad_enabled():
            flops, held = self.began[module]
            self.costs.setdefault(module, (self.counter.get_total_flops() - flops, self.live.now - held))

    def rows(self) -> list[Layer]:
        """A row a part in the order of the passes, and one for what lies between them."""
        names = {module: path for path, module in self.parts.items()}
        rows = [
            Layer(f"{self.name}.{names[module]}", _count(module), flops / self.images, kept)
            for module, (flops, kept) in self.costs.items()
            if module is not self.whole
        ]
        flops, kept = self.costs[self.whole]
        rest = Layer(
            f"{self.name}, the rest",
            _count(self.whole) - sum(row.parameters for row in rows),
            flops / self.images - sum(row.flops for row in rows),
            kept - sum(row.kept for row in rows),
        )
        return [*rows, rest]


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _parts(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The rows of the table: children, and the members of lists of children."""
    for name, child in network.named_children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from ((f"{name}.{inner}", module) for inner, module in child.named_children())
        else:
            yield name, child

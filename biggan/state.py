"""Everything a run must remember: the networks, the moving average, the optimizers and the clock."""

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from biggan import distributed
from biggan.config import BigGANConfig
from biggan.networks import Discriminator, Generator
from biggan.sharding import fill, is_part, shard


@dataclass
class TrainState:
    """The state of a run. Its clock is `images_seen`; all else random derives from seed and clock."""

    config: BigGANConfig
    G: Generator
    D: Discriminator
    G_ema: Generator
    g_optimizer: torch.optim.Adam
    d_optimizer: torch.optim.Adam
    images_seen: int = 0
    lecam: Tensor = field(default_factory=lambda: torch.zeros(2))          # averages of real and fake logits
    signals: list[dict[str, float]] = field(default_factory=list)          # what the watchdog saw
    rollbacks: list[dict[str, Any]] = field(default_factory=list)          # where the run went back, and why

    def __post_init__(self) -> None:
        self.parallel_G: nn.Module = self.G         # what a gradient's forward pass goes through
        self.parallel_D: nn.Module = self.D
        self.sharded = False                        # each process holds a part of every weight
        self.frozen: list[nn.Parameter] = []        # weights that keep their values

    def hold_frozen(self) -> None:
        """Ask no gradient for frozen weights. Adam passes over a weight without one."""
        for parameter in self.frozen:
            parameter.requires_grad_(False)

    def parallelise(self) -> None:
        """Train together with the other processes: average gradients, and take batch statistics over all."""
        if not self.sharded:
            self.parallel_G, self.parallel_D = distributed.parallel(self.G), distributed.parallel(self.D)
        for _, norm in self.G.batch_norms():
            norm.cross_replica = distributed.world_size() > 1

    def shard(self, device: torch.device) -> None:
        """Leave to each process only its part of every weight, before `parallelise`.

        The networks may lie on the CPU; their parts move to `device`.
        """
        moments = {key: value for key, value in self.tensors().items() if "optimizer." in key}
        for network in (self.G, self.D, self.G_ema):
            shard(network, network.blocks, device)
        self.g_optimizer, self.d_optimizer = optimizers(self.config, self.G, self.D)
        self.lecam = self.lecam.to(device)
        for key, target in self.tensors().items():
            if key in moments:
                fill(target, moments[key])
        self.sharded = True

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.G.parameters()).device

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the state by a dotted name, as parts where it is sharded."""
        named: dict[str, Tensor] = {}
        for prefix, network in (("G", self.G), ("D", self.D), ("G_ema", self.G_ema)):
            named |= {f"{prefix}.{key}": value for key, value in network.state_dict().items()}
        for prefix, network, optimizer in (
            ("g_optimizer", self.G, self.g_optimizer),
            ("d_optimizer", self.D, self.d_optimizer),
        ):
            for name, parameter in network.named_parameters():
                named |= {f"{prefix}.{name}.{key}": value for key, value in optimizer.state[parameter].items()}
        return named | {"lecam": self.lecam}

    @torch.no_grad()
    def load_tensors(self, named: dict[str, Tensor]) -> None:
        """Overwrite every tensor by a whole one of that name. KeyError or RuntimeError if names or shapes differ."""
        for key, target in self.tensors().items():
            fill(target, named[key])

    def notes(self) -> dict[str, Any]:
        """What is remembered beside tensors and clock, as plain JSON values; `load_notes` takes the same."""
        return {"signals": self.signals, "rollbacks": self.rollbacks}

    def load_notes(self, notes: dict[str, Any]) -> None:
        """Restore what `notes()` gave."""
        self.signals, self.rollbacks = list(notes["signals"]), list(notes["rollbacks"])

    def set_rates(self, config: BigGANConfig) -> None:
        """Go on with the learning rates, betas and epsilon of another configuration."""
        for group in self.g_optimizer.param_groups:
            group |= {"lr": config.g_lr, "betas": (config.g_beta1, config.g_beta2), "eps": config.adam_eps}
        for group in self.d_optimizer.param_groups:
            group |= {"lr": config.d_lr, "betas": (config.d_beta1, config.d_beta2), "eps": config.adam_eps}


def new_state(
    config: BigGANConfig, seed: int, device: torch.device, dtype: torch.dtype = torch.float32
) -> TrainState:
    """Freshly initialised networks and optimizers on `device`; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        G, D = Generator(config), Discriminator(config)
    G, D = G.to(device, dtype), D.to(device, dtype)
    G_ema = copy.deepcopy(G).requires_grad_(False)
    lecam = torch.zeros(2, device=device, dtype=dtype)
    return TrainState(config, G, D, G_ema, *optimizers(config, G, D), lecam=lecam)


def optimizers(config: BigGANConfig, G: Generator, D: Discriminator) -> tuple[torch.optim.Adam, torch.optim.Adam]:
    """G's and D's, as the configuration says."""
    return (
        adam(G, config.g_lr, (config.g_beta1, config.g_beta2), config.adam_eps),
        adam(D, config.d_lr, (config.d_beta1, config.d_beta2), config.adam_eps),
    )


def adam(network: nn.Module, lr: float, betas: tuple[float, float], eps: float) -> torch.optim.Adam:
    """Adam over all parameters, fused, with its state made at once so that saving never finds a gap.

    One fused call can't take whole tensors and parts: each kind has a group of its own.
    """
    kinds = [[p for p in network.parameters() if is_part(p) is cut] for cut in (False, True)]
    groups = [{"params": kind} for kind in kinds if kind]
    optimizer = torch.optim.Adam(groups, lr=lr, betas=betas, eps=eps, fused=True)
    for parameter in network.parameters():
        optimizer.state[parameter] = {
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return optimizer

"""Is a training iteration faster than the reference implementation's, with the same losses?

    git clone https://github.com/ajbrock/BigGAN-PyTorch
    python benchmarks/reference.py --reference BigGAN-PyTorch [--only 32 64 deep] [--repeats 7]

Runs that code's own training function (`train_fns.GAN_training_function`: D step, G step, EMA) on its own
networks, in float32 as it comes, beside ours from the same weights, images, latents and labels. First one
iteration of both in float32, whose losses must agree; its learning rates are 0, since Adam's first step
makes a full step of any rounding error. That code's own iteration in float64 says how much of a difference is
rounding. Then both in turn, learning.

That code imports torchvision and h5py for its data sets, which no iteration uses: empty modules stand in
for what is not installed. Nothing of it is in this repository.
"""

import argparse
import copy
import dataclasses
import importlib
import importlib.util
import statistics
import sys
import types
from pathlib import Path
from typing import Any

import torch
from timing import in_turn, ratio
from torch import Tensor

from biggan.bench import hardware
from biggan.config import TrainConfig
from biggan.convert import ajbrock
from biggan.machine import keep_freed_memory
from biggan.state import TrainState, new_state
from biggan.steps import DBatch, GBatch, discriminator_step, generator_step
from biggan.training import update_average

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
NUM_CLASSES = 10
G_COMMON = {
    "n_classes": NUM_CLASSES, "G_shared": True, "shared_dim": 128, "hier": True, "SN_eps": 1e-6, "adam_eps": 1e-6,
    "G_lr": 1e-4, "dim_z": 120,
}  # fmt: skip
D_COMMON = {"n_classes": NUM_CLASSES, "SN_eps": 1e-6, "adam_eps": 1e-6, "D_lr": 4e-4}
# module, what both networks are given beyond that, batch size
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], int]] = {
    "32 px, ch 32": ("BigGAN", {"G_ch": 32, "G_attn": "0"}, {"D_ch": 32, "D_attn": "0"}, 32),
    "64 px, ch 16, attention": ("BigGAN", {"G_ch": 16, "G_attn": "32"}, {"D_ch": 16, "D_attn": "32"}, 32),
    "deep, 32 px, ch 64": ("BigGANdeep", {"G_ch": 64, "G_attn": "0"}, {"D_ch": 64, "D_attn": "0"}, 32),
    "deep, 64 px, ch 32, attention": ("BigGANdeep", {"G_ch": 32, "G_attn": "32"}, {"D_ch": 32, "D_attn": "32"}, 32),
    "32 px, ch 64": ("BigGAN", {"G_ch": 64, "G_attn": "0"}, {"D_ch": 64, "D_attn": "0"}, 32),
    "128 px, ch 96 (needs a GPU)": ("BigGAN", {"G_ch": 96, "G_attn": "64"}, {"D_ch": 96, "D_attn": "64"}, 24),
}  # fmt: skip


class Stand(types.ModuleType):
    """A module that is not installed and not used: whatever is asked of it is an empty class or module."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return sys.modules.get(f"{self.__name__}.{name}") or type(name, (), {})


def import_reference(folder: Path) -> None:
    """Make the modules of a checkout importable."""
    if not (folder / "train_fns.py").is_file():
        sys.exit(f"{folder} is not a checkout of ajbrock/BigGAN-PyTorch (no train_fns.py in it)")
    for package, inner in (("torchvision", ("transforms", "datasets", "datasets.utils")), ("h5py", ())):
        if importlib.util.find_spec(package) is None:
            sys.modules |= {name: Stand(name) for name in (package, *(f"{package}.{part}" for part in inner))}
    sys.path.insert(0, str(folder))


class Sides:
    """One configuration: that code's training function and ours, from the same weights and batches."""

    def __init__(
        self, module: str, g: dict[str, Any], d: dict[str, Any], batch: int, resolution: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        networks, functions, tools = (importlib.import_module(name) for name in (module, "train_fns", "utils"))
        torch.manual_seed(0)
        G = networks.Generator(resolution=resolution, **G_COMMON | g).to(DEVICE, dtype)
        D = networks.Discriminator(resolution=resolution, **D_COMMON | d).to(DEVICE, dtype)
        G_ema = networks.Generator(resolution=resolution, no_optim=True, **G_COMMON | g).to(DEVICE, dtype)
        self.batch = batch
        self.pixels = (torch.rand(batch, 3, resolution, resolution, device=DEVICE) * 2 - 1).to(dtype)
        self.y = torch.randint(NUM_CLASSES, (batch,), device=DEVICE)
        self.z = [torch.randn(batch, G.dim_z, device=DEVICE).to(dtype) for _ in range(2)]      # of D's and of G's step
        self.gy = [torch.randint(NUM_CLASSES, (batch,), device=DEVICE) for _ in range(2)]
        self.config = TrainConfig(batch_size=batch, ema_decay=0.999, ema_buffers="average")
        self.state = self.ours(copy.deepcopy(G.state_dict()), copy.deepcopy(D.state_dict()), resolution)
        settings = {
            "toggle_grads": True, "num_D_steps": 1, "num_D_accumulations": 1, "num_G_accumulations": 1,
            "split_D": False, "D_ortho": 0.0, "G_ortho": 0.0, "ema": True, "batch_size": batch,
        }  # fmt: skip
        z_, y_ = torch.empty_like(self.z[0]), torch.empty_like(self.gy[0])
        for target, draws in ((z_, self.z), (y_, self.gy)):
            target.sample_ = Turns(target, draws)  # type: ignore[attr-defined]
        average = tools.ema(G, G_ema, 0.999, 0)
        self.function = functions.GAN_training_function(
            G.train(), D.train(), networks.G_D(G, D), z_, y_, average, {"itr": 1}, settings
        )
        self.optimizers = [G.optim, D.optim, self.state.g_optimizer, self.state.d_optimizer]

    def losses(self) -> tuple[dict[str, float], dict[str, float]]:
        """Their losses and ours of one iteration in full precision, nothing learned."""
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        rates = [group["lr"] for group in groups]
        for group in groups:
            group["lr"] = 0.0
        theirs, ours = self.reference_iteration(), self.our_iteration(bf16=False)
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate
        return theirs, ours

    def ours(self, G: dict[str, Tensor], D: dict[str, Tensor], resolution: int) -> TrainState:
        """Our state with that code's weights."""
        loaded = ajbrock.load(G, D, resolution=resolution)
        network = dataclasses.replace(loaded.config, g_lr=1e-4, d_lr=4e-4, adam_eps=1e-6)
        state = new_state(network, 0, DEVICE, self.pixels.dtype)
        assert loaded.D is not None
        state.G.load_state_dict(loaded.G.state_dict())
        state.G_ema.load_state_dict(loaded.G.state_dict())
        state.D.load_state_dict(loaded.D.state_dict())
        return state

    def reference_iteration(self) -> dict[str, float]:
        """One iteration of that code."""
        return self.function(self.pixels, self.y)

    def our_iteration(self, bf16: bool) -> dict[str, float]:
        """The same of ours."""
        d_batch = DBatch(self.pixels, self.y, self.z[0], self.gy[0])
        d = discriminator_step(self.state, [d_batch], self.config, bf16=bf16)
        g = generator_step(self.state, [GBatch(self.z[1], self.gy[1])], self.config, bf16=bf16)
        self.state.images_seen += self.batch
        update_average(self.state, self.config)
        names = {"G_loss": g["g_loss"], "D_loss_real": d["d_loss_real"], "D_loss_fake": d["d_loss_fake"]}
        return {name: value.item() for name, value in names.items()}


def difference(a: dict[str, float], b: dict[str, float]) -> float:
    """The largest relative difference of two sets of losses."""
    return max(abs(a[key] - b[key]) / max(abs(b[key]), 1e-30) for key in b)


class Turns:
    """Fills a tensor with one of two draws after the other, as that code's `sample_()` does with new ones."""

    def __init__(self, target: Tensor, draws: list[Tensor]) -> None:
        self.target, self.draws, self.count = target, draws, 0

    def __call__(self) -> None:
        """The next draw."""
        self.target.data.copy_(self.draws[self.count % len(self.draws)])
        self.count += 1


def main() -> None:
    """Print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True, help="a checkout of ajbrock/BigGAN-PyTorch")
    parser.add_argument("--only", nargs="*", default=[name for name in CASES if "GPU" not in name])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--fp32", action="store_true", help="ours in float32 too")
    given = parser.parse_args()
    import_reference(given.reference)
    keep_freed_memory(DEVICE)           # as training does; both sides gain
    print(hardware(DEVICE))
    print(
        f"{'case':32s} {'theirs ms':>10s} {'ours ms':>9s} {'ratio':>6s}  largest relative difference of losses in "
        "float32: ours from theirs; theirs, and ours, from theirs in float64"
    )
    for name in given.only:
        module, g, d, batch = CASES[name]
        resolution = next(int(word) for word in ("32", "64", "128") if f"{word} px" in name)
        exact, _ = Sides(module, g, d, batch, resolution, torch.float64).losses()
        sides = Sides(module, g, d, batch, resolution)
        theirs, ours = sides.losses()
        apart = [difference(a, b) for a, b in ((ours, theirs), (theirs, exact), (ours, exact))]
        times = in_turn(
            {"theirs": sides.reference_iteration, "ours": lambda s=sides: s.our_iteration(not given.fp32)},  # type: ignore[misc]
            given.repeats,
        )
        medians = {side: statistics.median(values) * 1e3 for side, values in times.items()}
        print(
            f"{name:32s} {medians['theirs']:10.0f} {medians['ours']:9.0f} {ratio(times, 'theirs', 'ours'):6.2f}"
            f"  {apart[0]:.1e}; {apart[1]:.1e}, {apart[2]:.1e}",
            flush=True,
        )


if __name__ == "__main__":
    main()

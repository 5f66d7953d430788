"""The two configurations: `BigGANConfig` travels with the weights, `TrainConfig` describes one run.

Both are frozen and validated once, when they are made. An error names the flag and the mend.
Each field's help text is what `biggan train --help` prints.
"""

import dataclasses
import difflib
import math
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from biggan.errors import UserError


def _setting(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


# Channel multipliers of base_channels by number of resolution doublings, first entry at the base.
# 5, 6 and 7 (128, 256 and 512 px) are the paper's tables 4 to 6; 4 and 3 (64 and 32 px) are
# ajbrock's; below, his 32 px rule with fewer blocks.
G_MULTIPLIERS: dict[int, tuple[int, ...]] = {
    1: (4, 4),
    2: (4, 4, 4),
    3: (4, 4, 4, 4),
    4: (16, 16, 8, 4, 2),
    5: (16, 16, 8, 4, 2, 1),
    6: (16, 16, 8, 8, 4, 2, 1),
    7: (16, 16, 8, 8, 4, 2, 1, 1),
}
# One entry a block of D. Up to 32 px the last two blocks keep the resolution, beyond only the last.
D_MULTIPLIERS: dict[int, tuple[int, ...]] = {
    1: (4, 4, 4),
    2: (4, 4, 4, 4),
    3: (4, 4, 4, 4),
    4: (1, 2, 4, 8, 16),
    5: (1, 2, 4, 8, 16, 16),
    6: (1, 2, 4, 8, 8, 16, 16),
    7: (1, 1, 2, 4, 8, 8, 16, 16),
}
D_DOWNSAMPLES: dict[int, int] = {1: 1, 2: 2, 3: 2, 4: 4, 5: 5, 6: 6, 7: 7}


@dataclass(frozen=True)
class BigGANConfig:
    """The networks and their optimisation. `BigGANConfig()` is the paper's 128 px ImageNet model."""

    # The images
    resolution:      int = _setting(128, "height and width of the images: base-resolution x 2^n")
    base_resolution: int = _setting(4, "height and width of the generator's first feature map")
    image_channels:  int = _setting(3, "1 (gray), 3 (RGB) or 4 (RGBA)")
    num_classes:     int = _setting(1000, "number of classes; training takes it from the data")

    # The networks
    z_dim:                int = _setting(120, "size of the latent; a multiple of the number of skip-z chunks")
    shared_dim:           int = _setting(128, "size of the class embedding that all of G's blocks share")
    g_ch:                 int = _setting(96, "base width of G (the paper's ch)")
    d_ch:                 int = _setting(96, "base width of D")
    g_channel_multipliers: tuple[int, ...] = _setting((), "widths of G in units of g-ch: first map, then each block")
    d_channel_multipliers: tuple[int, ...] = _setting((), "output widths of D's blocks in units of d-ch")
    g_attention:          tuple[int, ...] = _setting((64,), "resolutions of G followed by self-attention")
    d_attention:          tuple[int, ...] = _setting((64,), "resolutions of D followed by self-attention")
    bn_eps:               float = _setting(1e-5, "epsilon of batch normalisation")
    sn_eps:               float = _setting(1e-6, "epsilon of spectral normalisation")

    # The optimisation
    g_lr:     float = _setting(5e-5, "Adam's learning rate for G")
    d_lr:     float = _setting(2e-4, "Adam's learning rate for D")
    g_beta1:  float = _setting(0.0, "Adam's beta1 for G")
    g_beta2:  float = _setting(0.999, "Adam's beta2 for G")
    d_beta1:  float = _setting(0.0, "Adam's beta1 for D")
    d_beta2:  float = _setting(0.999, "Adam's beta2 for D")
    adam_eps: float = _setting(1e-6, "Adam's epsilon")

    def __post_init__(self) -> None:
        _coerce(self)
        _at_least(self, 1, "resolution", "base_resolution", "num_classes", "z_dim", "shared_dim", "g_ch", "d_ch")
        _greater_than_zero(self, "bn_eps", "sn_eps", "g_lr", "d_lr", "adam_eps")
        _betas(self, "g_beta1", "g_beta2", "d_beta1", "d_beta2")
        _require(self.image_channels in (1, 3, 4), f"--image-channels {self.image_channels} must be 1, 3 or 4")
        self._check_resolution()
        self._check_multipliers()
        self._check_latent()
        self._check_attention()

    # ---- derived ---------------------------------------------------------------------------------

    @property
    def doublings(self) -> int:
        """N of resolution = base_resolution x 2^n: the number of G's upsamplings."""
        return (self.resolution // self.base_resolution).bit_length() - 1

    @property
    def g_channels(self) -> tuple[int, ...]:
        """Channels of G's first feature map, then after each block."""
        return tuple(self.g_ch * m for m in self.g_channel_multipliers or G_MULTIPLIERS[self.doublings])

    @property
    def d_channels(self) -> tuple[int, ...]:
        """Channels after each of D's blocks."""
        return tuple(self.d_ch * m for m in self.d_channel_multipliers or D_MULTIPLIERS[self.doublings])

    @property
    def g_resolutions(self) -> tuple[int, ...]:
        """Resolution after each of G's blocks."""
        return tuple(self.base_resolution * 2 ** (i + 1) for i in range(self.doublings))

    @property
    def d_resolutions(self) -> tuple[int, ...]:
        """Resolution after each of D's blocks."""
        downs = D_DOWNSAMPLES[self.doublings]
        return tuple(self.resolution // 2 ** min(i + 1, downs) for i in range(len(self.d_channels)))

    @property
    def z_chunks(self) -> int:
        """Skip-z: one chunk of z for the first linear layer and one for each of G's blocks."""
        return self.doublings + 1

    # ---- checks ----------------------------------------------------------------------------------

    def _check_resolution(self) -> None:
        sizes = [self.base_resolution * 2**n for n in range(1, 8)]
        if self.resolution not in sizes:
            near = sorted(sorted(sizes, key=lambda size: abs(size - self.resolution))[:2])
            raise UserError(
                f"--resolution {self.resolution} is not {self.base_resolution} x 2^n with n from 1 to 7; "
                f"the nearest are {near[0]} and {near[1]} (or change --base-resolution)"
            )

    def _check_multipliers(self) -> None:
        n = self.doublings
        for flag, given, fewest in (
            ("--g-channel-multipliers", self.g_channel_multipliers, n + 1),
            ("--d-channel-multipliers", self.d_channel_multipliers, D_DOWNSAMPLES[n]),
        ):
            _require(all(m >= 1 for m in given), f"{flag} {_join(given)} must be positive")
            if given and flag.startswith("--g"):
                need = f"{flag} needs {fewest} numbers at {self.resolution} px, got {len(given)}"
                _require(len(given) == fewest, need)
            elif given:
                need = f"{flag} needs at least {fewest} numbers at {self.resolution} px, got {len(given)}"
                _require(len(given) >= fewest, need)

    def _check_latent(self) -> None:
        if self.z_dim % self.z_chunks:
            low = self.z_dim // self.z_chunks * self.z_chunks
            near = [size for size in (low, low + self.z_chunks) if size > 0]
            raise UserError(
                f"--z-dim {self.z_dim} does not divide into {self.z_chunks} skip-z chunks; "
                f"use {' or '.join(map(str, near))}"
            )

    def _check_attention(self) -> None:
        for flag, given, known in (
            ("--g-attention", self.g_attention, self.g_resolutions),
            ("--d-attention", self.d_attention, self.d_resolutions),
        ):
            for resolution in given:
                _require(
                    resolution in known,
                    f"{flag} {resolution} is not a resolution of this network; it has {_join(sorted(set(known)))}",
                )


@dataclass(frozen=True)
class TrainConfig:
    """One training run: its data, batch, schedule, precision and cadence."""

    # The data
    data:        str = _setting("digits", "digits, or a folder: one sub-folder of images a class, or IDX files")
    fit: Literal["crop", "pad"] = _setting("crop", "bring images to size by a centre crop and resizing, or by padding")
    flip:        bool = _setting(False, "mirror half of the real images horizontally")
    class_names: tuple[str, ...] = _setting((), "names of the classes, where the data has none")

    # The schedule
    images:          int = _setting(64 * 10_000, "length of the run in images seen; or give --steps")
    batch_size:      int = _setting(64, "images of one optimizer step (global batch)")
    microbatch_size: int = _setting(0, "images of one backward pass; 0 means the whole batch")
    d_steps:         int = _setting(1, "discriminator steps for each generator step")
    ema_decay:       float = _setting(0.9999, "decay of the weights' moving average, each step")
    ema_start:       int = _setting(0, "images seen before averaging starts")
    ema_rampup:      float = _setting(0.0, "the average's half-life is at most this share of the images; 0: no limit")

    # The machine
    seed:      int = _setting(0, "everything random derives from it")
    device:    str = _setting("auto", "auto, cpu, cuda or mps")
    precision: Literal["auto", "bf16", "fp32"] = _setting("auto", "auto is bf16 where the hardware has it")

    # The cadence, in images seen
    log_every:        int = _setting(64 * 50, "images between log lines")
    preview_every:    int = _setting(64 * 1000, "images between preview sheets; 0 for none")
    checkpoint_every: int = _setting(64 * 1000, "images between checkpoints")
    keep_checkpoints: int = _setting(2, "how many of the newest checkpoints to keep")

    def __post_init__(self) -> None:
        _coerce(self)
        _at_least(self, 1, "images", "batch_size", "d_steps", "log_every", "checkpoint_every", "keep_checkpoints")
        _at_least(self, 0, "microbatch_size", "ema_start", "preview_every", "seed")
        _require(self.ema_rampup >= 0, f"--ema-rampup {self.ema_rampup:g} must be at least 0")
        _require(0 <= self.ema_decay < 1, f"--ema-decay {self.ema_decay:g} must be at least 0 and below 1")
        if self.microbatch_size and self.batch_size % self.microbatch_size:
            raise UserError(f"--microbatch-size {self.microbatch_size} does not divide --batch-size {self.batch_size}")


# What may differ between the command that began a run and the one that continues it: none of these
# changes what the run computes up to a given clock.
NEUTRAL_FIELDS = frozenset({"images", "device", "log_every", "preview_every", "checkpoint_every", "keep_checkpoints"})

Config = typing.TypeVar("Config", BigGANConfig, TrainConfig)


def from_mapping(kind: type[Config], values: Mapping[str, Any], base: Config | None = None) -> Config:
    """Make a configuration from plain values (flags, YAML, JSON) over `base` or the defaults.

    Raises UserError for a field that does not exist, naming the nearest that does, for a value of
    another type, and for one that validation refuses.
    """
    known = {f.name for f in dataclasses.fields(kind)}
    for name in values:
        if name not in known:
            raise UserError(unknown_name(name, known, "field"))
    return dataclasses.replace(base, **values) if base is not None else kind(**values)


def unknown_name(name: str, known: Iterable[str], what: str) -> str:
    """One line for a name that does not exist, with the nearest one that does."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
    return f"unknown {what} {name!r}; {hint}"


def to_mapping(config: BigGANConfig | TrainConfig) -> dict[str, Any]:
    """The configuration as plain JSON and YAML values."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(config).items()}


# ---- validation ----------------------------------------------------------------------------------


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def _join(values: Iterable[object]) -> str:
    return " ".join(map(str, values))


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _at_least(config: object, least: int, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(value >= least, f"{_flag(name)} {value} must be at least {least}")


def _greater_than_zero(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(value > 0, f"{_flag(name)} {value:g} must be greater than 0")


def _betas(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(0 <= value < 1, f"{_flag(name)} {value:g} must be at least 0 and below 1")


def _coerce(config: Any) -> None:
    """Give every field its declared type, or say which value has another one."""
    hints = typing.get_type_hints(type(config))
    for f in dataclasses.fields(config):
        object.__setattr__(config, f.name, _as_type(f.name, getattr(config, f.name), hints[f.name]))


def _as_type(name: str, value: Any, hint: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and number:
        return float(value)
    if hint is float and isinstance(value, str):     # YAML 1.1 reads 1e-4, without a dot, as a string
        try:
            return float(value)
        except ValueError:
            pass
    if hint is int and number and math.isfinite(value) and value == int(value):
        return int(value)
    if hint in (str, bool) and isinstance(value, hint):
        return value
    if typing.get_origin(hint) is Literal and value in typing.get_args(hint):
        return value
    if typing.get_origin(hint) is tuple and isinstance(value, list | tuple):
        return tuple(_as_type(name, item, typing.get_args(hint)[0]) for item in value)
    raise UserError(f"{_flag(name)} {value!r} is not {_describe(hint)}")


def _describe(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return f"a list of {'names' if typing.get_args(hint)[0] is str else 'whole numbers'}"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[hint]

"""The two configurations: `BigGANConfig` travels with the weights, `TrainConfig` describes one run.

Both are frozen and validated once, when they are made. An error names the flag and the mend.
Each field's help text is what `biggan train --help` prints.
"""

import dataclasses
import difflib
import itertools
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
# One entry a block of D; in BigGAN-deep the first is the stem and each other one a stage. Up to 32 px
# the last two blocks keep the resolution, beyond only the last.
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

# The parts of both networks that `sn_exclude` may name, below "G" and "D" and beside block numbers.
SN_PARTS = frozenset({
    "stem", "linear", "blocks", "attention", "output_conv", "class_projection", "theta", "phi", "g", "o",
    "conv1", "conv2", "conv3", "conv4", "shortcut", "bn1", "bn2", "bn3", "bn4", "gain", "bias",
})  # fmt: skip


@dataclass(frozen=True)
class BigGANConfig:
    """The networks and their optimisation. `BigGANConfig()` is the paper's 128 px ImageNet model."""

    # The images
    resolution:      int = _setting(128, "height and width of the images: base-resolution x 2^n")
    base_resolution: int = _setting(4, "height and width of the generator's first feature map")
    image_channels:  int = _setting(3, "1 (gray), 3 (RGB) or 4 (RGBA)")
    num_classes:     int = _setting(1000, "number of classes; training takes it from the data")

    # The networks
    architecture: Literal["biggan", "biggan-deep"] = _setting("biggan", "plain residual blocks, or bottleneck ones")
    g_depth:              int = _setting(2, "biggan-deep: residual blocks of G at each resolution")
    d_depth:              int = _setting(2, "biggan-deep: residual blocks of D at each resolution")
    deep_blocks: Literal["paper", "studiogan"] = _setting(
        "paper", "biggan-deep: shortcuts that drop or add channels, or StudioGAN's 1x1 convolutions")
    z_dim:                int = _setting(120, "size of the latent; a multiple of the number of skip-z chunks")
    shared_dim:           int = _setting(128, "size of the class embedding that all of G's blocks share")
    conditioning: Literal["shared", "per_class", "none"] = _setting(
        "shared", "G's gains and biases: linear in a shared class embedding, a table of each norm's own, or no class")
    skip_z: Literal["chunks", "whole", "none"] = _setting(
        "chunks", "what of z reaches G's blocks: a chunk each, all of it, or nothing")
    linear_input: Literal["z", "z+class"] = _setting("z", "input of G's first layer: its share of z, or the class too")
    g_ch:                 int = _setting(96, "base width of G (the paper's ch)")
    d_ch:                 int = _setting(96, "base width of D")
    g_channel_multipliers: tuple[int, ...] = _setting((), "widths of G in units of g-ch: first map, then each stage")
    d_channel_multipliers: tuple[int, ...] = _setting(
        (), "output widths of D's stages in units of d-ch; in biggan-deep the stem's comes first")
    g_attention:          tuple[int, ...] = _setting((64,), "resolutions of G followed by self-attention")
    d_attention:          tuple[int, ...] = _setting((64,), "resolutions of D followed by self-attention")
    g_attention_stages:   tuple[int, ...] = _setting((), "G's stages followed by self-attention, from 1; overrides")
    d_attention_stages:   tuple[int, ...] = _setting((), "D's stages followed by self-attention, from 1; overrides")
    output_kernel:        int = _setting(3, "kernel of G's last convolution: 3, or 1")
    output_channels:      int = _setting(0, "channels G's last convolution makes, the image's kept; 0: just those")
    d_hidden: Literal["wide", "thin"] = _setting("wide", "inside D's blocks: as wide as their output, or their input")
    d_rectified_shortcut: bool = _setting(False, "D's shortcuts see relu(x), as StudioGAN's weights expect")
    d_projection:         bool = _setting(True, "D scores image and label; without, the image alone")
    init: Literal["ortho", "normal", "xavier"] = _setting("ortho", "weights at first: orthogonal, N(0, 0.02) or Xavier")

    # The norms
    bn_eps:               float = _setting(1e-5, "epsilon of batch normalisation")
    output_bn_eps:        float = _setting(1e-5, "epsilon of G's last batch normalisation")
    sn_eps:               float = _setting(1e-6, "epsilon of spectral normalisation")
    sn_iterations:        int = _setting(1, "power iterations of each training forward pass")
    sn_evaluation: Literal["iterate", "stored"] = _setting(
        "iterate", "in evaluation, sigma from one more iteration (ajbrock) or from stored u and v (StudioGAN)")
    g_spectral_norm:      bool = _setting(True, "spectral normalisation in G")
    d_spectral_norm:      bool = _setting(True, "spectral normalisation in D")
    sn_exclude:           tuple[str, ...] = _setting(
        (), "layers without spectral normalisation, such as D.class_projection, G.linear, output_conv or attention")

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
        _at_least(self, 1, "g_depth", "d_depth", "sn_iterations")
        _greater_than_zero(self, "bn_eps", "output_bn_eps", "sn_eps", "g_lr", "d_lr", "adam_eps")
        _betas(self, "g_beta1", "g_beta2", "d_beta1", "d_beta2")
        _require(self.image_channels in (1, 3, 4), f"--image-channels {self.image_channels} must be 1, 3 or 4")
        _require(self.output_kernel in (1, 3), f"--output-kernel {self.output_kernel} must be 1 or 3")
        self._check_resolution()
        self._check_multipliers()
        self._check_conditioning()
        self._check_latent()
        self._check_attention()
        self._check_deep()
        self._check_exclusions()

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
        """Channels after each of D's stages; in BigGAN-deep the stem's come first."""
        return tuple(self.d_ch * m for m in self.d_channel_multipliers or D_MULTIPLIERS[self.doublings])

    @property
    def g_resolutions(self) -> tuple[int, ...]:
        """Resolution after each of G's stages."""
        return tuple(self.base_resolution * 2 ** (i + 1) for i in range(self.doublings))

    @property
    def d_resolutions(self) -> tuple[int, ...]:
        """Resolution after each of D's stages."""
        downs, stages = D_DOWNSAMPLES[self.doublings], len(self.d_channels) - self.deep
        return tuple(self.resolution // 2 ** min(i + 1, downs) for i in range(stages))

    @property
    def deep(self) -> bool:
        """Whether the networks are BigGAN-deep's."""
        return self.architecture == "biggan-deep"

    @property
    def z_chunks(self) -> int:
        """Skip-z by chunks: one chunk of z for the first linear layer and one for each of G's stages."""
        return self.doublings + 1 if self.skip_z == "chunks" else 1

    @property
    def has_shared_embedding(self) -> bool:
        """Whether G owns a class embedding: for its blocks, its first layer or both."""
        return self.conditioning == "shared" or self.linear_input == "z+class"

    @property
    def linear_dim(self) -> int:
        """Inputs of G's first linear layer."""
        return self.z_dim // self.z_chunks + (self.shared_dim if self.linear_input == "z+class" else 0)

    @property
    def condition_dim(self) -> int:
        """Size of the vector that sets gains and biases in G; a table is linear in the one-hot label."""
        of_class = {"shared": self.shared_dim, "per_class": self.num_classes, "none": 0}[self.conditioning]
        return of_class + (self.z_dim // self.z_chunks if self.skip_z != "none" else 0)

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
            ("--d-channel-multipliers", self.d_channel_multipliers, D_DOWNSAMPLES[n] + self.deep),
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

    def _check_conditioning(self) -> None:
        if self.conditioning == "per_class":
            _require(self.skip_z == "none", "--conditioning per_class has no place for z; give --skip-z none with it")
        if self.conditioning == "none":
            _require(self.linear_input == "z", "--conditioning none has no class to give; use --linear-input z with it")
        enough = self.output_channels == 0 or self.output_channels >= self.image_channels
        need = f"--output-channels {self.output_channels} must be 0 or at least the image's {self.image_channels}"
        _require(enough, need)

    def _check_attention(self) -> None:
        for flag, given, stages, known in (
            ("--g-attention", self.g_attention, self.g_attention_stages, self.g_resolutions),
            ("--d-attention", self.d_attention, self.d_attention_stages, self.d_resolutions),
        ):
            for stage in stages:
                need = f"{flag}-stages {stage} is not a stage of this network; it has 1 to {len(known)}"
                _require(1 <= stage <= len(known), need)
            for resolution in given if not stages else ():
                _require(
                    resolution in known,
                    f"{flag} {resolution} is not a resolution of this network; it has {_join(sorted(set(known)))}",
                )

    def _check_deep(self) -> None:
        if not self.deep:
            return
        _require(self.d_hidden == "wide", "--d-hidden thin is for --architecture biggan; biggan-deep has bottlenecks")
        if self.deep_blocks == "paper":
            g, d = self.g_channels, self.d_channels
            grows = "biggan-deep drops channels on G's shortcuts, so --g-channel-multipliers must not grow"
            _require(all(a >= b for a, b in itertools.pairwise(g)), f"{grows}; or give --deep-blocks studiogan")
            shrinks = "biggan-deep adds channels on D's shortcuts, so --d-channel-multipliers must not shrink"
            _require(all(a <= b for a, b in itertools.pairwise(d)), f"{shrinks}; or give --deep-blocks studiogan")

    def _check_exclusions(self) -> None:
        for name in self.sn_exclude:
            parts = name.removeprefix("G.").removeprefix("D.").split(".")
            if not all(part in SN_PARTS or part.isdigit() for part in parts):
                raise UserError("--sn-exclude: " + unknown_name(name, SN_PARTS, "layer"))


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

    # The objective
    objective: Literal["hinge", "non-saturating", "minimax", "wasserstein", "least-squares"] = _setting(
        "hinge", "the adversarial loss")
    hinge_margin:    float = _setting(1.0, "hinge: the logit beyond which D's loss is 0")
    label_smoothing: float = _setting(0.0, "non-saturating, minimax: real images get the target 1 minus this")
    g_ortho: float = _setting(0.0, "orthogonal regularization of G: twice the paper's beta; 0 for none")
    d_ortho: float = _setting(0.0, "orthogonal regularization of D")
    ortho: Literal["off-diagonal", "full"] = _setting("off-diagonal", "drive W W^T o (1 - I) or W W^T - I to 0")

    r1:              float = _setting(0.0, "gamma of the gradient penalty gamma/2 E[|grad D(x)|^2]; 0 for none")
    r1_every:        int = _setting(16, "D steps from one gradient penalty to the next; it counts that much more")
    lecam:           float = _setting(0.0, "weight of LeCam regularization, which holds D's logits near their averages")
    lecam_decay:     float = _setting(0.99, "decay of LeCam's averages of logits, each D step")
    lecam_start:     int = _setting(0, "images seen before LeCam begins; 0 means 1,000 batches")
    consistency_real: float = _setting(0.0, "weight of consistency regularization (CR): D(x) against D(T(x))")
    consistency_fake: float = _setting(0.0, "the same on fakes; both are balanced consistency (bCR)")
    consistency_augment: tuple[Literal["color", "translation", "cutout", "flip"], ...] = _setting(
        ("flip", "translation"), "T of consistency regularization: color, translation, cutout, flip")
    augment: tuple[Literal["color", "translation", "cutout", "flip"], ...] = _setting(
        (), "differentiable augmentation of all that D sees: color, translation, cutout, flip")
    top_k:           float = _setting(1.0, "part of the fakes, those D rates best, that G learns from in the end")
    top_k_images:    int = _setting(0, "images seen until --top-k is reached, from 1 down; 0 for at once")
    g_clip:          float = _setting(0.0, "largest norm of G's gradient; 0 for no clipping")
    d_clip:          float = _setting(0.0, "largest norm of D's gradient")

    # The moving average of G
    ema_decay:       float = _setting(0.9999, "decay of the weights' moving average, each step")
    ema_start:       int = _setting(0, "images seen before averaging starts")
    ema_half_life:   int = _setting(0, "half-life of the average in images, instead of a decay; 0 for the decay")
    ema_ramp_up:     float = _setting(0.05, "the half-life is at most this part of the images seen; 0 for no limit")
    ema_buffers: Literal["copy", "average"] = _setting("copy", "the average's buffers: G's own, or averaged too")

    # The machine
    seed:      int = _setting(0, "everything random derives from it")
    device:    str = _setting("auto", "auto, cpu, cuda or mps")
    precision: Literal["auto", "bf16", "fp32"] = _setting("auto", "auto is bf16 where the hardware has it")

    # The cadence, in images seen
    log_every:        int = _setting(64 * 50, "images between log lines")
    preview_every:    int = _setting(64 * 1000, "images between preview sheets; 0 for none")
    checkpoint_every: int = _setting(64 * 1000, "images between checkpoints")
    keep_checkpoints: int = _setting(2, "how many of the newest checkpoints to keep")
    keep_span:        int = _setting(0, "older ones reach back this many images; 0 means 20,000 batches")
    keep_ring:        int = _setting(4, "about how many older ones are spread over --keep-span")
    evaluate_num:     int = _setting(0, "images drawn to evaluate the model at each checkpoint; 0 for no evaluation")
    best_metric: Literal["fid", "is_mean", "precision", "recall", "density", "coverage", "label_accuracy"] = _setting(
        "fid", "the best checkpoint by this metric is kept, where there is an evaluation")

    # The watchdog
    watch: Literal["off", "warn", "stop", "rollback"] = _setting("warn", "what to do when training collapses")
    watch_every:      int = _setting(0, "images between looks; 0 means 100 batches")
    watch_growth:     float = _setting(4.0, "alarm: a weight's largest singular value grew so many times in 5 looks")
    watch_logits:     float = _setting(50.0, "alarm: the mean size of D's logits")
    watch_gap:        float = _setting(0.02, "alarm: real and fake logits differ by less than this part of their size")
    watch_saturation: float = _setting(0.9, "alarm: the part of generated pixels at the limits")
    watch_diversity:  float = _setting(0.1, "alarm: images of a class differ by less than this part of real ones")
    watch_embedding:  float = _setting(10.0, "alarm: the largest class embedding's norm over the median")
    rollback_images:  int = _setting(0, "how far to go back on an alarm; 0 means ten looks")
    rollback_limit:   int = _setting(1, "how often to go back before giving up")
    rollback_changes: tuple[str, ...] = _setting((), "what to change then, such as g_lr=2e-5 lecam=0.3; or stop there")

    def __post_init__(self) -> None:
        _coerce(self)
        _at_least(self, 1, "images", "batch_size", "d_steps", "log_every", "checkpoint_every", "keep_checkpoints")
        _at_least(self, 0, "microbatch_size", "ema_start", "preview_every", "seed")
        _at_least(self, 0, "g_ortho", "d_ortho", "ema_half_life", "ema_ramp_up")
        _require(0 <= self.ema_decay < 1, f"--ema-decay {self.ema_decay:g} must be at least 0 and below 1")
        self._check_objective()
        self._check_watch()
        if self.ema_half_life and self.ema_start:
            raise UserError("--ema-half-life has its own beginning, --ema-ramp-up; leave --ema-start out")
        if self.microbatch_size and self.batch_size % self.microbatch_size:
            raise UserError(f"--microbatch-size {self.microbatch_size} does not divide --batch-size {self.batch_size}")

    def _check_objective(self) -> None:
        _at_least(self, 0, "r1", "lecam", "lecam_start", "consistency_real", "consistency_fake", "top_k_images")
        _at_least(self, 0, "g_clip", "d_clip")
        _at_least(self, 1, "r1_every")
        _betas(self, "lecam_decay")
        _require(0 < self.top_k <= 1, f"--top-k {self.top_k:g} must be greater than 0 and at most 1")
        if self.top_k == 1 and self.top_k_images:
            raise UserError("--top-k-images says how fast --top-k is reached; give --top-k too")
        if (self.consistency_real or self.consistency_fake) and not self.consistency_augment:
            raise UserError("--consistency-augment is empty, so D(T(x)) would be D(x); name an augmentation")
        for flag, names in (("--augment", self.augment), ("--consistency-augment", self.consistency_augment)):
            _require(len(set(names)) == len(names), f"{flag} {_join(names)} names one twice")
        if self.lecam and self.objective == "wasserstein":
            raise UserError("--lecam holds logits near their averages; --objective wasserstein has no such scale")
        if self.hinge_margin != 1:
            _greater_than_zero(self, "hinge_margin")
            _require(self.objective == "hinge", f"--hinge-margin is of no use to --objective {self.objective}")
        if self.label_smoothing:
            _require(0 < self.label_smoothing < 1, f"--label-smoothing {self.label_smoothing:g} must be from 0 to 1")
            sigmoid = self.objective in ("non-saturating", "minimax")
            _require(sigmoid, "--label-smoothing needs --objective non-saturating or minimax, whose targets are labels")

    def _check_watch(self) -> None:
        _at_least(self, 0, "keep_span", "evaluate_num")
        _at_least(self, 0, "watch_every", "watch_gap", "watch_diversity", "rollback_images")
        _at_least(self, 1, "keep_ring", "rollback_limit", "watch_growth", "watch_embedding")
        _greater_than_zero(self, "watch_logits", "watch_saturation")
        for change in self.rollback_changes:
            name = change.partition("=")[0]
            _require("=" in change, f"--rollback-changes {change} must be of the form field=value")
            _require(name in CHANGEABLE_FIELDS, f"--rollback-changes: {unknown_name(name, CHANGEABLE_FIELDS, 'field')}")
        if self.rollback_changes and self.watch != "rollback":
            raise UserError("--rollback-changes are for --watch rollback; give it too")

    # ---- derived ---------------------------------------------------------------------------------

    @property
    def watch_images(self) -> int:
        """Images between two looks of the watchdog."""
        return self.watch_every or 100 * self.batch_size

    @property
    def span_images(self) -> int:
        """How far back kept checkpoints reach."""
        return self.keep_span or 20_000 * self.batch_size

    @property
    def lecam_images(self) -> int:
        """The clock at which LeCam begins."""
        return self.lecam_start or 1_000 * self.batch_size


# What may differ between the command that began a run and the one that continues it: none of these
# changes what the run computes up to a given clock, short of an alarm.
NEUTRAL_FIELDS = frozenset(
    {
        "images", "device", "log_every", "preview_every", "checkpoint_every",
        "keep_checkpoints", "keep_span", "keep_ring", "evaluate_num", "best_metric",
        "watch", "watch_every", "watch_growth", "watch_logits", "watch_gap", "watch_saturation", "watch_diversity",
        "watch_embedding", "rollback_images", "rollback_limit", "rollback_changes",
    }
)  # fmt: skip
# What a run that went back may do differently.
CHANGEABLE_FIELDS = frozenset(
    {
        "g_lr", "d_lr", "g_beta1", "g_beta2", "d_beta1", "d_beta2", "adam_eps", "g_ortho", "d_ortho", "ortho",
        "r1", "r1_every", "lecam", "lecam_decay", "lecam_start", "consistency_real", "consistency_fake",
        "consistency_augment", "augment", "top_k", "top_k_images", "g_clip", "d_clip", "precision", "seed",
    }
)  # fmt: skip

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
        return f"a list of {'whole numbers' if typing.get_args(hint)[0] is int else 'names'}"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[hint]

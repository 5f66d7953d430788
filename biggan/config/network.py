"""`BigGANConfig`: the networks and their optimisation; it travels with the weights."""

import itertools
from dataclasses import dataclass
from typing import Literal

from biggan.config.fields import at_least, betas, coerce, greater_than_zero, join, require, setting, unknown_name
from biggan.errors import UserError

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
    resolution:      int = setting(128, "height of the images, and width of square ones: base-resolution x 2^n")
    base_resolution: int = setting(4, "height of the generator's first feature map, and width for square images")
    base_width:      int = setting(0, "width of the first feature map, for images that are not square; 0: its height")
    image_channels:  int = setting(3, "1 (gray), 3 (RGB) or 4 (RGBA)")
    num_classes:     int = setting(1000, "number of classes; training takes it from the data")

    # The networks
    architecture: Literal["biggan", "biggan-deep"] = setting("biggan", "plain residual blocks, or bottleneck ones")
    g_depth:              int = setting(2, "biggan-deep: residual blocks of G at each resolution")
    d_depth:              int = setting(2, "biggan-deep: residual blocks of D at each resolution")
    deep_blocks: Literal["paper", "studiogan"] = setting(
        "paper", "biggan-deep: shortcuts that drop or add channels, or StudioGAN's 1x1 convolutions")
    z_dim:                int = setting(120, "size of the latent; a multiple of the number of skip-z chunks")
    shared_dim:           int = setting(128, "size of the class embedding that all of G's blocks share")
    conditioning: Literal["shared", "per_class", "none"] = setting(
        "shared", "G's gains and biases: linear in a shared class embedding, a table of each norm's own, or no class")
    skip_z: Literal["chunks", "whole", "none"] = setting(
        "chunks", "what of z reaches G's blocks: a chunk each, all of it, or nothing")
    linear_input: Literal["z", "z+class"] = setting("z", "input of G's first layer: its share of z, or the class too")
    g_ch:                 int = setting(96, "base width of G (the paper's ch)")
    d_ch:                 int = setting(96, "base width of D")
    g_channel_multipliers: tuple[int, ...] = setting((), "widths of G in units of g-ch: first map, then each stage")
    d_channel_multipliers: tuple[int, ...] = setting(
        (), "output widths of D's stages in units of d-ch; in biggan-deep the stem's comes first")
    g_attention:          tuple[int, ...] = setting((64,), "resolutions of G followed by self-attention")
    d_attention:          tuple[int, ...] = setting((64,), "resolutions of D followed by self-attention")
    g_attention_stages:   tuple[int, ...] = setting((), "G's stages followed by self-attention, from 1; overrides")
    d_attention_stages:   tuple[int, ...] = setting((), "D's stages followed by self-attention, from 1; overrides")
    output_kernel:        int = setting(3, "kernel of G's last convolution: 3, or 1")
    output_channels:      int = setting(0, "channels G's last convolution makes, the image's kept; 0: just those")
    d_hidden: Literal["wide", "thin"] = setting("wide", "inside D's blocks: as wide as their output, or their input")
    d_rectified_shortcut: bool = setting(False, "D's shortcuts see relu(x), as StudioGAN's weights expect")
    d_projection:         bool = setting(True, "D scores image and label; without, the image alone")
    weight_init: Literal["ortho", "normal", "xavier"] = setting(
        "ortho", "weights at first: orthogonal, N(0, 0.02) or Xavier")

    # The norms
    bn_eps:               float = setting(1e-5, "epsilon of batch normalisation")
    output_bn_eps:        float = setting(1e-5, "epsilon of G's last batch normalisation")
    sn_eps:               float = setting(1e-6, "epsilon of spectral normalisation")
    sn_iterations:        int = setting(1, "power iterations of each training forward pass")
    sn_evaluation: Literal["iterate", "stored"] = setting(
        "iterate", "in evaluation, sigma from one more iteration (ajbrock) or from stored u and v (StudioGAN)")
    g_spectral_norm:      bool = setting(True, "spectral normalisation in G")
    d_spectral_norm:      bool = setting(True, "spectral normalisation in D")
    sn_exclude:           tuple[str, ...] = setting(
        (), "layers without spectral normalisation, such as D.class_projection, G.linear, output_conv or attention")

    # The optimisation
    g_lr:     float = setting(5e-5, "Adam's learning rate for G")
    d_lr:     float = setting(2e-4, "Adam's learning rate for D")
    g_beta1:  float = setting(0.0, "Adam's beta1 for G")
    g_beta2:  float = setting(0.999, "Adam's beta2 for G")
    d_beta1:  float = setting(0.0, "Adam's beta1 for D")
    d_beta2:  float = setting(0.999, "Adam's beta2 for D")
    adam_eps: float = setting(1e-6, "Adam's epsilon")

    def __post_init__(self) -> None:
        coerce(self)
        at_least(self, 1, "resolution", "base_resolution", "num_classes", "z_dim", "shared_dim", "g_ch", "d_ch")
        at_least(self, 1, "g_depth", "d_depth", "sn_iterations")
        at_least(self, 0, "base_width")
        greater_than_zero(self, "bn_eps", "output_bn_eps", "sn_eps", "g_lr", "d_lr", "adam_eps")
        betas(self, "g_beta1", "g_beta2", "d_beta1", "d_beta2")
        require(self.image_channels in (1, 3, 4), f"--image-channels {self.image_channels} must be 1, 3 or 4")
        require(self.output_kernel in (1, 3), f"--output-kernel {self.output_kernel} must be 1 or 3")
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
    def base_shape(self) -> tuple[int, int]:
        """Height and width of G's first feature map."""
        return self.base_resolution, self.base_width or self.base_resolution

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the images."""
        height, width = self.base_shape
        return height * 2**self.doublings, width * 2**self.doublings

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
        """Resolution after each of G's stages; of maps that are not square, the height."""
        return tuple(self.base_resolution * 2 ** (i + 1) for i in range(self.doublings))

    @property
    def d_resolutions(self) -> tuple[int, ...]:
        """Resolution after each of D's stages; of maps that are not square, the height."""
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
            base = base_of(self.resolution)
            raise UserError(
                f"--resolution {self.resolution} is not {self.base_resolution} x 2^n with n from 1 to 7; "
                f"the nearest are {near[0]} and {near[1]} "
                f"({f'or add --base-resolution {base}' if base else 'or change --base-resolution'})"
            )

    def _check_multipliers(self) -> None:
        n = self.doublings
        for flag, given, fewest in (
            ("--g-channel-multipliers", self.g_channel_multipliers, n + 1),
            ("--d-channel-multipliers", self.d_channel_multipliers, D_DOWNSAMPLES[n] + self.deep),
        ):
            require(all(m >= 1 for m in given), f"{flag} {join(given)} must be positive")
            if given and flag.startswith("--g"):
                need = f"{flag} needs {fewest} numbers at {self.resolution} px, got {len(given)}"
                require(len(given) == fewest, need)
            elif given:
                need = f"{flag} needs at least {fewest} numbers at {self.resolution} px, got {len(given)}"
                require(len(given) >= fewest, need)

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
            require(self.skip_z == "none", "--conditioning per_class has no place for z; give --skip-z none with it")
        if self.conditioning == "none":
            require(self.linear_input == "z", "--conditioning none has no class to give; use --linear-input z with it")
        enough = self.output_channels == 0 or self.output_channels >= self.image_channels
        need = f"--output-channels {self.output_channels} must be 0 or at least the image's {self.image_channels}"
        require(enough, need)

    def _check_attention(self) -> None:
        for flag, given, stages, known in (
            ("--g-attention", self.g_attention, self.g_attention_stages, self.g_resolutions),
            ("--d-attention", self.d_attention, self.d_attention_stages, self.d_resolutions),
        ):
            for stage in stages:
                need = f"{flag}-stages {stage} is not a stage of this network; it has 1 to {len(known)}"
                require(1 <= stage <= len(known), need)
            for resolution in given if not stages else ():
                require(
                    resolution in known,
                    f"{flag} {resolution} is not a resolution of this network; it has {join(sorted(set(known)))}",
                )

    def _check_deep(self) -> None:
        if not self.deep:
            return
        require(self.d_hidden == "wide", "--d-hidden thin is for --architecture biggan; biggan-deep has bottlenecks")
        if self.deep_blocks == "paper":
            g, d = self.g_channels, self.d_channels
            grows = "biggan-deep drops channels on G's shortcuts, so --g-channel-multipliers must not grow"
            require(all(a >= b for a, b in itertools.pairwise(g)), f"{grows}; or give --deep-blocks studiogan")
            shrinks = "biggan-deep adds channels on D's shortcuts, so --d-channel-multipliers must not shrink"
            require(all(a <= b for a, b in itertools.pairwise(d)), f"{shrinks}; or give --deep-blocks studiogan")

    def _check_exclusions(self) -> None:
        for name in self.sn_exclude:
            parts = name.removeprefix("G.").removeprefix("D.").split(".")
            if not all(part in SN_PARTS or part.isdigit() for part in parts):
                raise UserError("--sn-exclude: " + unknown_name(name, SN_PARTS, "layer"))


def base_of(side: int) -> int:
    """The base from 4 to 7 that gives a side of base x 2^n with n from 1 to 7; 0 if there is none."""
    return next((base for base in range(4, 8) for n in range(1, 8) if base * 2**n == side), 0)

"""ajbrock/BigGAN-PyTorch: `G.pth`, `G_ema.pth` and `D.pth` in, and back out.

Notable:
- The spectral norm of that code runs one more power iteration in evaluation mode: so does ours.
- The last batch norm of its G never receives BN_eps and keeps 1e-5.
- Batch statistics come in three layouts: its own buffers, `mybn` and cross-replica.
- `u1`, `sv1`, ... and all `sv` are for its logs; only the first singular vector divides.
- Its ports of the TF-Hub base models are of this layout too, without `sv0`; load them with both
  epsilons 1e-4.
- Its cross-replica layer adds the gain instead of multiplying by it where there is one process; the
  weights were trained with the product, and that is what is computed here.

What the weights do not tell, the epsilons and the number of power iterations, are arguments.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from biggan.config import G_MULTIPLIERS, BigGANConfig
from biggan.convert.weights import (
    Names,
    Weights,
    attention_fields,
    base_and_multipliers,
    discriminator_fields,
    empty_model,
    fill,
    inference,
    same_classes,
    square_root,
    stages_of_deep_generator,
    their_name,
)
from biggan.errors import UserError
from biggan.model import BigGAN, evaluation_mode
from biggan.networks.layers import SpectralNorm

SOURCE = "ajbrock/BigGAN-PyTorch"

# ours                      theirs; i counts blocks, s stages, k blocks in a stage, n is a stage's depth
G_NAMES: Names = (
    ("shared_embedding",    "shared"),
    ("blocks.{i}.shortcut", "blocks.{i}.0.conv_sc"),
    ("blocks.{i}",          "blocks.{i}.0"),
    ("attention.{i}",       "blocks.{i}.1"),
    ("output_bn",           "output_layer.0"),
    ("output_conv",         "output_layer.2"),
)  # fmt: skip
D_NAMES: Names = (
    ("stem",                "input_conv"),
    ("blocks.{i}.shortcut", "blocks.{s}.{k}.conv_sc"),
    ("blocks.{i}",          "blocks.{s}.{k}"),
    ("attention.{i}",       "blocks.{s}.{n}"),
    ("class_projection",    "embed"),
)  # fmt: skip
LEAVES = {"u": "u0", "running_mean": "stored_mean", "running_var": "stored_var"}


def load(
    generator: Mapping[str, Tensor],
    discriminator: Mapping[str, Tensor] | None = None,
    *,
    bn_eps: float = 1e-5,
    sn_eps: float = 1e-6,
    power_iterations: int = 1,
    resolution: int | None = None,
) -> BigGAN:
    """The model that these state dicts belong to, in evaluation mode.

    bn_eps            --BN_eps of the run that made them
    sn_eps            --SN_eps
    power_iterations  --num_G_SV_itrs, for training on
    resolution        needed only where the shapes do not tell it

    Raises UserError if a key is missing, left over or of a shape that does not fit.
    """
    G = Weights(generator, "the generator")
    if "embed.weight" in G or "linear.weight" not in G:
        raise UserError(f"the generator is not one of {SOURCE} (no 'linear.weight', or a discriminator's 'embed')")
    _common_layout(G)
    with inference(SOURCE):
        fields: dict[str, Any] = {
            "bn_eps": bn_eps, "sn_eps": sn_eps, "output_bn_eps": 1e-5, "sn_iterations": power_iterations,
            **_generator_fields(G, resolution),
        }  # fmt: skip
        D = None
        if discriminator is not None:
            D = Weights(discriminator, "the discriminator")
            _common_layout(D)
            fields |= _discriminator_fields(D, fields)
            same_classes(fields["num_classes"], D.shape("embed.weight")[0])
        else:
            fields |= {"d_attention": ()}
    model = empty_model(BigGANConfig(**fields), D is not None, SOURCE)
    fill(model.G, G, _names(model.config, "G"), _adapt(model.config))
    if D is not None and model.D is not None:
        fill(model.D, D, _names(model.config, "D"))
    return model


def unload(model: BigGAN) -> dict[str, dict[str, Tensor]]:
    """State dicts in that code's names, as {"G": ..., "D": ...}; D only if the model has one.

    Loading them gives the same model, bit for bit. UserError if that code has no such network.
    """
    _representable(model.config)
    networks: dict[str, nn.Module] = {"G": model.G} | ({} if model.D is None else {"D": model.D})
    dicts = {}
    for which, network in networks.items():
        name, adapt = _names(model.config, which), _adapt(model.config)
        tensors: dict[str, Tensor] = {}
        for ours, value in network.state_dict().items():
            theirs = name(ours, False)
            value = adapt(ours, value) if which == "G" else value
            tensors[theirs] = value.detach().clone().contiguous()
            if theirs.endswith(".u0"):
                layer = network.get_submodule(ours.rpartition(".")[0])
                assert isinstance(layer, SpectralNorm)
                tensors[theirs] = tensors[theirs].unsqueeze(0)
                with torch.no_grad(), evaluation_mode(layer):
                    tensors[theirs.removesuffix("u0") + "sv0"] = layer.singular().sigma.reshape(1)
        dicts[which] = tensors
    return dicts


# ---- names and layouts -----------------------------------------------------------------------------


def _common_layout(weights: Weights) -> None:
    """Bring `mybn` and cross-replica statistics to the built-in names; pass over what only logs read."""
    weights.rename(r"\.bn\.(stored|running)_(mean|var)$", r".stored_\2")
    weights.ignore(r"\.sv\d+$|\.u[1-9]\d*$|\.bn\.(num_batches_tracked|accumulation_counter)$")


def _names(config: BigGANConfig, which: str) -> Callable[[str, bool], str]:
    """The function from our keys to theirs, for one network of this configuration."""
    depth = config.d_depth if config.deep else 1
    names = G_NAMES if which == "G" else D_NAMES

    def name(ours: str, spectral: bool) -> str:
        theirs = their_name(ours, names, lambda i: {"i": i, "s": i // depth, "k": i % depth, "n": depth})
        stem, _, leaf = theirs.rpartition(".")
        return f"{stem}.{LEAVES.get(leaf, leaf)}"

    return name


def _adapt(config: BigGANConfig) -> Callable[[str, Tensor], Tensor]:
    """Tables of gains and biases by class are (classes, channels) there and (channels, classes) here."""

    def adapt(ours: str, value: Tensor) -> Tensor:
        table = config.conditioning == "per_class" and re.search(r"\.(gain|bias)\.weight$", ours)
        return value.mT if table and value.ndim == 2 else value

    return adapt


# ---- inference -------------------------------------------------------------------------------------


def _generator_fields(G: Weights, resolution: int | None) -> dict[str, Any]:
    """The fields of the configuration that G's names and shapes tell."""
    deep = "blocks.0.0.conv4.weight" in G
    last = "conv4" if deep else "conv2"
    blocks = [
        (G.shape(f"blocks.{i}.0.conv1.weight")[1], G.shape(f"blocks.{i}.0.{last}.weight")[0])
        for i in range(G.count("blocks.{}.0.conv1.weight"))
    ]
    if not blocks:
        raise UserError(f"the generator is not one of {SOURCE} (no 'blocks.0.0.conv1.weight')")
    outputs, inputs = G.shape("linear.weight")
    base = square_root(outputs // blocks[0][0], "the generator's 'linear.weight'")
    tables = list(G_MULTIPLIERS.values())[2:]
    widths = (
        stages_of_deep_generator(blocks, base, resolution, tables)
        if deep
        else [blocks[0][0], *(width for _, width in blocks)]
    )
    stages = len(widths) - 1
    depth = len(blocks) // stages
    if stages not in G_MULTIPLIERS:
        raise UserError(f"the generator has {stages} stages; at most {max(G_MULTIPLIERS)} are known")
    g_ch, multipliers = base_and_multipliers(widths, G_MULTIPLIERS[stages])
    attended = [i // depth for i in range(len(blocks)) if f"blocks.{i}.1.gamma" in G]
    return {
        "architecture": "biggan-deep" if deep else "biggan",
        "resolution": base * 2**stages,
        "base_resolution": base,
        "image_channels": G.shape("output_layer.2.weight")[0],
        "output_kernel": G.shape("output_layer.2.weight")[-1],
        "g_ch": g_ch,
        "g_channel_multipliers": multipliers,
        "g_depth": depth if deep else 2,
        "g_spectral_norm": "linear.u0" in G,
        **attention_fields("g", attended, [base * 2 ** (i + 1) for i in range(stages)]),
        **_latent_fields(G, inputs, stages, deep),
    }


def _latent_fields(G: Weights, inputs: int, stages: int, deep: bool) -> dict[str, Any]:
    """How z and the class enter, from the widths of the first layer and of the first gain."""
    gain = G.shape("blocks.0.0.bn1.gain.weight")
    if "shared.weight" not in G:
        return {"conditioning": "per_class", "num_classes": gain[0], "z_dim": inputs, "skip_z": "none"}
    num_classes, shared_dim = G.shape("shared.weight")
    shared = {"conditioning": "shared", "num_classes": num_classes, "shared_dim": shared_dim}
    if deep:
        return shared | {"z_dim": inputs - shared_dim, "skip_z": "whole", "linear_input": "z+class"}
    if gain[1] == shared_dim:
        return shared | {"z_dim": inputs, "skip_z": "none"}
    return shared | {"z_dim": inputs * (stages + 1), "skip_z": "chunks"}


def _discriminator_fields(D: Weights, generator: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the configuration that D's names and shapes tell."""
    if "embed.weight" not in D:
        raise UserError(f"the discriminator is not one of {SOURCE} (no 'embed.weight')")
    deep = "input_conv.weight" in D
    if deep != (generator["architecture"] == "biggan-deep"):
        raise UserError("one of generator and discriminator is BigGAN's, the other BigGAN-deep's; they are not a pair")
    stages = D.count("blocks.{}.0.conv1.weight")
    if not stages:
        raise UserError(f"the discriminator is not one of {SOURCE} (no 'blocks.0.0.conv1.weight')")
    last, depth = ("conv4", D.count("blocks.0.{}.conv1.weight")) if deep else ("conv2", 1)
    outs = [D.shape(f"blocks.{s}.0.{last}.weight")[0] for s in range(stages)]
    hidden = [D.shape(f"blocks.{s}.0.conv1.weight")[0] for s in range(stages)]
    widths = [D.shape("input_conv.weight")[0], *outs] if deep else outs
    fields = discriminator_fields(D, widths, stages, generator, deep)
    attended = [s for s in range(stages) if f"blocks.{s}.{depth}.gamma" in D]
    probe = BigGANConfig(**{**generator, **fields, "d_attention": ()})
    return fields | {
        "d_depth": depth if deep else 2,
        "d_hidden": "thin" if not deep and hidden != outs else "wide",
        "d_spectral_norm": "linear.u0" in D,
        **attention_fields("d", attended, probe.d_resolutions),
    }


def _representable(c: BigGANConfig) -> None:
    """UserError if that code has no network of this configuration."""
    deep_latent = (c.skip_z, c.linear_input, c.conditioning) == ("whole", "z+class", "shared")
    base_latent = c.linear_input == "z" and (c.conditioning, c.skip_z) in (
        ("shared", "chunks"), ("shared", "none"), ("per_class", "none"),
    )  # fmt: skip
    for fits, what in (
        (deep_latent if c.deep else base_latent, "its way of giving z and the class to G"),
        (c.deep_blocks == "paper", f"--deep-blocks {c.deep_blocks}"),
        (not c.d_rectified_shortcut, "--d-rectified-shortcut"),
        (c.d_projection, "--no-d-projection"),
        (c.sn_evaluation == "iterate", f"--sn-evaluation {c.sn_evaluation}"),
        (c.base_shape[0] == c.base_shape[1], "images that are not square"),
        (not c.sn_exclude, "--sn-exclude"),
        (c.output_channels in (0, c.image_channels), f"--output-channels {c.output_channels}"),
        (c.output_bn_eps == 1e-5, f"--output-bn-eps {c.output_bn_eps:g} (always 1e-5 there)"),
    ):
        if not fits:
            raise UserError(f"{SOURCE} has no network like this one, because of {what}")

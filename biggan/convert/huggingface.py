"""Hugging Face's pytorch-pretrained-BigGAN: DeepMind's TF-Hub BigGAN-deep generators.

Notable:
- Conditions are [z, class] there and [class, z] here: the columns of what they enter change places.
- The first linear layer makes a map in TensorFlow's order, positions before channels: its rows change.
- The last convolution makes as many channels as the network's width, of which three are the image's;
  spectral norm is of them all, so all are kept (`output_channels`).
- One epsilon for everything; evaluation uses the stored u and v.
- Batch statistics come for 51 truncations: they become the model's truncation table, and the row of
  truncation 1 its plain statistics.
- The configuration's class_embed_dim is not read there: the embedding has z_dim entries.

Deliberately absent: a discriminator, which was never released.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from biggan.config import G_MULTIPLIERS, BigGANConfig
from biggan.convert.weights import (
    Names,
    Weights,
    attention_fields,
    base_and_multipliers,
    empty_model,
    fill,
    inference,
    list_places,
    square_root,
    their_name,
)
from biggan.errors import UserError
from biggan.model import BigGAN
from biggan.networks.plan import generator_blocks
from biggan.truncation import TruncationTable

SOURCE = "huggingface/pytorch-pretrained-BigGAN"

# ours                          theirs; j counts blocks and attention layers together
NAMES: Names = (
    ("shared_embedding",        "embeddings"),
    ("linear",                  "generator.gen_z"),
    ("blocks.{i}.bn1.gain",     "generator.layers.{j}.bn_0.scale"),
    ("blocks.{i}.bn1.bias",     "generator.layers.{j}.bn_0.offset"),
    ("blocks.{i}.bn1",          "generator.layers.{j}.bn_0"),
    ("blocks.{i}.bn2.gain",     "generator.layers.{j}.bn_1.scale"),
    ("blocks.{i}.bn2.bias",     "generator.layers.{j}.bn_1.offset"),
    ("blocks.{i}.bn2",          "generator.layers.{j}.bn_1"),
    ("blocks.{i}.bn3.gain",     "generator.layers.{j}.bn_2.scale"),
    ("blocks.{i}.bn3.bias",     "generator.layers.{j}.bn_2.offset"),
    ("blocks.{i}.bn3",          "generator.layers.{j}.bn_2"),
    ("blocks.{i}.bn4.gain",     "generator.layers.{j}.bn_3.scale"),
    ("blocks.{i}.bn4.bias",     "generator.layers.{j}.bn_3.offset"),
    ("blocks.{i}.bn4",          "generator.layers.{j}.bn_3"),
    ("blocks.{i}.conv1",        "generator.layers.{j}.conv_0"),
    ("blocks.{i}.conv2",        "generator.layers.{j}.conv_1"),
    ("blocks.{i}.conv3",        "generator.layers.{j}.conv_2"),
    ("blocks.{i}.conv4",        "generator.layers.{j}.conv_3"),
    ("attention.{i}.theta",     "generator.layers.{a}.snconv1x1_theta"),
    ("attention.{i}.phi",       "generator.layers.{a}.snconv1x1_phi"),
    ("attention.{i}.g",         "generator.layers.{a}.snconv1x1_g"),
    ("attention.{i}.o",         "generator.layers.{a}.snconv1x1_o_conv"),
    ("attention.{i}",           "generator.layers.{a}"),
    ("output_bn",               "generator.bn"),
    ("output_conv",             "generator.conv_to_rgb"),
)  # fmt: skip
LEAVES = {"u": "weight_u", "v": "weight_v", "running_mean": "running_means", "running_var": "running_vars"}


def load(generator: Mapping[str, Tensor], config: Any) -> BigGAN:
    """The model of a state dict and its configuration, in evaluation mode.

    config  what that package keeps beside its weights: the mapping in config.json, or its BigGANConfig

    Raises UserError if a key is missing, left over or of a shape that does not fit.
    """
    G = Weights(generator, "the generator")
    if "generator.gen_z.weight_orig" not in G:
        raise UserError(f"the generator is not one of {SOURCE} (no 'generator.gen_z.weight_orig')")
    with inference(SOURCE):
        ours = _config(G, config if isinstance(config, Mapping) else vars(config))
    model = empty_model(ours, False, SOURCE)
    model.truncation_tables["truncation"] = _truncation_table(model, G)
    fill(model.G, G, _names(ours), _adapt(ours))
    return model


def _config(G: Weights, theirs: Mapping[str, Any]) -> BigGANConfig:
    """Our configuration for that package's."""
    wanted = ("layers", "attention_layer_position", "channel_width", "z_dim", "num_classes", "eps", "n_stats")
    for name in wanted:
        if name not in theirs:
            raise UserError(f"the configuration is not one of {SOURCE}: it misses {name!r}")
    layers = [(bool(up), int(width_in), int(width_out)) for up, width_in, width_out in theirs["layers"]]
    stages = sum(up for up, _, _ in layers)
    depth, rest = divmod(len(layers), stages or 1)
    if rest or [up for up, _, _ in layers] != ([False] * (depth - 1) + [True]) * stages or stages not in G_MULTIPLIERS:
        raise UserError("the configuration's layers do not make stages of equal depth that end with upsampling")
    ch, z_dim = int(theirs["channel_width"]), int(theirs["z_dim"])
    widths = [ch * layers[stage * depth][1] for stage in range(stages)] + [ch * layers[-1][2]]
    g_ch, multipliers = base_and_multipliers(widths, G_MULTIPLIERS[stages])
    base = square_root(G.shape("generator.gen_z.weight_orig")[0] // widths[0], "'generator.gen_z'")
    position = int(theirs["attention_layer_position"])
    if position % depth and position < len(layers):
        raise UserError(f"attention_layer_position {position} is inside a stage; only the places after one are known")
    attended = [position // depth - 1] if 0 < position < len(layers) else []
    fields: dict[str, Any] = {
        "architecture": "biggan-deep",
        "resolution": base * 2**stages,
        "base_resolution": base,
        "num_classes": int(theirs["num_classes"]),
        "z_dim": z_dim,
        "shared_dim": G.shape("embeddings.weight")[0],
        "skip_z": "whole",
        "linear_input": "z+class",
        "g_depth": depth,
        "g_ch": g_ch,
        "g_channel_multipliers": multipliers,
        "output_channels": G.shape("generator.conv_to_rgb.weight_orig")[0],
        **attention_fields("g", attended, [base * 2 ** (i + 1) for i in range(stages)]),
        "d_attention": (),
        **dict.fromkeys(("bn_eps", "output_bn_eps", "sn_eps"), theirs["eps"]),
        "sn_evaluation": "stored",
    }
    return BigGANConfig(**fields)


def _names(config: BigGANConfig) -> Callable[[str, bool], str]:
    """The function from our keys to theirs."""
    places = list_places(generator_blocks(config))

    def name(ours: str, spectral: bool) -> str:
        layer, _, leaf = their_name(ours, NAMES, lambda i: {"j": places[i], "a": places[i] + 1}).rpartition(".")
        if (layer, leaf) == ("generator.bn", "gain"):
            return "generator.bn.weight"
        return f"{layer}.weight_orig" if spectral and leaf == "weight" else f"{layer}.{LEAVES.get(leaf, leaf)}"

    return name


def _adapt(config: BigGANConfig) -> Callable[[str, Tensor], Tensor]:
    """The function that brings one of that package's tensors into our layout."""
    z_dim, base, width = config.z_dim, config.base_resolution, config.g_channels[0]

    def adapt(ours: str, value: Tensor) -> Tensor:
        if ours.endswith(("running_mean", "running_var")):
            return value[-1]                                                    # (K, C): truncation 1
        if ours == "shared_embedding.weight":
            return value.T
        if ours in ("linear.weight", "linear.bias", "linear.u"):                # (H W C, ...) to (C H W, ...)
            value = value.unflatten(0, (base * base, width)).transpose(0, 1).flatten(0, 1)
        if re.search(r"^linear\.(weight|v)$|\.(gain|bias)\.(weight|v)$", ours):  # [z, class] to [class, z]
            value = torch.cat([value[..., z_dim:], value[..., :z_dim]], dim=-1)
        return value

    return adapt


def _truncation_table(model: BigGAN, G: Weights) -> TruncationTable:
    """The batch statistics of every truncation, from 0 to 1 in equal steps."""
    name = _names(model.config)
    means: dict[str, Tensor] = {}
    variances: dict[str, Tensor] = {}
    for layer, _ in model.G.batch_norms():
        for leaf, target in (("running_mean", means), ("running_var", variances)):
            value = G.take(name(f"{layer}.{leaf}", False)).detach()
            target[layer] = value.to(torch.float64 if value.dtype == torch.float64 else torch.float32, copy=True)
    rows = {len(value) for value in (*means.values(), *variances.values())}
    if len(rows) != 1 or min(rows) < 2:
        raise UserError("the generator's batch statistics are not for one and the same list of truncations")
    count = rows.pop()
    return TruncationTable([k / (count - 1) for k in range(count)], means, variances)

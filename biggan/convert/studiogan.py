"""POSTECH-CVLab/PyTorch-StudioGAN: big_resnet, big_resnet_deep_legacy and big_resnet_deep_studiogan.

Notable:
- Its ReLU works in place on a tensor that the discriminator's shortcut shares, so the weights expect
  the shortcut of every pre-activated block to see relu(x) (`d_rectified_shortcut`).
- Evaluation uses the stored u and v.
- Its 64 px generator and its 32 px discriminator have widths of their own, which become multipliers.
- Blocks and attention layers count together in its lists.

Deliberately absent: discriminators with batch norm (no spectral norm), and heads other than the
projection and none: their keys are named as unknown.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

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
    list_places,
    same_classes,
    square_root,
    stages_of_deep_generator,
    their_name,
)
from biggan.errors import UserError
from biggan.model import BigGAN
from biggan.networks.plan import BlockPlan, discriminator_blocks, generator_blocks

SOURCE = "POSTECH-CVLab/PyTorch-StudioGAN"

# ours                      theirs; j counts blocks and attention layers together, a is the one after j
NAMES: Names = (
    ("shared_embedding",    "shared"),
    ("stem",                "input_conv"),
    ("blocks.{i}.shortcut", "blocks.{j}.0.conv2d0"),
    ("blocks.{i}.conv1",    "blocks.{j}.0.conv2d1"),
    ("blocks.{i}.conv2",    "blocks.{j}.0.conv2d2"),
    ("blocks.{i}.conv3",    "blocks.{j}.0.conv2d3"),
    ("blocks.{i}.conv4",    "blocks.{j}.0.conv2d4"),
    ("blocks.{i}",          "blocks.{j}.0"),
    ("attention.{i}.theta", "blocks.{a}.0.conv1x1_theta"),
    ("attention.{i}.phi",   "blocks.{a}.0.conv1x1_phi"),
    ("attention.{i}.g",     "blocks.{a}.0.conv1x1_g"),
    ("attention.{i}.o",     "blocks.{a}.0.conv1x1_attn"),
    ("attention.{i}",       "blocks.{a}.0"),
    ("output_bn",           "bn4"),
    ("output_conv",         "conv2d5"),
    ("class_projection",    "embedding"),
)  # fmt: skip
G_NAMES: Names = (("linear", "linear0"), *NAMES)
D_NAMES: Names = (("linear", "linear1"), *NAMES)
LEAVES = {"u": "weight_u", "v": "weight_v", "gamma": "sigma"}
# Its stage widths, first map first, where they are not in our table.
G_TABLES = (*list(G_MULTIPLIERS.values())[2:], (16, 8, 4, 2, 1))


def load(
    generator: Mapping[str, Tensor],
    discriminator: Mapping[str, Tensor] | None = None,
    *,
    bn_eps: float = 1e-4,
    sn_eps: float = 1e-6,
    resolution: int | None = None,
) -> BigGAN:
    """The model that these state dicts belong to, in evaluation mode.

    bn_eps      epsilon of batch normalisation; written into that code
    sn_eps      epsilon of spectral normalisation; written into that code
    resolution  needed only where the shapes do not tell it

    Raises UserError if a key is missing, left over or of a shape that does not fit.
    """
    G = Weights(generator, "the generator")
    if not any(f"linear0.{leaf}" in G for leaf in ("weight_orig", "weight")):
        raise UserError(f"the generator is not one of {SOURCE} (no 'linear0.weight_orig')")
    G.ignore(r"num_batches_tracked$")
    with inference(SOURCE):
        fields: dict[str, Any] = {
            "bn_eps": bn_eps, "output_bn_eps": bn_eps, "sn_eps": sn_eps, "sn_evaluation": "stored",
            "d_rectified_shortcut": True, **_generator_fields(G, resolution),
        }  # fmt: skip
        D = None
        if discriminator is not None:
            D = Weights(discriminator, "the discriminator")
            fields |= _discriminator_fields(D, fields)
            if fields["d_projection"]:
                d_classes = _shape(D, "embedding")[0]
                if fields["conditioning"] == "none":
                    fields["num_classes"] = d_classes
                same_classes(fields["num_classes"], d_classes)
        else:
            fields |= {"d_attention": ()}
    model = empty_model(BigGANConfig(**fields), D is not None, SOURCE)
    fill(model.G, G, _names(generator_blocks(model.config), G_NAMES))
    if D is not None and model.D is not None:
        fill(model.D, D, _names(discriminator_blocks(model.config), D_NAMES))
    return model


def _shape(weights: Weights, layer: str) -> Any:
    """The shape of a layer's weight, spectrally normalised or not."""
    plain = f"{layer}.weight"
    return weights.shape(plain if plain in weights else f"{layer}.weight_orig")


def _names(plan: Sequence[BlockPlan], names: Names) -> Callable[[str, bool], str]:
    """The function from our keys to theirs, for a network of these blocks."""
    places = list_places(plan)

    def name(ours: str, spectral: bool) -> str:
        layer, _, leaf = their_name(ours, names, lambda i: {"j": places[i], "a": places[i] + 1}).rpartition(".")
        if leaf in ("running_mean", "running_var"):
            return f"{layer}.{leaf}" if layer == "bn4" else f"{layer}.bn.{leaf}"
        if (layer, leaf) == ("bn4", "gain"):
            return "bn4.weight"
        return f"{layer}.weight_orig" if spectral and leaf == "weight" else f"{layer}.{LEAVES.get(leaf, leaf)}"

    return name


# ---- inference -------------------------------------------------------------------------------------


def _lists(weights: Weights) -> tuple[list[int], list[int]]:
    """The places of the blocks, and how many blocks there are before each attention layer."""
    blocks: list[int] = []
    attended: list[int] = []
    place = 0
    while True:
        if f"blocks.{place}.0.sigma" in weights:
            attended.append(len(blocks))
        elif any(f"blocks.{place}.0.conv2d1.{leaf}" in weights for leaf in ("weight", "weight_orig")):
            blocks.append(place)
        else:
            return blocks, attended
        place += 1


def _is_deep(weights: Weights) -> bool:
    return any(f"blocks.0.0.conv2d4.{leaf}" in weights for leaf in ("weight", "weight_orig"))


def _generator_fields(G: Weights, resolution: int | None) -> dict[str, Any]:
    """The fields of the configuration that G's names and shapes tell."""
    deep, (places, attended) = _is_deep(G), _lists(G)
    last = "conv2d4" if deep else "conv2d2"
    blocks = [(_shape(G, f"blocks.{j}.0.conv2d1")[1], _shape(G, f"blocks.{j}.0.{last}")[0]) for j in places]
    if not blocks:
        raise UserError(f"the generator is not one of {SOURCE} (no 'blocks.0.0.conv2d1.weight_orig')")
    outputs, inputs = _shape(G, "linear0")
    base = square_root(outputs // blocks[0][0], "the generator's 'linear0'")
    widths = (
        stages_of_deep_generator(blocks, base, resolution, G_TABLES)
        if deep
        else [blocks[0][0], *(width for _, width in blocks)]
    )
    stages = len(widths) - 1
    depth = len(blocks) // stages
    if stages not in G_MULTIPLIERS:
        raise UserError(f"the generator has {stages} stages; at most {max(G_MULTIPLIERS)} are known")
    g_ch, multipliers = base_and_multipliers(widths, G_MULTIPLIERS[stages])
    ends = [count // depth - 1 for count in attended]
    shared = "shared.weight" in G
    num_classes, shared_dim = G.shape("shared.weight") if shared else (1, 1)
    conditions = _shape(G, "blocks.0.0.bn1.gain")[1] - (shared_dim if shared else 0)
    return {
        "architecture": "biggan-deep" if deep else "biggan",
        "deep_blocks": "studiogan" if deep and _has_shortcut(G) else "paper",
        "resolution": base * 2**stages,
        "base_resolution": base,
        "image_channels": _shape(G, "conv2d5")[0],
        "g_ch": g_ch,
        "g_channel_multipliers": multipliers,
        "g_depth": depth if deep else 2,
        "g_spectral_norm": "linear0.weight_orig" in G,
        "conditioning": "shared" if shared else "none",
        "num_classes": num_classes,
        "shared_dim": shared_dim,
        "skip_z": "whole" if deep else "chunks",
        "linear_input": "z+class" if deep and shared else "z",
        "z_dim": conditions if deep else inputs * (stages + 1),
        **attention_fields("g", ends, [base * 2 ** (i + 1) for i in range(stages)]),
    }


def _has_shortcut(weights: Weights) -> bool:
    return any(f"blocks.0.0.conv2d0.{leaf}" in weights for leaf in ("weight", "weight_orig"))


def _discriminator_fields(D: Weights, generator: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the configuration that D's names and shapes tell."""
    deep, (places, attended) = _is_deep(D), _lists(D)
    if not places or not any(f"linear1.{leaf}" in D for leaf in ("weight", "weight_orig")):
        raise UserError(f"the discriminator is not one of {SOURCE} (no 'linear1.weight_orig')")
    if deep != (generator["architecture"] == "biggan-deep"):
        raise UserError("one of generator and discriminator is big_resnet's and the other deep; they are not a pair")
    last = "conv2d4" if deep else "conv2d2"
    outs = [_shape(D, f"blocks.{j}.0.{last}")[0] for j in places]
    doublings = (generator["resolution"] // generator["base_resolution"]).bit_length() - 1
    stages, depth = len(outs), 1
    if deep:
        stages = max(doublings, 3)
        depth = max(len(outs) // stages, 1)
    widths = [_shape(D, "input_conv")[0], *outs[::depth]] if deep else outs
    fields = discriminator_fields(D, widths, len(outs[::depth]), generator, deep)
    probe = BigGANConfig(**{**generator, **fields, "d_attention": ()})
    return fields | {
        "d_depth": depth if deep else 2,
        "d_spectral_norm": "linear1.weight_orig" in D,
        "d_projection": any(f"embedding.{leaf}" in D for leaf in ("weight", "weight_orig")),
        **attention_fields("d", [count // depth - 1 for count in attended], probe.d_resolutions),
    }

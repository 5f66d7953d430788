"""What the converters share: strict book-keeping of foreign keys, names, and inference from shapes."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from biggan.config import D_MULTIPLIERS, G_MULTIPLIERS, BigGANConfig
from biggan.errors import UserError
from biggan.model import BigGAN
from biggan.networks.layers import SpectralNorm
from biggan.networks.plan import BlockPlan

# Rows of (our prefix, their prefix). In ours {i} is a number; in theirs it stands for that number, and
# other letters for numbers that follow from it.
Names = Sequence[tuple[str, str]]
Numbers = Callable[[int], Mapping[str, int]]


class Weights:
    """A foreign state dict without wrapper prefixes, which remembers what was taken from it."""

    def __init__(self, tensors: Mapping[str, Tensor], what: str) -> None:
        """`what` names the state dict in errors. UserError if it holds anything but tensors."""
        if not isinstance(tensors, Mapping) or not tensors:
            raise UserError(f"{what} is not a state dict, that is a mapping of names to tensors")
        for key, value in tensors.items():
            if not isinstance(value, Tensor):
                kind = type(value).__name__
                raise UserError(f"{what} is not a state dict: its entry {key!r} is a {kind}, not a tensor")
        wrapped = all(key.startswith("module.") for key in tensors)         # nn.DataParallel
        self.what = what
        self.tensors = {key.removeprefix("module.") if wrapped else key: value for key, value in tensors.items()}
        self.taken: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self.tensors

    def shape(self, key: str) -> torch.Size:
        """The shape of a tensor that must be there."""
        if key not in self.tensors:
            raise UserError(f"{self.what} misses {key!r}; is it complete, and of this family?")
        return self.tensors[key].shape

    def take(self, key: str) -> Tensor:
        """A tensor that must be there; it counts as used."""
        self.shape(key)
        self.taken.add(key)
        return self.tensors[key]

    def ignore(self, pattern: str) -> None:
        """Count the keys that match as used: bookkeeping of the reference that no forward pass reads."""
        self.taken |= {key for key in self.tensors if re.search(pattern, key)}

    def rename(self, pattern: str, replacement: str) -> None:
        """Bring a variant layout's names to the common ones."""
        self.tensors = {re.sub(pattern, replacement, key): value for key, value in self.tensors.items()}

    def count(self, template: str) -> int:
        """How many of template.format(0), template.format(1), ... there are, before the first gap."""
        number = 0
        while template.format(number) in self.tensors:
            number += 1
        return number

    def require_all_used(self) -> None:
        """UserError naming the keys that nothing took."""
        surplus = sorted(self.tensors.keys() - self.taken)
        if surplus:
            shown = ", ".join(map(repr, surplus[:5])) + (", ..." if len(surplus) > 5 else "")
            raise UserError(f"{self.what} has {len(surplus)} keys that this family does not know: {shown}")


def their_name(ours: str, names: Names, numbers: Numbers) -> str:
    """The reference's name of one of our keys, by the first row of the table that fits."""
    for our_prefix, their_prefix in names:
        match = re.fullmatch(re.escape(our_prefix).replace(r"\{i\}", r"(\d+)") + r"(?=\.)(.*)", ours)
        if match:
            known = numbers(int(match.group(1))) if match.re.groups == 2 else {}
            return their_prefix.format(**known) + match.group(match.re.groups)
    return ours


def list_places(plan: Sequence[BlockPlan]) -> list[int]:
    """The place of each block in a list that holds blocks and attention layers in the order of use."""
    places, place = [], 0
    for row in plan:
        places.append(place)
        place += 1 + row.attention
    return places


def fill(
    network: nn.Module,
    weights: Weights,
    name: Callable[[str, bool], str],
    adapt: Callable[[str, Tensor], Tensor] = lambda ours, value: value,
) -> None:
    """Give a network on the meta device its weights, all of them and each once.

    `name` gives the reference's key for one of ours, knowing whether its layer is spectrally
    normalised; `adapt` brings a tensor into our layout. What differs only in axes of length one is
    reshaped. Values are copied, so training the model leaves the caller's tensors alone.
    """
    dtype = torch.float64 if any(value.dtype == torch.float64 for value in weights.tensors.values()) else torch.float32
    tensors = {}
    for ours, slot in network.state_dict().items():
        layer = network.get_submodule(ours.rpartition(".")[0])
        theirs = name(ours, isinstance(layer, SpectralNorm) and layer.sn.enabled)
        value = adapt(ours, weights.take(theirs))
        if [n for n in value.shape if n != 1] != [n for n in slot.shape if n != 1]:
            raise UserError(
                f"{weights.what}: {theirs!r} is {tuple(value.shape)}, the rest of the weights wants {tuple(slot.shape)}"
            )
        tensors[ours] = value.detach().reshape(slot.shape).to(dtype, copy=True).contiguous()
    weights.require_all_used()
    network.load_state_dict(tensors, assign=True)


def empty_model(config: BigGANConfig, discriminator: bool, source: str) -> BigGAN:
    """A model on the meta device, to be filled."""
    with torch.device("meta"):
        return BigGAN(config, discriminator=discriminator, recipe={"converted_from": source}).eval()


@contextmanager
def inference(source: str) -> Iterator[None]:
    """Within the block, shapes that no network has end with a UserError: an axis too few, or of no length."""
    try:
        yield
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise UserError(f"these shapes are of no network of {source} ({error}); are the files complete?") from error


# ---- inference from shapes -------------------------------------------------------------------------


def base_and_multipliers(widths: Sequence[int], table: Sequence[int]) -> tuple[int, tuple[int, ...]]:
    """The base width, and the multipliers where they are not the table's own."""
    base, rest = divmod(widths[0], table[0])
    if not rest and list(widths) == [base * m for m in table]:
        return base, ()
    base = math.gcd(*widths)
    return base, tuple(width // base for width in widths)


def stages_of_deep_generator(
    blocks: Sequence[tuple[int, int]], base_resolution: int, resolution: int | None, tables: Sequence[Sequence[int]]
) -> list[int]:
    """The widths of a deep generator, first map and each stage, from (in, out) of its flat blocks.

    How many blocks make a stage is not written anywhere. Where widths change it shows; where all are
    equal the references' tables decide, of which only the one for 32 px has such widths. `resolution`
    overrules both.
    """
    found = []
    for depth in range(1, len(blocks) + 1):
        stages, rest = divmod(len(blocks), depth)
        if rest or stages > max(G_MULTIPLIERS) or (resolution and base_resolution * 2**stages != resolution):
            continue
        inner = [block for i, block in enumerate(blocks) if i % depth < depth - 1]
        if all(width_in == width_out for width_in, width_out in inner):
            found.append([blocks[stage * depth][0] for stage in range(stages)] + [blocks[-1][1]])
    known = [widths for widths in found if any(_proportional(widths, table) for table in tables)]
    chosen = known or found
    if len(chosen) != 1:
        counts = " or ".join(str(len(widths) - 1) for widths in chosen)
        guess = f"it may have {counts} stages" if chosen else "none fits"
        raise UserError(f"the generator's resolution cannot be told from its {len(blocks)} blocks ({guess}); give it")
    return chosen[0]


def _proportional(widths: Sequence[int], table: Sequence[int]) -> bool:
    return len(widths) == len(table) and all(w * table[0] == m * widths[0] for w, m in zip(widths, table, strict=True))


def attention_fields(prefix: str, stages: Sequence[int], resolutions: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """The configuration's fields for self-attention after these stages (from 0), by resolution if that can say it."""
    first_of_its_resolution = all(resolutions.index(resolutions[stage]) == stage for stage in stages)
    return {
        f"{prefix}_attention": tuple(sorted(resolutions[s] for s in stages)) if first_of_its_resolution else (),
        f"{prefix}_attention_stages": () if first_of_its_resolution else tuple(s + 1 for s in stages),
    }


def discriminator_fields(
    weights: Weights, widths: Sequence[int], stages: int, generator: Mapping[str, Any], deep: bool
) -> dict[str, Any]:
    """D's width fields; UserError unless D is of the generator's resolution."""
    doublings = (generator["resolution"] // generator["base_resolution"]).bit_length() - 1
    table = D_MULTIPLIERS[doublings]
    if stages != len(table) - deep:
        raise UserError(
            f"{weights.what} has {stages} stages; a discriminator for the generator's "
            f"{generator['resolution']} px has {len(table) - deep}. Are they of one model?"
        )
    d_ch, multipliers = base_and_multipliers(widths, table)
    return {"d_ch": d_ch, "d_channel_multipliers": multipliers}


def square_root(number: int, what: str) -> int:
    """The side of a square feature map; UserError if it is not one."""
    root = math.isqrt(number)
    if root * root != number or root == 0:
        raise UserError(f"{what} does not make a square feature map ({number} positions)")
    return root


def same_classes(g_classes: int, d_classes: int) -> None:
    """UserError if the two networks know different numbers of classes."""
    if g_classes != d_classes:
        raise UserError(f"the generator has {g_classes} classes and the discriminator {d_classes}; they are not a pair")

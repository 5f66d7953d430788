"""The rules of `biggan train auto`: from a data set, a machine and some minutes to a recipe, with reasons.

The numbers behind the rules are in docs/experiments.md where they were measured (rates, EMA, iterations
that small images need); the others are judgements, and named so here:

rule          value                 grounds
------------  --------------------  ----------------------------------------------------------------
ENOUGH        2,500 iterations      measured: digits at 16 px are good after 1,800
SMALL_BATCH   16 images             measured: in a minute the digits were better at 16 than at 64
WIDER         4 times as many       judgement: wider networks pay off in longer runs
MANY_EPOCHS   100                   judgement: the digits need no augmentation at 64
FEW_IMAGES    2,000                 judgement: LeCam's paper gains below a few thousand
UNEVEN        4 : 1                 judgement
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from biggan.config import BigGANConfig, TrainConfig
from biggan.config.network import base_of
from biggan.data.survey import Survey
from biggan.errors import UserError
from biggan.presets import Recipe, with_overrides

ENOUGH = 2_500
SMALL_BATCH = 16
PAYS = 0.75                     # of an iteration's time: a batch of half the size that takes more is not worth it
WIDER = 4
MANY_EPOCHS = 100
MOST_EPOCHS = 1_000
FEW_IMAGES = 2_000
UNEVEN = 4.0
FEW_OF_A_CLASS = 20
FAST_RATES_UNTIL = 10_000       # iterations; longer runs take half the rates
FAST_RATES_AT = 16              # pixels at most; at 32 D broke down with them (docs/experiments.md)
DEFAULT_MINUTES = 60.0
SHARE_FOR_STEPS = 0.85          # of the time; the rest decodes, previews, saves and looks
SHARE_OF_MEMORY = 0.8
MARGIN = 1.2                    # images may be enlarged so much
WIDTHS = (16, 32, 64, 96)
BASES = ((4, 4), (4, 5), (4, 6), (4, 7), (4, 8), (5, 4), (6, 4), (7, 4), (8, 4))
SQUARE = 0.12                   # an aspect so near to 1 is square
MOST_DOUBLINGS = 6
CHUNK = 20                      # of z, a stage


class Machine(Protocol):
    """What the choice asks of a machine."""

    memory: int                 # bytes that training may take

    @property
    def accelerated(self) -> bool:
        """Whether it is more than a CPU."""

    def seconds(self, recipe: Recipe) -> float:
        """The time of one iteration."""

    def bytes(self, recipe: Recipe) -> int:
        """The memory that training takes."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """A recipe and why it is so."""

    recipe: Recipe
    reasons: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Shape:
    """A size of images: base x 2^doublings."""

    base: tuple[int, int]
    doublings: int

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width."""
        return self.base[0] * 2**self.doublings, self.base[1] * 2**self.doublings

    def __str__(self) -> str:
        return "{} x {}".format(*self.sides)


def choose(data: Survey, machine: Machine, minutes: float | None, given: Mapping[str, Any]) -> Choice:
    """The recipe for a data set on a machine; fields in `given` are the user's and stay."""
    if minutes is not None and not minutes > 0:
        raise UserError(f"--minutes {minutes:g} must be greater than 0")
    budget = (minutes or DEFAULT_MINUTES) * 60 * SHARE_FOR_STEPS
    reasons = [looks(data)]
    recipe, seconds, why = largest(data, machine, budget, given)
    reasons += why
    recipe, why = schedule(recipe, data, seconds, budget, minutes is None, given)
    reasons += why
    recipe, why = for_small_and_uneven(recipe, data)
    return Choice(with_overrides(recipe, {k: v for k, v in given.items() if k != "minutes"}), (*reasons, *why))


def looks(data: Survey) -> str:
    """What was seen, in a sentence."""
    kind = {1: "gray", 3: "colour", 4: "transparent"}[data.channels]
    size = "all" if data.one_size else "about"
    images = f"{data.images:,} {kind} images of {len(data.counts)} classes"
    return f"{images} ({min(data.counts):,} to {max(data.counts):,} a class), {size} {data.height} x {data.width}"


# ---- networks --------------------------------------------------------------------------------------


def largest(
    data: Survey, machine: Machine, budget: float, given: Mapping[str, Any]
) -> tuple[Recipe, float, list[str]]:
    """The largest images, then the widest networks, that time and memory allow, and an iteration's time.

    Where there is little time even for the smallest, batches are smaller.
    """
    (chosen, recipe, seconds), limit = largest_shape(data, machine, budget, given)
    started = recipe[1].batch_size
    reasons = [f"{chosen}: {limit}"]
    for width in WIDTHS[1:] if not given.keys() & {"g_ch", "d_ch"} else ():
        wider = fitted(data, chosen, width, machine, given)
        if wider is None or wider[1].microbatch_size != recipe[1].microbatch_size:     # batch norm wants images
            reasons.append(f"networks wider than {recipe[0].g_ch} do not fit into memory")
            break
        expected = machine.seconds(wider)
        if budget / expected < WIDER * ENOUGH:
            break
        recipe, seconds = wider, expected
    if not given.keys() & {"batch_size", "microbatch_size", "steps", "images"}:
        recipe, seconds = more_iterations(recipe, seconds, machine, budget)
    network, config = recipe
    reasons.append(f"width {network.g_ch}: {seconds:.2f} s an iteration of {config.batch_size} images, measured here")
    if config.batch_size < started:
        reasons.append(f"batches of {config.batch_size}, not {started}: in little time more iterations are worth more")
    if config.microbatch_size:
        reasons.append(f"in micro-batches of {config.microbatch_size}, so that memory suffices")
    return recipe, seconds, reasons


def more_iterations(recipe: Recipe, seconds: float, machine: Machine, budget: float) -> tuple[Recipe, float]:
    """Batches halved until there is time for enough iterations, as long as that makes them faster."""
    network, config = recipe
    while budget / seconds < ENOUGH and config.batch_size >= 2 * SMALL_BATCH:
        batch = config.batch_size // 2
        micro = config.microbatch_size if config.microbatch_size < batch else 0
        smaller = dataclasses.replace(config, batch_size=batch, microbatch_size=micro)
        expected = machine.seconds((network, smaller))
        if expected > PAYS * seconds:
            break
        config, seconds = smaller, expected
    return (network, config), seconds


def largest_shape(
    data: Survey, machine: Machine, budget: float, given: Mapping[str, Any]
) -> tuple[tuple[Shape, Recipe, float], str]:
    """The largest images for which there are time and memory, with narrow networks, and what the limit was."""
    best: tuple[Shape, Recipe, float] | None = None
    left = f"{machine.memory / 2**30:.2g} GB of memory that are left here"
    for shape in shapes(data, given):
        recipe = fitted(data, shape, int(given.get("g_ch", given.get("d_ch", WIDTHS[0]))), machine, given)
        if recipe is None and best is not None:
            return best, f"{shape} does not fit into the {left}"
        if recipe is None:
            raise UserError(f"not even {shape} images train in the {left}; close other programs or raise the limit")
        seconds = machine.seconds(recipe)
        if best is not None and budget / seconds < ENOUGH:
            need = ENOUGH * seconds / 60 / SHARE_FOR_STEPS
            return best, f"{shape} would need {need:,.0f} minutes for {ENOUGH:,} iterations (--minutes)"
        best = shape, recipe, seconds
    assert best is not None, "there is always one shape"
    why = "as you said" if "resolution" in given else "as the set is packed" if data.packed else ""
    return best, why or "as large as the images themselves"


def shapes(data: Survey, given: Mapping[str, Any]) -> list[Shape]:
    """Sizes from the smallest to the largest that the images fill, or the one that is given or packed."""
    if data.packed and "resolution" not in given:
        return [shape_of(data)]
    aspect = data.width / data.height
    base = (4, 4)
    if data.one_aspect and abs(math.log(aspect)) > SQUARE:
        base = min(BASES, key=lambda some: abs(math.log(some[1] / some[0] / aspect)))
    if "base_resolution" in given or "base_width" in given:
        height = int(given.get("base_resolution", base[0]))
        base = (height, int(given.get("base_width", 0)) or height)
    if "resolution" in given:
        if base == (4, 4) and "base_resolution" not in given:
            base = (base_of(int(given["resolution"])) or 4,) * 2
        doublings = (int(given["resolution"]) // base[0]).bit_length() - 1
        return [Shape(base, max(doublings, 1))]         # a wrong one is refused by name with all its fields
    bases = [base, (6, 6)] if base == (4, 4) and "base_resolution" not in given else [base]
    side = min(data.height, data.width) * MARGIN
    every = [Shape(some, n) for some in bases for n in range(2, MOST_DOUBLINGS + 1) if some != (6, 6) or n > 2]
    filled = [shape for shape in every if min(shape.sides) <= side]
    return sorted(filled or [Shape(base, 2)], key=lambda shape: shape.sides)


def shape_of(data: Survey) -> Shape:
    """The size of a packed set, with a base of at least 4; UserError if it is none of ours."""
    for n in range(MOST_DOUBLINGS, 1, -1):
        if data.height % 2**n == data.width % 2**n == 0 and min(data.height, data.width) >= 4 * 2**n:
            return Shape((data.height >> n, data.width >> n), n)
    raise UserError(
        f"{data.source} is packed at {data.height} x {data.width}, which does not halve often enough; pack it "
        "again at a size such as 32, 48, 64 or 96"
    )


def fitted(
    data: Survey, shape: Shape, width: int, machine: Machine, given: Mapping[str, Any]
) -> Recipe | None:
    """A recipe of this shape and width whose training fits into memory, by micro-batches if need be, or None."""
    network, config = at(data, shape, width, machine.accelerated)
    network, config = with_overrides((network, config), {k: v for k, v in given.items() if k in PROBED})
    for micro in micro_batches(config, given):
        recipe = network, dataclasses.replace(config, microbatch_size=micro)
        if machine.bytes(recipe) <= SHARE_OF_MEMORY * machine.memory:
            return recipe
    return None


# What the user may give that changes time and memory.
PROBED = frozenset({f.name for f in dataclasses.fields(BigGANConfig)} - {"num_classes"}) | {
    "batch_size", "microbatch_size", "d_steps", "precision", "device",
}  # fmt: skip


def micro_batches(config: TrainConfig, given: Mapping[str, Any]) -> Iterator[int]:
    """The whole batch, then ever smaller parts of it down to 8 images; or what is given."""
    if "microbatch_size" in given:
        yield config.microbatch_size
        return
    yield 0
    parts = 2
    while config.batch_size % parts == 0 and config.batch_size // parts >= 8:
        yield config.batch_size // parts
        parts *= 2


def at(data: Survey, shape: Shape, width: int, accelerated: bool) -> Recipe:
    """The recipe for a shape and a width; its length comes later."""
    (height, _), (base, base_width), n = shape.sides, shape.base, shape.doublings
    heights = [base * 2**k for k in range(1, n)]
    attention = (max(h for h in heights if h <= 48),) if n >= 4 and height >= 64 else ()
    network = BigGANConfig(
        resolution=height, base_resolution=base, base_width=0 if base == base_width else base_width,
        image_channels=data.channels, num_classes=max(len(data.counts), 1), z_dim=CHUNK * (n + 1),
        shared_dim=32 if len(data.counts) <= 16 else 64 if len(data.counts) <= 100 else 128,
        g_ch=width, d_ch=width, g_attention=attention, d_attention=attention,
        g_lr=2e-4, d_lr=8e-4,
    )  # fmt: skip
    largest_batch = 64 if not accelerated else 128 if data.images < 50_000 else 256
    batch = 1 << (min(largest_batch, max(data.images // 2, 2)).bit_length() - 1)
    small = data.one_size and max(data.height, data.width) <= min(shape.sides)
    return network, TrainConfig(
        data=data.source, fit="pad" if small and min(shape.sides) < 1.5 * max(data.height, data.width) else "crop",
        batch_size=batch, ema_half_life=44_352, ema_ramp_up=0.08,
    )  # fmt: skip


# ---- the run ---------------------------------------------------------------------------------------


def schedule(
    recipe: Recipe, data: Survey, seconds: float, budget: float, unasked: bool, given: Mapping[str, Any]
) -> tuple[Recipe, list[str]]:
    """Length, rates and cadence."""
    network, config = recipe
    iterations = max(int(budget / seconds), 1)
    most = max(MOST_EPOCHS * data.images // config.batch_size, ENOUGH)
    reasons = []
    if "steps" in given or "images" in given:
        iterations = with_overrides(recipe, {k: given[k] for k in ("steps", "images") if k in given})[1].images
        iterations = max(iterations // config.batch_size, 1)
        reasons.append(f"{iterations:,} iterations, as you said: about {iterations * seconds / 60:,.0f} minutes")
    elif iterations > most:
        iterations = most
        reasons.append(f"{iterations:,} iterations, {MOST_EPOCHS:,} epochs: longer, D would know this data by heart")
    else:
        minutes = f"{budget / SHARE_FOR_STEPS / 60:g} minutes" + (" (--minutes for another time)" if unasked else "")
        reasons.append(f"{iterations:,} iterations, {iterations * config.batch_size:,} images: {minutes}")
    if iterations < ENOUGH:
        need = ENOUGH * seconds / SHARE_FOR_STEPS / 60
        reasons.append(f"that is short: images begin to look right after about {ENOUGH:,}; give --minutes {need:.0f}")
    if iterations > FAST_RATES_UNTIL or network.resolution > FAST_RATES_AT:
        network = dataclasses.replace(network, g_lr=1e-4, d_lr=4e-4)
    reasons.append(f"rates {network.g_lr:g} and {network.d_lr:g}: a slower G is what gives variety")
    reasons.append("one D step: G's iterations are what the time is for")
    tenth = -(-iterations // 10) * config.batch_size
    config = dataclasses.replace(
        config, images=iterations * config.batch_size, d_steps=1, preview_every=tenth, checkpoint_every=tenth,
        log_every=max(iterations // 100, 10) * config.batch_size,
    )  # fmt: skip
    return (network, config), reasons


def for_small_and_uneven(recipe: Recipe, data: Survey) -> tuple[Recipe, list[str]]:
    """Augmentation where images are seen often, and laws for classes of unlike sizes."""
    network, config = recipe
    epochs = config.images / data.images
    changes: dict[str, Any] = {}
    reasons = []
    if epochs > MANY_EPOCHS:
        changes["augment"] = ("translation", "cutout") + (() if data.channels == 1 else ("color",))
        reasons.append(f"DiffAugment: each image is seen {epochs:,.0f} times, and D must not learn them by heart")
        if data.images < FEW_IMAGES:
            changes["lecam"] = 0.3
            reasons.append(f"LeCam too: there are fewer than {FEW_IMAGES:,} images")
    else:
        reasons.append(f"no augmentation: each image is seen {epochs:.0f} times")
    if data.imbalance > UNEVEN:
        changes |= {"real_labels": "sqrt", "fake_labels": "sqrt"}
        reasons.append(f"classes by the root of their size: the largest is {data.imbalance:.0f} times the smallest")
    if min(data.counts) < FEW_OF_A_CLASS:
        fewest = "one image" if min(data.counts) == 1 else f"{min(data.counts)} images"
        reasons.append(f"the smallest class has {fewest}: expect little variety there")
    reasons.append("not mirrored: text and digits must not be; give --flip where left and right are alike")
    return (network, dataclasses.replace(config, **changes)), reasons

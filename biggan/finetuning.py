"""Training that begins from weights that exist, for classes of its own.

Notable:
- The networks are those of the weights; only their tables by class are made anew (`surgery`). So nothing
  can disagree in shape, and the optimizers are fresh.
- G and its average begin as the weights given, which in a run or an export are the average's.
- D comes from the export, or from the run's newest checkpoint; where there is none it begins at random.
- Layers that see maps of a resolution or more can be kept as they are: the ones near the image, which
  hold what all images share (Mo et al. 2020, "Freeze the Discriminator"; Zhao et al. 2020, "On Leveraging
  Pretrained GANs").

Deliberately absent: another resolution or number of channels than the weights'. Data is brought to theirs.
"""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from biggan.checkpoint import UNREADABLE, checkpoint_files, read_checkpoint
from biggan.config import BigGANConfig, TrainConfig, from_mapping
from biggan.config.fields import flag
from biggan.data import LabelledImages
from biggan.errors import UserError
from biggan.evaluation import cached_classifier
from biggan.metrics.extractor import extract
from biggan.model import BigGAN, check_tensors, export_folder, read_config
from biggan.networks import Discriminator
from biggan.networks.plan import discriminator_blocks, generator_blocks
from biggan.presets import Recipe
from biggan.progress import Progress
from biggan.sampling import sample
from biggan.state import TrainState
from biggan.surgery import mean_class, mixture, with_classes

Report = Callable[[str], None]

RATES = ("g_lr", "d_lr", "g_beta1", "g_beta2", "d_beta1", "d_beta2", "adam_eps")
# Fields of a run that belong to its data or its beginning, and so to the new run alone.
OWN = frozenset({"data", "fit", "flip", "class_names", "init", "init_classes", "init_others", "freeze_d", "freeze_g"})
IMAGES_OF_A_CLASS = 16      # drawn to see what an old class looks like; fewer where there are
IMAGES_IN_ALL = 2_000       # very many classes


def recipe_from(init: str, preset: Recipe | None) -> Recipe:
    """The recipe of a run from the weights in `init`: their networks, and a preset's way of training or their own."""
    content = read_config(export_folder(Path(init)) / "config.json")
    network = from_mapping(BigGANConfig, content["config"])
    if not has_discriminator(Path(init)):       # one of G's width and attention; any d_ field may say otherwise
        attention = tuple(height for height in network.g_attention if height in network.d_resolutions)
        network = dataclasses.replace(network, d_ch=network.g_ch, d_attention=attention)
    if preset is not None:
        rates = {name: getattr(preset[0], name) for name in RATES}
        return dataclasses.replace(network, **rates), dataclasses.replace(preset[1], init=init)
    fields = {f.name for f in dataclasses.fields(TrainConfig)} - OWN
    known = {name: value for name, value in (content.get("recipe") or {}).items() if name in fields}
    return network, from_mapping(TrainConfig, {**known, "data": "", "init": init})


def check_networks(network: BigGANConfig, config: TrainConfig, run: Path) -> None:
    """UserError if the new run is to have other networks than `config.init` has, or is that run itself."""
    init = config.init
    folder = export_folder(Path(init))
    if run.exists() and folder.resolve().is_relative_to(run.resolve()):
        raise UserError(f"--init {init} is the run itself; give another --out")
    theirs = from_mapping(BigGANConfig, read_config(folder / "config.json")["config"])
    free = {"num_classes", "weight_init", *RATES}
    if not has_discriminator(Path(init)):
        free |= {f.name for f in dataclasses.fields(network) if f.name.startswith("d_")}
    for f in dataclasses.fields(network):
        ours, given = getattr(network, f.name), getattr(theirs, f.name)
        if f.name not in free and ours != given:
            raise UserError(f"{flag(f.name)} {ours} but the weights of {init} have {given}; leave it out")
    check_freezing(network, config)


def begin(state: TrainState, config: TrainConfig, data: LabelledImages, report: Report) -> None:
    """Give a fresh state the weights of `config.init`, its tables by class made for the classes of `data`."""
    model = load_start(Path(config.init), report, state.device)
    mix, origins = class_mix(model, config, data, report)
    for name, origin in zip(data.class_names[:20], origins, strict=False):
        report(f"class {name} begins as {origin}")
    if len(origins) > 20:
        report(f"and {len(origins) - 20} more classes")
    made = with_classes(model, data.class_names, mix, config.seed)
    state.G.load_state_dict(made.G.state_dict())
    state.G_ema.load_state_dict(made.G.state_dict())
    if made.D is not None:
        state.D.load_state_dict(made.D.state_dict())
    elif config.freeze_d:
        raise UserError(f"--freeze-d keeps the discriminator of {config.init}, and none of it can be read")
    else:
        report(f"{config.init} has no discriminator: D begins at random")


def load_start(path: Path, report: Report, device: str | torch.device = "cpu") -> BigGAN:
    """The weights of a run or an export, with the discriminator of either, if there is one."""
    model = BigGAN.from_pretrained(path, device)
    for checkpoint in reversed(checkpoint_files(path)) if model.D is None else []:
        try:
            tensors, _ = read_checkpoint(checkpoint)
        except UNREADABLE as error:
            report(f"{checkpoint} is damaged and was passed over ({' '.join(str(error).split())[:200]})")
            continue
        mine = {key.removeprefix("D."): value.to(device) for key, value in tensors.items() if key.startswith("D.")}
        with torch.device("meta"):
            D = Discriminator(model.config)
        check_tensors(D, mine, str(checkpoint))
        D.load_state_dict(mine, assign=True)
        model.D = D.eval()
        break
    return model


def has_discriminator(path: Path) -> bool:
    """Whether weights bring a discriminator."""
    return (export_folder(path) / "discriminator.safetensors").is_file() or bool(checkpoint_files(path))


# ---- classes ---------------------------------------------------------------------------------------


def class_mix(
    model: BigGAN, config: TrainConfig, data: LabelledImages, report: Report
) -> tuple[Tensor, list[str]]:
    """What each class of the data begins as: the mixtures of old classes (new, old), and each in words."""
    named = dict(entry.split("=", 1) for entry in config.init_classes)
    unknown = sorted(named.keys() - set(data.class_names))
    if unknown:
        raise UserError(f"--init-classes names {unknown[0]!r}, which {data.source} does not have")
    old = {name.casefold(): i for i, name in enumerate(model.class_names)}
    identity = torch.eye(len(model.class_names), dtype=torch.float64)
    rows: dict[str, Tensor] = {name: mixture(model, origins) for name, origins in named.items()}
    rows |= {
        name: identity[old[name.casefold()]]
        for name in data.class_names
        if name not in named and name.casefold() in old
    }
    others = [name for name in data.class_names if name not in rows]
    if others and config.init_others in ("nearest", "mixed"):
        likeness = class_likeness(model, data, report)
        chosen = identity[likeness.argmax(0)] if config.init_others == "nearest" else shared_out(likeness).T
        rows |= {name: chosen[data.class_names.index(name)] for name in others}
    elif others:
        row = mean_class(model) if config.init_others == "mean" else torch.zeros_like(identity[0])
        rows |= dict.fromkeys(others, row)
    mix = torch.stack([rows[name] for name in data.class_names])
    return mix, [in_words(row, model) for row in mix]


def class_likeness(model: BigGAN, data: LabelledImages, report: Report) -> Tensor:
    """How much images of each old class look like each new one: (old, new), float64, rows adding up to 1.

    It is the mean probability that a classifier of the new data gives to images drawn of the old class.
    """
    classifier = cached_classifier(data, report)
    count = model.config.num_classes
    each = max(1, min(IMAGES_OF_A_CLASS, IMAGES_IN_ALL // count))
    y = torch.arange(count).repeat_interleave(each)
    report(f"drawing {len(y):,} images of the {count} classes of the weights")
    drawn = extract(classifier, Progress("drew", len(y), report).over(sample(model, y, range(len(y)))))
    return drawn.logits.double().softmax(1).unflatten(0, (count, each)).mean(1)


def shared_out(likeness: Tensor) -> Tensor:
    """Likeness (old, new) with columns adding up to 1: of what each new class is mixed."""
    return likeness / likeness.sum(0, keepdim=True)


def in_words(row: Tensor, model: BigGAN) -> str:
    """A mixture for a person."""
    if float(row.sum()) == 0:
        return "a class at random"
    shares, classes = row.sort(descending=True)
    parts = [(float(s), model.class_names[int(i)]) for s, i in zip(shares[:3], classes[:3], strict=True) if s > 0.005]
    if len(parts) == 1 and parts[0][0] > 0.995:
        return parts[0][1]
    if bool((row == row[0]).all()):
        return f"the mean of all {len(row)} classes"
    shown = " + ".join(f"{share:.0%} {name}" for share, name in parts)
    return shown + (" + ..." if float(sum(s for s, _ in parts)) < 0.995 else "")


# ---- freezing --------------------------------------------------------------------------------------


def freeze(state: TrainState, config: TrainConfig) -> None:
    """Mark the weights that `freeze_d` and `freeze_g` keep."""
    parts = [*frozen_parts_of_d(state, config.freeze_d), *frozen_parts_of_g(state, config.freeze_g)]
    state.frozen = [parameter for part in parts for parameter in part.parameters()]
    state.hold_frozen()


def check_freezing(network: BigGANConfig, config: TrainConfig) -> None:
    """UserError if --freeze-d or --freeze-g freezes nothing, or a discriminator that --init does not bring."""
    if config.freeze_d and not has_discriminator(Path(config.init)):
        raise UserError(f"--freeze-d keeps the discriminator of --init, and {config.init} has none; leave it out")
    for name in ("freeze_d", "freeze_g"):
        height = getattr(config, name)
        if height > network.resolution:
            raise UserError(f"{flag(name)} {height} freezes nothing: images are {network.resolution} high")


def frozen_parts_of_d(state: TrainState, height: int) -> Iterator[nn.Module]:
    """D's stem and the blocks and attention whose input is at least so high; none for 0."""
    D, c = state.D, state.config
    if not height:
        return
    if D.stem is not None:
        yield D.stem
    entering = c.resolution
    for i, row in enumerate(discriminator_blocks(c)):
        if entering >= height:
            yield D.blocks[i]
        entering = c.d_resolutions[row.stage]
        if str(i) in D.attention and entering >= height:
            yield D.attention[str(i)]


def frozen_parts_of_g(state: TrainState, height: int) -> Iterator[nn.Module]:
    """G's output layers and the blocks and attention whose result is at least so high; none for 0."""
    G, c = state.G, state.config
    if not height:
        return
    yield G.output_bn
    yield G.output_conv
    for i, row in enumerate(generator_blocks(c)):
        made = c.g_resolutions[row.stage] // (1 if row.resample else 2)
        if made >= height:
            yield G.blocks[i]
        if str(i) in G.attention and made >= height:
            yield G.attention[str(i)]

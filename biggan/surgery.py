"""Class surgery: the same networks for other classes.

Whatever is indexed by class is a table with a row or column a class, and a new class is a mixture of
old ones: new table = mix @ old table, with `mix` (new classes, old classes) and rows that add up to 1.
A row of zeros makes a class that begins at random, as long as the old ones are on average. All other
weights, and the batch statistics, stay: a kept class draws the images it drew before.

tables                          where
------------------------------  ------------------------------------------------
G.shared_embedding              conditioning "shared", or linear_input "z+class"
gain and bias of G's norms      conditioning "per_class"
D.class_projection              d_projection
"""

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from biggan.config import BigGANConfig
from biggan.errors import UserError
from biggan.model import BigGAN
from biggan.networks.init import first_weight
from biggan.networks.layers import ConditionalBatchNorm2d, SpectralNorm

POWER_ITERATIONS = 30       # for the singular vectors of a table that changed


def with_classes(model: BigGAN, class_names: Sequence[str], mix: Tensor, seed: int = 0) -> BigGAN:
    """The model for other classes: class k is the mixture mix[k] of the old ones, or fresh where that is 0.

    `mix` is (len(class_names), old classes). The new model shares the weights that have nothing to do
    with classes, and has no metrics: those were of the old classes.
    """
    assert mix.shape == (len(class_names), model.config.num_classes), "a row for each new class, a column for each old"
    config = dataclasses.replace(model.config, num_classes=len(class_names))
    with torch.device("meta"):
        made = BigGAN(config, class_names, discriminator=model.D is not None, recipe=model.recipe)
    made.load_state_dict({**model.state_dict(), **_new_tables(model, mix, seed)}, assign=True)
    made.truncation_tables, made.statistics = dict(model.truncation_tables), dict(model.statistics)
    if made.D is not None and made.D.class_projection is not None:
        _settle(made.D.class_projection)
    return made.train(model.training)


def mixture(old: BigGAN, origins: str) -> Tensor:
    """The row of `mix` for a text such as "cat" or "cat+dog"; UserError if a class is unknown."""
    names = [origins] if origins in old.class_names else origins.split("+")
    shares = torch.zeros(old.config.num_classes, dtype=torch.float64)
    for index in old.class_indices(names).tolist():
        shares[index] += 1 / len(names)
    return shares


def mean_class(old: BigGAN) -> Tensor:
    """The row of `mix` that is the mean of all old classes."""
    return torch.full((old.config.num_classes,), 1 / old.config.num_classes, dtype=torch.float64)


def edited(
    model: BigGAN, keep: Sequence[str] = (), drop: Sequence[str] = (), add: Sequence[str] = (), seed: int = 0
) -> BigGAN:
    """The model with classes kept (in this order), dropped or added as "new=old+old" or "new" (at random)."""
    if keep and drop:
        raise UserError("--keep and --drop are two ways to say one thing; give one of them")
    dropped = set(model.class_indices(list(drop)).tolist()) if drop else set()
    kept = [i for i in range(model.config.num_classes) if i not in dropped]
    kept = model.class_indices(list(keep)).tolist() if keep else kept
    identity = torch.eye(model.config.num_classes, dtype=torch.float64)
    names, rows = [model.class_names[i] for i in kept], [identity[i] for i in kept]
    for entry in add:
        name, _, origins = entry.partition("=")
        names.append(name)
        rows.append(mixture(model, origins) if origins else torch.zeros_like(identity[0]))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"there would be two classes of the name {twice[0]!r}; give the new one another name")
    if len(names) < 2:
        raise UserError(f"{len(names)} class would be left; a class-conditional model needs at least two")
    return with_classes(model, names, torch.stack(rows), seed)


# ---- tables ----------------------------------------------------------------------------------------


def _tables(model: BigGAN) -> Iterator[tuple[str, nn.Module, int]]:
    """The name and module of each table by class, and the axis that its classes are on."""
    if model.config.has_shared_embedding:
        yield "G.shared_embedding", model.G.shared_embedding, 0
    if model.config.conditioning == "per_class":
        for name, module in model.G.named_modules():
            if isinstance(module, ConditionalBatchNorm2d):
                yield f"G.{name}.gain", module.gain, 1
                yield f"G.{name}.bias", module.bias, 1
    if model.D is not None and model.D.class_projection is not None:
        yield "D.class_projection", model.D.class_projection, 0


def _new_tables(model: BigGAN, mix: Tensor, seed: int) -> dict[str, Tensor]:
    """The tables for new classes by their names in the state dict, with room for singular vectors of their size."""
    tensors: dict[str, Tensor] = {}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for name, module, axis in _tables(model):
            old = module.get_parameter("weight").movedim(axis, 0)                   # (old classes, F)
            rows = mixed_rows(old, mix, model.config).movedim(0, axis).contiguous()
            tensors[f"{name}.weight"] = nn.Parameter(rows)
            if isinstance(module, SpectralNorm) and module.sn.enabled:
                tensors[f"{name}.u"] = torch.randn(len(rows)).to(old)
                tensors |= {f"{name}.v": module.v.clone()} if module.sn.stored else {}
    return tensors


def mixed_rows(old: Tensor, mix: Tensor, config: BigGANConfig) -> Tensor:
    """Rows (new classes, F) from old ones (old classes, F): mixtures, and fresh ones of the median length."""
    rows = (mix.to(old.device) @ old.double()).to(old)
    fresh = (mix.sum(dim=1) == 0).to(old.device)
    if bool(fresh.any()):
        begun = torch.empty(rows.shape)
        first_weight(begun, config.weight_init)
        begun = begun.to(old)
        lengths = old.norm(dim=1).median() / begun.norm(dim=1, keepdim=True).clamp(min=1e-12)
        rows[fresh] = (begun * lengths)[fresh]
    return rows


def _settle(layer: SpectralNorm) -> None:
    """Bring the singular vectors of a weight that changed to where training would have them."""
    if layer.sn.enabled:
        with torch.no_grad():
            layer.train().power_iteration(layer.weight.flatten(1), POWER_ITERATIONS)

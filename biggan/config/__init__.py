"""The two configurations: `BigGANConfig` travels with the weights, `TrainConfig` describes one run.

Both are frozen and validated once, when they are made. An error names the flag and the mend.
Each field's help text is what `biggan train --help` prints.
"""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from biggan.config.fields import unknown_name
from biggan.config.network import D_DOWNSAMPLES, D_MULTIPLIERS, G_MULTIPLIERS, BigGANConfig
from biggan.config.run import CHANGEABLE_FIELDS, NEUTRAL_FIELDS, TrainConfig
from biggan.errors import UserError

__all__ = [
    "CHANGEABLE_FIELDS",
    "D_DOWNSAMPLES",
    "D_MULTIPLIERS",
    "G_MULTIPLIERS",
    "NEUTRAL_FIELDS",
    "BigGANConfig",
    "TrainConfig",
    "from_mapping",
    "to_mapping",
    "unknown_name",
    "with_new_names",
]

Config = typing.TypeVar("Config", BigGANConfig, TrainConfig)


def with_new_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values of a configuration as older files have them, under today's names."""
    style = values.get("init")
    if style in ("ortho", "normal", "xavier"):          # today the weights to begin from
        return {("weight_init" if name == "init" else name): value for name, value in values.items()}
    return dict(values)


def from_mapping(kind: type[Config], values: Mapping[str, Any], base: Config | None = None) -> Config:
    """Make a configuration from plain values (flags, YAML, JSON) over `base` or the defaults.

    Raises UserError for a field that does not exist, naming the nearest that does, for a value of
    another type, and for one that validation refuses.
    """
    known, values = {f.name for f in dataclasses.fields(kind)}, with_new_names(values)
    for name in values:
        if name not in known:
            raise UserError(unknown_name(name, known, "field"))
    return dataclasses.replace(base, **values) if base is not None else kind(**values)


def to_mapping(config: BigGANConfig | TrainConfig) -> dict[str, Any]:
    """The configuration as plain JSON and YAML values."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(config).items()}

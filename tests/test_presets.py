import dataclasses
import re

import pytest
import torch

from biggan import presets
from biggan.config import BigGANConfig, TrainConfig
from biggan.errors import UserError
from biggan.networks import Discriminator, Generator
from biggan.presets import PRESETS, preset, with_overrides


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_complete_and_builds(name: str) -> None:
    network, train = preset(name)
    with torch.device("meta"):
        Generator(network)
        Discriminator(network)
    assert train.images % train.batch_size == 0
    assert PRESETS[name].__doc__


@pytest.mark.parametrize("name", PRESETS)
def test_the_table_says_what_the_presets_do(name: str) -> None:
    row = re.search(rf"^{re.escape(name)} .*$", presets.__doc__ or "", re.MULTILINE)
    assert row, f"{name} is not in the table"
    cells = row.group().split()
    network, train = preset(name)
    assert int(cells[1]) == network.resolution
    assert int(cells[2]) == network.image_channels
    assert int(cells[3]) == network.g_ch
    assert int(cells[4]) == network.z_dim
    assert int(cells[5]) == train.batch_size
    assert int(cells[6]) == train.d_steps
    assert (float(cells[7]), float(cells[9])) == (network.g_lr, network.d_lr)
    assert int(cells[10].replace(",", "")) == train.images // train.batch_size


def test_every_field_can_be_overridden_by_its_flat_name() -> None:
    recipe = preset("digits")
    values = {f.name: getattr(part, f.name) for part in recipe for f in dataclasses.fields(part)}
    assert with_overrides((BigGANConfig(), TrainConfig()), values) == recipe
    assert with_overrides(recipe, {"steps": 10, "batch_size": 32})[1].images == 320


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"g_lrr": 1}, "unknown field 'g_lrr'; did you mean 'g_lr'?"),
        ({"steps": 3, "images": 3}, "two ways to say one thing"),
        ({"steps": 0}, "--steps 0 must be a whole number of at least 1"),
        ({"steps": 1.5}, "--steps 1.5 must be a whole number"),
    ],
)
def test_wrong_overrides_are_named(values: dict[str, object], line: str) -> None:
    with pytest.raises(UserError) as error:
        with_overrides(preset("digits"), values)
    assert line in str(error.value)


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(UserError, match="unknown preset 'digit'; did you mean 'digits'"):
        preset("digit")

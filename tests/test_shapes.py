"""Any shape, all the way: data, training, resume, export, sampling, sheets, evaluation."""

import dataclasses
import re
from pathlib import Path

import pytest
import torch
from conftest import Watcher, make_folder
from PIL import Image

from biggan import BigGAN
from biggan.augment import color
from biggan.config import BigGANConfig, TrainConfig
from biggan.convert import ajbrock
from biggan.data import open_dataset
from biggan.errors import UserError
from biggan.evaluation import evaluate
from biggan.latents import LatentLaw
from biggan.metrics import classifier
from biggan.sampling import save_files, sheet_of_classes
from biggan.training import train

SHAPES = [  # resolution, base, base width, channels, mode: height, width
    (48, 6, 0, 3, "RGB", 48, 48),
    (16, 4, 6, 1, "L", 16, 24),
    (20, 5, 3, 4, "RGBA", 20, 12),
    (96, 6, 4, 3, "RGB", 96, 64),
]


@pytest.mark.parametrize(("resolution", "base", "base_width", "channels", "mode", "height", "width"), SHAPES)
def test_any_shape_from_the_folder_to_the_numbers(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, monkeypatch: pytest.MonkeyPatch,
    resolution: int, base: int, base_width: int, channels: int, mode: str, height: int, width: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(classifier, "FEWEST", 500)
    monkeypatch.setattr(classifier, "MOST", 500)
    folder = make_folder(tmp_path / "set", {"a": 12, "b": 12}, size=30, mode=mode)
    network = dataclasses.replace(
        tiny, resolution=resolution, base_resolution=base, base_width=base_width, image_channels=channels,
        num_classes=2, z_dim=60, g_attention=(2 * base,), d_attention=(2 * base,),
    )  # fmt: skip
    assert network.image_shape == (height, width)
    data = open_dataset(str(folder), resolution=network.image_shape, channels=channels)
    assert data.images.shape == (24, channels, height, width)
    config = dataclasses.replace(tiny_train, images=16, augment=("color", "translation", "cutout"), flip=True, r1=0.1)
    assert train(network, dataclasses.replace(config, images=8), data, tmp_path / "run", Watcher())
    assert train(network, config, data, tmp_path / "run", Watcher())         # loads the checkpoint
    model = BigGAN.from_pretrained(tmp_path / "run")
    assert model.config == network
    assert f"{height} x {width}" in (tmp_path / "run" / "export" / "README.md").read_text()
    assert model.generate(y="a", seed=0, truncation=0.5).shape == (1, channels, height, width)
    save_files(model, LatentLaw(), None, 3, 0, 2, tmp_path / "images")
    for path in (tmp_path / "images").iterdir():
        with Image.open(path) as image:
            assert (image.mode, image.size) == (mode, (width, height))
    picture = sheet_of_classes(model, LatentLaw(), None, 4, 0, 4)
    assert picture.width > 2 * width
    assert picture.height > 2 * height
    result = evaluate(model, data, num=130)
    assert all(torch.isfinite(torch.tensor(value)) for value in result["metrics"].values())


def test_a_square_is_the_same_data_however_it_is_said() -> None:
    a, b = (open_dataset("digits", resolution=size, channels=1) for size in (16, (16, 16)))
    assert a.fingerprint == b.fingerprint


def test_rectangles_keep_what_is_in_their_middle(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    image = Image.new("RGB", (40, 20), "red")
    image.paste("blue", (10, 0, 30, 20))
    for name in "ab":
        image.save(tmp_path / name / "1.png")
    cropped = open_dataset(str(tmp_path), resolution=(16, 16), channels=3).images[0]
    whole = open_dataset(str(tmp_path), resolution=(8, 16), channels=3).images[0]
    assert cropped[2].min() > 200
    assert min(whole[0, :, 0].min(), whole[2, :, 8].min()) > 200


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"resolution": 96}, "the nearest are 64 and 128 (or add --base-resolution 6)"),
        ({"resolution": 80}, "(or add --base-resolution 5)"),
        ({"resolution": 100}, "(or change --base-resolution)"),
        ({"base_width": -1}, "--base-width -1 must be at least 0"),
    ],
)
def test_a_size_that_does_not_fit_names_the_mend(fields: dict[str, int], line: str) -> None:
    with pytest.raises(UserError, match=re.escape(line)):
        BigGANConfig(**fields)  # type: ignore[arg-type]


def test_the_suggested_base_works() -> None:
    for side in (48, 96, 192, 80, 224):
        with pytest.raises(UserError) as error:
            BigGANConfig(resolution=side, g_attention=(), d_attention=())
        base = int(str(error.value).rpartition(" ")[2].rstrip(")"))
        config = BigGANConfig(resolution=side, base_resolution=base, z_dim=840, g_attention=(), d_attention=())
        assert config.image_shape == (side, side)


def test_colour_augmentation_leaves_alpha_alone() -> None:
    x, draws = torch.rand(2, 4, 8, 8), torch.rand(2, 3)
    changed = color(x, draws)
    assert torch.equal(changed[:, 3], x[:, 3])
    assert torch.equal(changed[:, :3], color(x[:, :3], draws))


def test_rectangles_are_not_written_for_a_code_that_has_none(tiny: BigGANConfig) -> None:
    with pytest.raises(UserError, match="because of images that are not square"):
        ajbrock.unload(BigGAN(dataclasses.replace(tiny, base_width=6)))

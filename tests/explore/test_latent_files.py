import json
from pathlib import Path

import pytest
import torch

from biggan import BigGAN, BigGANConfig, UserError
from biggan.explore import load_latent, pictures_of, save_latent
from biggan.latents import LatentLaw, image_labels
from biggan.pictures import Picture, draw
from biggan.sampling import sample


@pytest.fixture
def model(tiny: BigGANConfig) -> BigGAN:
    torch.manual_seed(0)
    return BigGAN(tiny, [*"9876543210"]).eval()         # names that look like other classes' labels


def test_a_file_draws_the_picture_again(model: BigGAN, tmp_path: Path) -> None:
    law = LatentLaw("threshold", 0.7)
    picture = Picture(5, {2: 0.25, 8: 0.75}, steps=((1, 0.5),), moves=(([0.5] * 8, -1.0),))
    save_latent(model, picture, law, tmp_path / "latent.json", image="photo.png")
    loaded, loaded_law = load_latent(tmp_path / "latent.json")
    assert loaded_law == law
    assert loaded.classes == {"7": 0.25, "1": 0.75}
    assert torch.equal(draw(model, [loaded], law), draw(model, [picture], law))
    assert json.loads((tmp_path / "latent.json").read_text())["image"] == "photo.png"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "cannot be read"),
        ("{}", "is not a latent file"),
        ('{"format": "biggan-latent-1", "classes": 3}', "is damaged"),
    ],
)
def test_something_else_is_named(content: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UserError, match=rf"a\.json {line}"):
        load_latent(tmp_path / "a.json")


def test_seeds_and_classes_come_in_turn(model: BigGAN, tmp_path: Path) -> None:
    save_latent(model, Picture(5, {2: 1.0}), LatentLaw("threshold", 0.7), file := tmp_path / "latent.json")
    given, law = pictures_of(model, ["3", str(file)])
    assert law == LatentLaw("threshold", 0.7)
    assert given[1].classes == {"7": 1.0}
    assert given[0] == Picture(3, {int(image_labels([3], 10)): 1.0})
    assert torch.equal(draw(model, given[:1]), next(sample(model, image_labels([3], 10), [3])))
    pictures, law = pictures_of(model, ["3", "4"], ["9", "8", "7"])
    assert [(picture.seed, dict(picture.classes)) for picture in pictures] == [(3, {0: 1}), (4, {1: 1}), (3, {2: 1})]
    assert law == LatentLaw()
    many, _ = pictures_of(model, ["3"], ["9", "8"], num=5)
    assert [(picture.seed, *picture.classes) for picture in many] == [(3, 0), (4, 1), (5, 0), (6, 1), (7, 0)]
    with pytest.raises(UserError, match="--num 0 must be at least 1"):
        pictures_of(model, ["3"], num=0)
    with pytest.raises(UserError, match="--seed -5 is neither a number"):
        pictures_of(model, ["-5"])

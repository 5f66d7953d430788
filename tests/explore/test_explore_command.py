"""`biggan explore` from its flags to its files, in this process."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from biggan import BigGAN, BigGANConfig, UserError
from biggan.cli import app
from biggan.explore import load_directions, load_latent
from biggan.pictures import Picture, draw
from biggan.sampling import to_pil


@pytest.fixture
def export(tiny: BigGANConfig, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    names = ["zero", "one", *"23456789"]
    BigGAN(tiny, names, discriminator=True, recipe={"data": "digits"}).save_pretrained(tmp_path / "export")
    return tmp_path / "export"


def run(*arguments: Any) -> None:
    app(["explore", *map(str, arguments)], exit_on_error=False, print_error=False, result_action="return_value")


def cell(path: Path, row: int, column: int) -> np.ndarray:
    """A cell of a sheet of 8 px images without headings: 64 px and a gap of 8 each, rows from the top, columns from
    the right."""
    pixels = np.asarray(Image.open(path))[:, :, 0]
    right = pixels.shape[1] - 72 * column
    return pixels[8 + 72 * row : 72 + 72 * row : 8, right - 72 : right - 8 : 8]


def test_interpolate(export: Path, tmp_path: Path) -> None:
    run("interpolate", export, "--seed", 3, 4, 5, "--class", "zero", "7", "--frames", 4)
    one, two = draw(BigGAN.from_pretrained(export), [Picture(4, {7: 1.0}), Picture(5, {0: 1.0})])
    sheet = export / "path.png"
    assert np.array_equal(cell(sheet, 0, 0), one[0].numpy())
    assert np.array_equal(cell(sheet, 1, 0), two[0].numpy())
    run("interpolate", export, "--class", 1, 2, 3, "--loop", "--out", tmp_path / "a.gif", "--frames", 3)
    assert Image.open(tmp_path / "a.gif").n_frames == 6
    run("interpolate", export, "--out", tmp_path / "a.webp", "--frames", 3)
    assert Image.open(tmp_path / "a.webp").n_frames == 4


def test_truncations_and_mixtures(export: Path, tmp_path: Path) -> None:
    run("truncations", export, "--threshold", 1, 0.5, "--class", "one", "--out", tmp_path / "t.png")
    assert Image.open(tmp_path / "t.png").height == 28 + 72
    run("mix", export, "--class", "one", 4, "--seed", 0, 1, "--steps", 3)
    (four,) = draw(BigGAN.from_pretrained(export), [Picture(1, {4: 1.0})])
    assert np.array_equal(cell(export / "mix.png", 1, 0), four[0].numpy())
    run("mix", export, "--class", 1, 2, 3, 4, 5, "--weights", 1, 1, 1, 1, 2, "--out", tmp_path / "m.png")
    assert Image.open(tmp_path / "m.png").height == 8 + 72


def test_nearest(export: Path) -> None:
    run("nearest", export, "--num", 3, "-k", 2, "--extractor", "small_extractor:Patches", "--threshold", 1)
    found = json.loads((export / "nearest.json").read_text())
    assert (found["law"], found["extractor"]) == ("threshold 1", "small_extractor:Patches")
    assert [one["seed"] for one in found["images"]] == [0, 1, 2]
    assert Image.open(export / "nearest.png").height == 8 + 3 * 72


def test_from_an_image_to_edits_of_it(export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to_pil(draw(BigGAN.from_pretrained(export), [Picture(77, {3: 1.0})])[0]).save(tmp_path / "image.png")
    quick = ("--restarts", 1, "--steps", 5)
    run("project", export, tmp_path / "image.png", "--class", 3, "--features", "discriminator", *quick)
    latent = export / "projection" / "latent.json"
    picture, _ = load_latent(latent)
    assert picture.classes == {"3": 1.0}
    assert f"next: biggan explore around {export} --seed {latent}" in capsys.readouterr().out
    run("directions", export, "--num", 2, "--layers", 0, "--frames", 3)
    assert load_directions(export / "directions.safetensors").layers == (0,)
    assert Image.open(export / "directions.png").height == 28 + 2 * 72
    run("around", export, "--seed", latent, "--directions", export / "directions.safetensors", "--frames", 10)
    (drawn,) = draw(BigGAN.from_pretrained(export), [picture])
    assert Image.open(export / "around.png").height == 8 + 4 * 72
    assert np.array_equal(cell(export / "around.png", 0, 9), drawn[0].numpy())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["interpolate", "--out", "path.jpg"], "must end in .png, .gif or .webp"),
        (["interpolate", "--seed", "1"], "a path needs at least two stops"),
        (["interpolate", "--fps", "0", "--out", "a.gif"], "--fps 0 must be greater than 0"),
        (["interpolate", "--frames", "1"], "at least 2 frames, not 1"),
        (["interpolate", "--seed", "1", "a.json"], "--seed a.json is neither a number"),
        (["truncations", "--truncation", "1", "--threshold", "1"], "two different laws"),
        (["mix", "--class", "one", "--steps", "3"], "two, three or four different classes"),
        (["mix", "--class", "one", "2", "--weights", "1"], "1 weights for 2 classes"),
        (["mix", "--class", "one", "2", "--out", "a.jpg"], "--out a.jpg must end in .png"),
        (["mix", "--class", "one", "eleven"], "unknown class 'eleven'"),
        (["nearest", "--extractor", "eyes"], "--extractor eyes is unknown"),
        (["project", "missing.png", "--class", "one", "--features", "none"], "missing.png cannot be read"),
        (["directions", "--out", "a.png"], "must end in .safetensors"),
        (["around", "--directions", "a.safetensors"], "a.safetensors is damaged or missing"),
    ],
)
def test_a_wrong_command_is_one_line(
    export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=line) as raised:
        run(arguments[0], export, *arguments[1:])
    assert "\n" not in str(raised.value)
    assert sorted(tmp_path.rglob("*")) == before

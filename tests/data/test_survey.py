from pathlib import Path

import numpy as np
import pytest
from conftest import make_folder
from PIL import Image
from test_sources import write_idx

from biggan.data.survey import survey
from biggan.errors import UserError


def test_a_folder_of_photos(tmp_path: Path) -> None:
    found = survey(str(make_folder(tmp_path, {"a": 5, "b": 20}, size=30)))
    assert (found.counts, found.images, found.imbalance) == ((5, 20), 25, 4)
    assert (found.height, found.width, found.channels) == (30, 30, 3)
    assert found.one_size
    assert found.one_aspect


def test_unlike_sizes_and_a_damaged_file(tmp_path: Path) -> None:
    make_folder(tmp_path, {"a": 4, "b": 4})
    for i, size in enumerate([(60, 40), (120, 80), (61, 40), (30, 20), (66, 44)]):
        for name in "ab":
            Image.new("RGB", size, "red").save(tmp_path / name / f"{i:03d}.png")
    (tmp_path / "a" / "damaged.png").write_bytes(b"no image")
    found = survey(str(tmp_path))
    assert found.counts == (6, 5)
    assert (found.width, found.height) == (61, 40)
    assert not found.one_size
    assert found.one_aspect


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4)])
def test_channels_are_those_the_images_use(tmp_path: Path, mode: str, channels: int) -> None:
    assert survey(str(make_folder(tmp_path, {"a": 4, "b": 4}, mode=mode))).channels == channels


def test_gray_pictures_saved_in_colour_are_gray_and_opaque_ones_have_no_alpha(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        gray = np.random.default_rng(0).integers(0, 256, (32, 32, 1), dtype=np.uint8).repeat(3, 2)
        Image.fromarray(gray).save(tmp_path / name / "1.jpg")
        Image.fromarray(gray).convert("RGBA").save(tmp_path / name / "2.png")
    assert survey(str(tmp_path)).channels == 1


def test_idx_files_and_the_digits(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", np.zeros((300, 28, 20)))
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.arange(300) % 3)
    found = survey(str(tmp_path))
    assert (found.counts, found.height, found.width, found.channels) == ((100, 100, 100), 28, 20, 1)
    digits = survey("digits")
    assert (digits.images, digits.height, digits.channels) == (1797, 8, 1)


def test_nothing_readable_is_said(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"none of the images of .* can be read"):
        survey(str(tmp_path))
    with pytest.raises(UserError, match="has one class, 'a'; a class-conditional model needs at least two"):
        survey(str(make_folder(tmp_path / "one", {"a": 3})))
    with pytest.raises(UserError, match="does not exist"):
        survey(str(tmp_path / "nowhere"))

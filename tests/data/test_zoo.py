"""Every broken data set gives its line, in inspection and in training."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from zoo import ANIMALS, FEW, healthy, picture

from biggan.data import inspect_dataset, open_dataset
from biggan.data.inspection.text import as_text
from biggan.errors import UserError

SIGNS = {"fatal": "x", "warning": "!", "note": "-"}


def lines(root: Path) -> list[str]:
    return [f"{SIGNS[finding.level]} {finding.line}" for finding in inspect_dataset(str(root)).findings]


@pytest.mark.parametrize("animal", ANIMALS, ids=lambda animal: animal.__name__)
def test_every_animal_gives_its_line(animal: Callable[[Path], None], tmp_path: Path) -> None:
    root = healthy(tmp_path / "set")
    animal(root)
    expected = ANIMALS[animal].replace("ROOT", str(root))
    found = lines(root)
    assert any(line.startswith(expected) for line in found), found
    if expected.startswith("x"):
        with pytest.raises(UserError) as error:
            open_dataset(str(root), resolution=8, channels=3)
        assert "\n" not in str(error.value)
    else:
        data = open_dataset(str(root), resolution=8, channels=3)
        assert sorted(set(data.labels.tolist())) == list(range(len(data.class_names)))


def test_a_healthy_set_gives_nothing_but_its_size(tmp_path: Path) -> None:
    inspection = inspect_dataset(str(healthy(tmp_path / "set")), batch_size=6)
    assert inspection.verdict == "ready"
    assert [finding.kind for finding in inspection.findings] == ["few-images"]


def test_small_and_unequal_classes_are_named(tmp_path: Path) -> None:
    root = healthy(tmp_path / "set", {"cat": 100, "dog": 2, "ümläut name": 4})
    inspection = inspect_dataset(str(root), batch_size=8)
    assert [finding.line.partition(". ")[0] for finding in inspection.findings] == [
        "the classes are unequal, 50:1 (cat 100, dog 2)",
        "2 classes have fewer images than a batch of 8 (dog 2, ümläut name 4)",
        "1 class is 10 times the median or more (cat), up to 94% of all",
    ]
    assert inspection.verdict.startswith("trainable, but the classes are unequal, 50:1")
    assert "  ümläut name         4 ##\n" in as_text(inspection)


def test_broken_files_do_not_hide_each_other(tmp_path: Path) -> None:
    root = healthy(tmp_path / "set")
    for animal in ANIMALS:
        if ANIMALS[animal].startswith("-"):
            animal(root)
    inspection = inspect_dataset(str(root))
    kinds = {finding.kind for finding in inspection.findings}
    assert {"animated", "rotated", "sixteen-bit", "gray", "other-files", "cmyk"} <= kinds
    assert inspection.numbers()["formats"]["PNG"] == 13
    assert inspection.trainable


def test_hidden_files_are_not_there(tmp_path: Path) -> None:
    root = healthy(tmp_path / "set")
    before = lines(root)
    (root / ".DS_Store").write_bytes(b"")
    (root / "__MACOSX" / "cat").mkdir(parents=True)
    picture(1).save(root / "__MACOSX" / "cat" / "._1.png")
    assert lines(root) == before
    assert before[0].startswith(FEW)


def test_most_images_too_deep_is_a_finding_not_a_label(tmp_path: Path) -> None:
    root = healthy(tmp_path / "set")
    for i in range(20):
        folder = root / "dog" / "more"
        folder.mkdir(exist_ok=True)
        picture(200 + i).save(folder / f"{i}.png")
    data = open_dataset(str(root), resolution=8, channels=3)
    assert np.bincount(data.labels).tolist() == [6, 6]
    assert any("left out of dog: 20 in sub-folders" in line for line in lines(root))

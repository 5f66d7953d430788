"""From a folder to a model and on: `train auto`, fine-tuning, classes and data sets out, as commands.

The commands run in this process; `test_cli.py` has what only a process of its own can show.
"""

import contextlib
import io
from pathlib import Path

import pytest
from conftest import make_folder
from test_cli import SMALL

from biggan import BigGAN
from biggan.cli import app
from biggan.data import open_dataset
from biggan.errors import UserError
from biggan.training import read_yaml


def biggan(*arguments: object) -> str:
    """What a command prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        app(list(map(str, arguments)), exit_on_error=False, print_error=False, result_action="return_value")
    return out.getvalue()


def error_line(*arguments: object) -> str:
    """What a command that fails says."""
    with pytest.raises(UserError) as error:
        biggan(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("data") / "set", {"cat": 40, "dog": 8})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    biggan("train", "digits", "--data", folder, *SMALL, "--steps", 2, "--out", out)
    return out


def test_auto_chooses_once_and_its_choice_is_a_config(tmp_path: Path, folder: Path) -> None:
    command = ["train", "auto", "--data", folder, "--steps", 2, "--precision", "fp32", "--device", "cpu"]
    first = biggan(*command, "--out", tmp_path / "run")
    assert "# 48 colour images of 2 classes (8 to 40 a class), all 12 x 12" in first
    assert "# classes by the root of their size: the largest is 5 times the smallest" in first
    chosen = read_yaml(tmp_path / "run" / "config.yaml")
    assert (chosen["resolution"], chosen["batch_size"], chosen["real_labels"]) == (16, 16, "sqrt")
    assert (tmp_path / "run" / "auto.txt").read_text().startswith("chosen on cpu")
    again = biggan(*command, "--out", tmp_path / "run")
    assert "resuming" in again
    assert "measured here" not in again
    mine = tmp_path / "mine.yaml"
    mine.write_text((tmp_path / "run" / "config.yaml").read_text())
    text = biggan("train", "--config", mine, "--g-lr", 1e-3, "--dry-run")
    assert "g_lr: 0.001\n" in text
    assert text.replace("g_lr: 0.001", f"g_lr: {chosen['g_lr']}") == (tmp_path / "run" / "config.yaml").read_text()


def test_auto_on_too_little_memory_is_one_line(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIGGAN_MEMORY", "1M")
    line = error_line("train", "auto", "--data", folder, "--device", "cpu", "--out", tmp_path / "run")
    assert "not even 16 x 16 images train in the 0 GB of memory that are left here" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["digits", "--minutes", "3"], "--minutes is for train auto"),
        (["auto", "--data", "digits", "--minutes", "3", "--steps", "3"], "without --steps and --images"),
        (["auto"], "this recipe brings no data; give --data"),
        (["--data", "digits"], "give a preset (auto, digits, fashion,"),
        (["--init", "/does/not/exist", "--data", "digits"], "is neither a run nor an export"),
    ],
)
def test_a_wrong_beginning_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert line in error_line("train", *arguments)
    assert not list(tmp_path.iterdir())


def test_fine_tuning_to_a_folder_of_other_classes(tmp_path: Path, run: Path) -> None:
    other = make_folder(tmp_path / "set", {"cat": 9, "cow": 9, "pig": 9})
    command = ["train", "--init", run, "--data", other, "--init-classes", "cow=dog", "--steps", 2]
    command += ["--init-others", "mean"]
    out = biggan(*command, "--out", tmp_path / "run")
    for line in ("cat begins as cat", "cow begins as dog", "pig begins as the mean of all 2 classes"):
        assert f"class {line}\n" in out
    assert BigGAN.from_pretrained(tmp_path / "run").class_names == ("cat", "cow", "pig")
    assert "resuming" in biggan(*command, "--out", tmp_path / "run")
    other_init = ["train", "--init", tmp_path / "run", "--data", other, "--steps", 2, "--out", tmp_path / "run"]
    assert "began with another configuration (init " in error_line(*other_init)
    assert "--g-ch 9 but the weights of" in error_line(*command, "--g-ch", 9, "--out", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_classes_are_listed_dropped_and_added(tmp_path: Path, run: Path) -> None:
    assert biggan("classes", run) == "   0  cat\n   1  dog\n"
    out = biggan("classes", run, "--drop", "dog", "--add", "wolf=dog", "fox", "--out", tmp_path / "export")
    assert "3 classes, G and D" in out
    assert BigGAN.from_pretrained(tmp_path / "export").class_names == ("cat", "wolf", "fox")
    assert "give --out" in error_line("classes", run, "--drop", "dog")


def test_a_data_set_of_generated_images_is_one(tmp_path: Path, run: Path) -> None:
    command = ["sample", run, "--dataset", tmp_path / "set", "--truncation", "0.5"]
    assert "6 images of 2 classes" in biggan(*command, "--per-class", 3)
    assert "10 images of 2 classes" in biggan(*command, "--per-class", 5)
    assert open_dataset(str(tmp_path / "set"), resolution=16, channels=1).class_counts().tolist() == [5, 5]
    for wrong, line in (
        ([], "needs both --dataset and --per-class"),
        (["--per-class", 3, "--num", 4], "neither --num nor --sheet nor --out"),
        (["--per-class", 3, "--seed", 4], "holds another set (seed 0 -> 4)"),
    ):
        assert line in error_line(*command, *wrong)

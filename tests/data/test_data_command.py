"""`biggan data` as a user meets it."""

import json
from pathlib import Path
from typing import Any

import pytest
from cyclopts import CycloptsError
from test_cli import SMALL
from zoo import corrupt, healthy

from biggan.cli import app
from biggan.errors import UserError


def biggan(*arguments: object) -> None:
    """The command in this process."""
    app(list(map(str, arguments)), exit_on_error=False, print_error=False, result_action="return_value")


def error_line(*arguments: object) -> str:
    with pytest.raises((UserError, CycloptsError)) as error:
        biggan(*arguments)
    return str(error.value)


def test_inspect_pack_train(tmp_path: Path, capsys: Any) -> None:
    root = healthy(tmp_path / "set", {"cat": 12, "dog": 12})
    corrupt(root)
    biggan("data", "inspect", root, "--html", tmp_path / "page.html")
    text = capsys.readouterr().out
    assert "Verdict: trainable, but " in text
    assert text.endswith(f"Next: biggan data pack {root} --resolution 16 --out DIR\n")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    biggan("data", "inspect", root, "--json")
    assert json.loads(capsys.readouterr().out)["images"] == {"train": 24}

    out = tmp_path / "packed"
    biggan("data", "pack", root, "--resolution", 16, "--test-fraction", 0.25, "--out", out)
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "train: 18 images in 2 classes, 3 x 16 x 16",
        "test: 5 images in 2 classes, 3 x 16 x 16",
        f"wrote {out}",
        f"next: biggan train auto --data {out}",
    ]
    assert "skipped cat/000.png: is no image that Pillow knows" in captured.err

    run = ["train", "digits", *SMALL, "--data", out, "--steps", 2, "--log-every", 8, "--out", tmp_path / "run"]
    assert "is packed at 16 x 16 with 3 channels, the model has 32 x 32 with 1 channel" in error_line(
        *run, "--resolution", 32
    )
    capsys.readouterr()
    biggan(*run, "--resolution", 16, "--image-channels", 3)
    text = capsys.readouterr().out
    assert "data: 18 images are few for a GAN. Use --augment translation cutout color" in text
    assert "images/s  data " in text
    line = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert 0 < line["data_share"] < 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["inspect", "nowhere"], "--data nowhere does not exist"),
        (["inspect", ".", "--batch-size", "0"], "--batch-size 0 must be at least 1"),
        (["inspect", "one"], "one cannot be trained: one has one class, 'cat'"),
        (["pack", "one", "--resolution", "8", "--out", "out"], "one has one class, 'cat'"),
        (["pack", "digits", "--resolution", "8", "--out", "out"], "digits is packed already"),
        (["pack", "one", "--resolution", "0", "--out", "out"], "--resolution 0 must be at least 1"),
        (["pack", "one", "--resolution", "8", "--width", "0", "--out", "out"], "--width 0 must be at least 1"),
        (["pack", "one", "--resolution", "8", "--out", "out", "--test-fraction", "1"], "must be between 0 and 1"),
        (["pack", "one", "--resolution", "8", "--out", "out", "--channels", "2"], "--channels"),
        (["pack", "one", "--out", "out"], "--resolution"),
    ],
)
def test_wrong_commands_are_one_line_and_leave_nothing(
    arguments: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    healthy(Path("one"), {"cat": 3})
    assert line in error_line("data", *arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]

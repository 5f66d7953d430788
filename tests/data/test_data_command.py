"""`biggan data` as a user meets it."""

import json
from pathlib import Path

import pytest
from test_cli import SMALL, biggan, error_line
from zoo import corrupt, healthy


def test_inspect_pack_train(tmp_path: Path) -> None:
    root = healthy(tmp_path / "set", {"cat": 12, "dog": 12})
    corrupt(root)
    done = biggan("data", "inspect", root, "--html", tmp_path / "page.html")
    assert "Verdict: trainable, but " in done.stdout
    assert f"Next: biggan data pack {root} --resolution 16 --out DIR" in done.stdout
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert json.loads(biggan("data", "inspect", root, "--json").stdout)["images"] == {"train": 24}
    out = tmp_path / "packed"
    done = biggan("data", "pack", root, "--resolution", 16, "--test-fraction", 0.25, "--out", out)
    assert done.stdout.splitlines() == [
        "train: 18 images in 2 classes, 3 x 16 x 16",
        "test: 5 images in 2 classes, 3 x 16 x 16",
        f"wrote {out}",
        f"next: biggan train cifar10 --data {out} --resolution 16 --image-channels 3",
    ]
    assert "skipped cat/000.png: is no image that Pillow knows" in done.stderr
    shape = ["--resolution", 16, "--image-channels", 3]
    run = ["train", "digits", *SMALL, "--data", out, "--steps", 2, "--log-every", 8, "--out", tmp_path / "run"]
    assert "is packed at 16 x 16 with 3 channels, the model has 32 x 32 with 1 channel" in error_line(
        *run, "--resolution", 32
    )
    done = biggan(*run, *shape)
    assert "data: 18 images are few for a GAN. Use --augment translation cutout color" in done.stdout
    assert "images/s  data " in done.stdout
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
        (["pack", "one", "--resolution", "8", "--out", "out", "--test-fraction", "1"], "must be between 0 and 1"),
        (["pack", "one", "--resolution", "8", "--out", "out", "--channels", "2"], "--channels"),
        (["pack", "one", "--out", "out"], "--resolution"),
    ],
)
def test_wrong_commands_are_one_line_and_leave_nothing(arguments: list[str], line: str, tmp_path: Path) -> None:
    healthy(tmp_path / "one", {"cat": 3})
    assert line in error_line("data", *arguments, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]

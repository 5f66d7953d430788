"""`biggan plan` and `biggan bench`."""

from pathlib import Path

import pytest

from biggan import bench
from biggan.cli import app
from biggan.errors import UserError

TINY = ["--resolution", "8", "--z-dim", "8", "--shared-dim", "6", "--g-ch", "2", "--d-ch", "2", "--device", "cpu"]


def run(*words: str) -> None:
    app([*words], exit_on_error=False, print_error=False, result_action="return_value")


def test_a_plan_says_layers_memory_and_hours(capsys: pytest.CaptureFixture[str]) -> None:
    run("plan", "digits", *TINY, "--batch-size", "4")
    shown = capsys.readouterr().out
    for part in ("G.blocks.0", "D.class_projection", "G, all", "micro-batch 4 of batch 4", "TFLOP", "MiB", "images/s"):
        assert part in shown
    assert "115,200 images take" in shown


def test_a_plan_finds_the_micro_batch_that_fits(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("resolution: 16\nz_dim: 9\ng_ch: 8\nd_ch: 8\ng_attention: []\nd_attention: []\nbatch_size: 64\n")
    run("plan", str(tmp_path), "--no-measure", "--gpu-memory", "0.012", "--device", "cpu")
    shown = capsys.readouterr().out
    assert "of batch 64" in shown
    assert "micro-batch 64" not in shown
    assert "images/s" not in shown
    for given, words in (("0.0001", "does not hold a micro-batch of 1"), ("-1", "greater than 0")):
        with pytest.raises(UserError, match=words):
            run("plan", str(config), "--no-measure", "--gpu-memory", given, "--device", "cpu")


def test_what_is_no_preset_is_named() -> None:
    with pytest.raises(UserError, match="unknown preset 'digit'; did you mean 'digits'"):
        run("plan", "digit")


def test_bench_measures_all_three(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SIDE", 64)
    run("bench", "digits", *TINY, "--batch-size", "4", "--images", "2")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("torch ")
    assert [line.split(",")[0] for line in lines[2:]] == ["training", "sampling", "loading"]
    assert all("images/s" in line for line in lines[2:])
    assert all("of a matrix product's" in line for line in lines[2:4])
    with pytest.raises(UserError, match="--images 0"):
        run("bench", "--images", "0")

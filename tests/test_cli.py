"""The command as a user meets it: in a process of its own."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_folder
from PIL import Image
from safetensors.torch import load_file
from test_sources import write_idx

SMALL = ["--g-ch", "2", "--d-ch", "2", "--batch-size", "8", "--precision", "fp32", "--device", "cpu"]


def biggan(*arguments: object, code: int = 0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "biggan", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, timeout=240)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def error_line(*arguments: object, cwd: Path | None = None) -> str:
    done = biggan(*arguments, code=2, cwd=cwd)
    (line,) = done.stderr.strip().split("\n")
    assert line.startswith("biggan: error: ")
    return line


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a few steps."""
    out = tmp_path_factory.mktemp("runs") / "run"
    done = biggan("train", "digits", *SMALL, "--steps", 4, "--out", out, "--log-every", 16)
    assert "complete" in done.stdout
    assert "32/32 images" in done.stdout
    return out


def test_help_does_not_wait_for_pytorch() -> None:
    code = "import sys, biggan.cli; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert "train" in biggan("--help").stdout
    text = biggan("train", "--help").stdout
    for flag in ("--steps", "--batch-size", "--microbatch-size", "--d-steps", "--seed", "--out", "--checkpoint-every"):
        assert flag in text
    assert "digits" in biggan("presets").stdout


def test_dry_run_prints_the_resolved_configuration_and_writes_nothing(tmp_path: Path) -> None:
    text = biggan("train", "digits", "--steps", 10, "--dry-run", cwd=tmp_path).stdout
    assert "images: 640\n" in text
    assert list(tmp_path.iterdir()) == []
    config = tmp_path / "mine.yaml"
    config.write_text(text + "\n")
    again = biggan("train", "digits", "--config", config, "--g-lr", "5e-4", "--dry-run").stdout
    assert again == text.replace("g_lr: 0.0002", "g_lr: 0.0005")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["digitz"], "unknown preset 'digitz'; did you mean 'digits'?"),
        (["digits", "--resolution", "100"], "--resolution 100 is not 4 x 2^n"),
        (["digits", "--batch-sise", "8"], "Unknown option: --batch-sise. Did you mean --batch-size?"),
        (["digits", "--g-lr", "fast"], "--g-lr"),
        (["digits", "--batch-size", "2000"], "--batch-size 2000 is more than the 1797 images of digits"),
        (["digits", "--num-classes", "7"], "--num-classes 7 but digits has 10 classes"),
        (["digits", "--data", "/does/not/exist"], "--data /does/not/exist does not exist"),
        (["digits", "--config", "/does/not/exist.yaml"], "/does/not/exist.yaml cannot be read"),
        (["cifar10"], "this recipe brings no data; give --data"),
        (["digits", "--steps", "0"], "--steps 0 must be a whole number of at least 1"),
        (["digits", "--device", "warp", "--steps", "1"], "--device warp is not available"),
        ([], "preset"),
    ],
)
def test_a_wrong_command_is_one_line_and_leaves_nothing(tmp_path: Path, arguments: list[str], line: str) -> None:
    assert line.lower() in error_line("train", *arguments, cwd=tmp_path).lower()
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_misspelt_field_in_the_yaml_file_is_named(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("batch_sise: 8\n")
    assert "unknown field 'batch_sise'; did you mean 'batch_size'?" in error_line(
        "train", "digits", "--config", config, "--dry-run"
    )
    config.write_text("g_lr: fast\n")
    assert "--g-lr 'fast' is not a number" in error_line("train", "digits", "--config", config, "--dry-run")
    config.write_text("a: [\n")
    assert "mine.yaml cannot be read" in error_line("train", "digits", "--config", config)
    config.write_text("- 1\n")
    assert "must hold lines of the form" in error_line("train", "digits", "--config", config)


@pytest.mark.parametrize("classes", [{}, {"cat": 9}])
def test_a_folder_with_one_class_or_none_is_refused(tmp_path: Path, classes: dict[str, int]) -> None:
    root = tmp_path / "set"
    root.mkdir()
    make_folder(root, classes)
    line = error_line("train", "digits", "--data", root, "--out", tmp_path / "run")
    assert ("has one class, 'cat'" if classes else "has no class folders with images") in line
    assert not (tmp_path / "run").exists()


def test_a_corrupt_image_is_a_named_skip(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", {"cat": 8, "dog": 8})
    (root / "cat" / "003.png").write_bytes(b"no image")
    out = biggan("train", "digits", "--data", root, *SMALL, "--steps", 1, "--out", tmp_path / "run").stdout
    assert "skipped cat/003.png" in out
    config = json.loads((tmp_path / "run" / "export" / "config.json").read_text())
    assert config["class_names"] == ["cat", "dog"]
    assert config["config"]["num_classes"] == 2


def test_the_same_command_resumes_and_another_is_refused(run: Path) -> None:
    before = load_file(run / "export" / "model.safetensors")
    same = ["train", "digits", *SMALL, "--steps", 4, "--out", run, "--log-every", 16]
    assert "resuming" in biggan(*same).stdout
    assert "(g_lr 0.0002 -> 0.1)" in error_line(*same, "--g-lr", "0.1")
    after = load_file(run / "export" / "model.safetensors")
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_samples_are_named_by_class_and_seed_and_independent_of_the_batch(run: Path, tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    biggan("sample", run, "--class", 3, 7, "--num", 4, "--seed", 5, "--out", a)
    biggan("sample", run, "--class", 3, 7, "--num", 2, "--seed", 7, "--batch-size", 1, "--out", b)
    names = ["3_seed000005.png", "3_seed000007.png", "7_seed000006.png", "7_seed000008.png"]
    assert sorted(p.name for p in a.iterdir()) == names
    for name in ("3_seed000007.png", "7_seed000008.png"):
        assert np.array_equal(np.asarray(Image.open(a / name)), np.asarray(Image.open(b / name)))
    assert Image.open(a / names[0]).size == (16, 16)


def test_sheets(run: Path, tmp_path: Path) -> None:
    biggan("sample", run, "--sheet", "--out", tmp_path / "a.png")
    biggan("sample", run / "export", "--threshold", "2", "0.5", "--num", 3, "--out", tmp_path / "b.png")
    a, b = Image.open(tmp_path / "a.png"), Image.open(tmp_path / "b.png")
    assert a.height > 10 * 64
    assert 2 * 64 < b.height < 3 * 64 + 64
    assert (run / "sheet.png").exists() is False


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--class", "eleven"], "unknown class 'eleven'"),
        (["--class", "11"], "class 11 is not one of the model's classes 0 to 9"),
        (["--truncation", "0"], "--truncation 0 must be greater than 0"),
        (["--truncation", "0.5", "--threshold", "1"], "two different laws"),
        (["--num", "0"], "--num 0 must be at least 1"),
        (["--sheet"], "out must end in .png"),
        (["--threshold", "1", "0.5"], "out must end in .png"),
    ],
)
def test_wrong_sampling_is_one_line(run: Path, tmp_path: Path, arguments: list[str], line: str) -> None:
    assert line in error_line("sample", run, *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_a_folder_is_one_line(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    line = f"biggan: error: {file} is a file where a folder is needed; give another path"
    assert error_line("sample", run, "--out", file).strip() == line
    assert error_line("sample", run, "--sheet", "--out", file / "sheet.png").strip() == line
    assert "lies in a file where a folder is needed" in error_line("train", "digits", "--out", file / "run")
    assert file.read_text() == "mine"


def test_sampling_from_something_else_is_one_line(tmp_path: Path) -> None:
    assert "is neither a run nor an export" in error_line("sample", tmp_path)
    (tmp_path / "config.json").write_text('{"attention_layer_position": 8, "z_dim": 128}')
    assert "is not of a biggan export" in error_line("sample", tmp_path)


def test_evaluate_writes_the_numbers(run: Path, tmp_path: Path) -> None:
    # A cached classifier would be trained for half a minute here; the real one is the demo's.
    shrink = "import biggan.metrics.classifier as c; c.MOST = 2000; from biggan.cli import main; main()"
    out = tmp_path / "metrics.json"
    command = [sys.executable, "-c", shrink, "evaluate", str(run), "--num", "200", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert set(result) == {"format", "protocol", "model", "versions", "metrics"}
    assert "label_accuracy" in done.stdout


def fashion_folder(root: Path) -> Path:
    """Ten classes of stripes in IDX files, for the preset `fashion` without its data."""
    root.mkdir()
    y = np.arange(200) % 10
    images = np.random.default_rng(0).integers(0, 100, (200, 28, 28))
    images[np.arange(200), y * 2 + 4] = 255
    write_idx(root / "train-images-idx3-ubyte.gz", images)
    write_idx(root / "train-labels-idx1-ubyte.gz", y)
    return root


def test_a_run_killed_at_any_moment_ends_bit_equal(tmp_path: Path) -> None:
    data = fashion_folder(tmp_path / "data")
    arguments = [
        "train", "fashion", "--data", str(data), "--steps", "50", *SMALL,
        "--checkpoint-every", "40", "--preview-every", "80",
    ]  # fmt: skip
    biggan(*arguments, "--out", tmp_path / "whole")
    kills, moment = 0, random.Random(os.getpid())
    command = [sys.executable, "-m", "biggan", *arguments, "--out", str(tmp_path / "killed")]
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not (tmp_path / "killed" / "log.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(moment.uniform(0, 2))
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kills > 0
    biggan(*arguments, "--out", tmp_path / "killed")
    name = "checkpoints/000000000400.safetensors"
    whole, killed = load_file(tmp_path / "whole" / name), load_file(tmp_path / "killed" / name)
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[key], killed[key]) for key in whole)


def test_sigterm_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    arguments = ["train", "digits", *SMALL, "--steps", "100000", "--out", str(tmp_path / "run")]
    command = [sys.executable, "-m", "biggan", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "run" / "log.jsonl").exists():
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "The same command again continues it" in out
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 1

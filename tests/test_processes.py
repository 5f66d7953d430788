"""The command in several processes, as torchrun starts them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from processes import ROOT, run_processes
from safetensors.torch import load_file

COMMAND = [
    "train", "digits", "--g-ch", "2", "--d-ch", "2", "--batch-size", "8", "--precision", "fp32", "--device", "cpu",
    "--log-every", "16", "--checkpoint-every", "16",
]  # fmt: skip


def biggan(count: int, *arguments: object) -> list[subprocess.CompletedProcess[str]]:
    return run_processes(count, "-m", "biggan", *arguments)


@pytest.mark.parametrize("shard", ["--no-shard", "--shard"])
def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path, shard: str) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert biggan(1, *COMMAND, "--steps", 6, "--out", whole)[0].returncode == 0
    for count, steps in ((2, 2), (1, 4), (2, 6)):
        first, *others = biggan(count, *COMMAND, shard, "--watch-every", 16, "--steps", steps, "--out", parts)
        assert first.returncode == 0, first.stderr
        assert "complete" in first.stdout
        assert all(other.returncode == 0 and other.stdout == "" for other in others)
    name = "checkpoints/000000000048.safetensors"
    a, b = load_file(whole / name), load_file(parts / name)
    assert a.keys() == b.keys()
    for key, value in a.items():
        # A bias before a batch norm has a gradient of rounding errors only, which Adam makes into whole steps.
        torch.testing.assert_close(b[key], value, rtol=1e-3, atol=2e-3, msg=lambda m, k=key: f"{k}: {m}")
    clocks = [json.loads(line)["images_seen"] for line in (parts / "log.jsonl").read_text().splitlines()]
    assert clocks == [16, 32, 48]
    assert len(list((parts / "previews").iterdir())) == 3
    a, b = load_file(parts / name), load_file(parts / "export" / "model.safetensors")
    assert torch.equal(b["linear.weight"], a["G_ema.linear.weight"])


@pytest.mark.parametrize("how", ["bug", "mistake", "kill"])
def test_the_failure_of_one_process_ends_all_with_one_message(tmp_path: Path, how: str) -> None:
    worker = ROOT / "tests" / "failing_worker.py"
    done = run_processes(2, worker, how, *COMMAND, "--steps", 100000, "--out", tmp_path / "run", timeout=120)
    assert all(process.returncode != 0 for process in done)
    spoken = [process.stderr for process in done if process.stderr]
    assert len(spoken) == 1, spoken
    if how == "bug":
        assert spoken[0].count("Traceback") == 1
        assert "the bug of process 1" in spoken[0]
    else:
        (line,) = spoken[0].strip().splitlines()
        expected = {"mistake": "process 1 has no disk", "kill": "another process of this run ended"}[how]
        assert line.startswith("biggan: error: ")
        assert expected in line


@pytest.mark.parametrize("shard", ["--no-shard", "--shard"])
def test_several_processes_go_back_together(tmp_path: Path, shard: str) -> None:
    watch = ["--watch", "rollback", "--watch-every", 8, "--rollback-images", 16, "--rollback-changes", "g_lr=1e-5"]
    worker = ROOT / "tests" / "failing_worker.py"
    done = run_processes(2, worker, "explode", *COMMAND, *watch, shard, "--steps", 8, "--out", tmp_path / "run")
    assert all(process.returncode == 0 for process in done), [process.stderr for process in done]
    assert "Went back from 48 to 32 images; changes: g_lr=1e-5" in done[0].stdout
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["images_seen"] for line in log] == [16, 32, 32, 48, 64]
    assert log[2]["rolled_back_from"] == 48


def test_a_mistake_that_all_processes_see_is_one_line(tmp_path: Path) -> None:
    for arguments, line in (
        (["--microbatch-size", "1"], "--microbatch-size 1 does not divide among 2 processes"),
        (["--batch-sise", "8"], "unknown option"),
    ):
        done = biggan(2, *COMMAND, *arguments, "--steps", 2, "--out", tmp_path / "run")
        assert {process.returncode for process in done} == {2}
        (spoken,) = [process.stderr.strip() for process in done if process.stderr]
        assert line in spoken.lower() or line in spoken
        assert len(spoken.splitlines()) == 1


def test_a_signal_to_one_process_stops_and_saves_all(tmp_path: Path) -> None:
    run = tmp_path / "run"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "biggan"]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [*torchrun, *COMMAND, "--steps", "100000", "--out", str(run)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    deadline = time.monotonic() + 100
    while not list(run.glob("checkpoints/*.safetensors")) and time.monotonic() < deadline:
        time.sleep(0.1)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    os.kill(int(children.stdout.split()[-1]), signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.count("The same command again continues it") == 1

"""Runs that are killed with SIGKILL at a random moment, and resumed: all end, and end equal.

    python -m pytest -m slow tests/faults -s            # twenty runs, minutes; BIGGAN_FAULT_RUNS for others

Every third kill waits for a checkpoint that is being written. Half of the runs go on with another number of
processes: those end equal up to rounding, the others bit for bit. The table that it prints is for docs/scaling.md.
"""

import os
import random
import time
from pathlib import Path

import pytest
import torch
from processes import run_processes, start_processes
from safetensors.torch import load_file

RUNS = int(os.environ.get("BIGGAN_FAULT_RUNS", "20"))
STEPS = 60
COMMAND = [
    "-m", "biggan", "train", "digits", "--g-ch", "2", "--d-ch", "2", "--batch-size", "8", "--precision", "fp32",
    "--device", "cpu", "--steps", STEPS, "--checkpoint-every", "16", "--preview-every", "0", "--log-every", "80",
    "--lecam", "0.3", "--lecam-start", "80", "--augment", "color", "translation", "--watch-every", "40",
]  # fmt: skip
LAST = f"checkpoints/{STEPS * 8:012d}.safetensors"


def kill_at_a_moment(count: int, run: Path, chance: random.Random, writing: bool) -> bool:
    """Start the run, kill all its processes at once, and say whether it was still going."""
    processes = start_processes(count, *COMMAND, "--out", run)
    deadline = time.monotonic() + 120
    while not list(run.glob("checkpoints/*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(chance.uniform(0, 3))
    while writing and not list(run.glob("checkpoints/.*.tmp")) and processes[0].poll() is None:
        pass
    alive = processes[0].poll() is None
    for process in processes:
        process.kill()
    for process in processes:
        process.communicate()
    return alive


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, torch.Tensor]]:
    """The end of an uninterrupted run, by number of processes."""
    ends = {}
    for count in (1, 2):
        run = tmp_path_factory.mktemp(f"whole{count}")
        assert all(process.returncode == 0 for process in run_processes(count, *COMMAND, "--out", run))
        ends[count] = load_file(run / LAST)
    return ends


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", range(RUNS))
def test_a_killed_run_ends_as_if_it_had_not_been(
    number: int, tmp_path: Path, whole: dict[int, dict[str, torch.Tensor]]
) -> None:
    chance = random.Random(number)
    count, writing, other = 1 + number // 2 % 2, number % 3 == 0, number % 2 == 1
    killed = sum(kill_at_a_moment(count, tmp_path, chance, writing) for _ in range(2))
    resumed = 3 - count if other else count
    done = run_processes(resumed, *COMMAND, "--out", tmp_path)
    assert all(process.returncode == 0 for process in done), [process.stderr for process in done]
    end, expected = load_file(tmp_path / LAST), whole[resumed]
    assert end.keys() == expected.keys()
    furthest = max(float((end[key].double() - expected[key].double()).abs().max()) for key in end)
    equal = all(torch.equal(end[key], expected[key]) for key in end)
    print(f"\n| {number} | {killed} | {'yes' if writing else 'no'} | {count} | {resumed} | {furthest:.1e} |", end="")
    assert not list(tmp_path.rglob(".*.tmp"))
    if not other:
        assert equal, f"differs by {furthest}"

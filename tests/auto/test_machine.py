import dataclasses
from pathlib import Path

import pytest
import torch

from biggan import machine
from biggan.auto import recipe_for
from biggan.auto.machine import OVERHEAD, Machine
from biggan.config import BigGANConfig, TrainConfig
from biggan.errors import UserError
from biggan.machine import container_limit, parse_size
from biggan.plan import drawing_peak, peak, resident
from biggan.sampling import STATISTICS_BATCH_SIZE

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("text", "size"), [("2G", 2**31), ("1.5 gb", 3 * 2**29), ("800M", 800 * 2**20), ("12345", 12345), ("1GiB", 2**30)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["much", "", "-1G", "0", "1..2G"])
def test_a_size_that_is_none_is_named(text: str) -> None:
    with pytest.raises(UserError, match="is not a size such as 2G or 800M"):
        parse_size(text)


def test_the_environment_simulates_a_smaller_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Machine(CPU).memory
    assert 0 < whole < 2**45
    monkeypatch.setattr(machine, "resident", lambda: 300 * 2**20)
    monkeypatch.setenv("BIGGAN_MEMORY", "500M")
    assert Machine(CPU).memory == 200 * 2**20
    monkeypatch.setenv("BIGGAN_MEMORY", "100M")
    assert Machine(CPU).memory == 0


def test_a_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    write("memory.max", "max\n")
    write("a/memory.max", "3000000000\n")
    write("a/b/memory.max", "4000000000\n")
    assert container_limit(tmp_path, "0::/a/b") == 3_000_000_000        # a parent's limit holds too
    write("memory/c/memory.limit_in_bytes", "2000000000\n")
    write("memory/memory.limit_in_bytes", "9223372036854771712\n")      # version 1's "none"
    assert container_limit(tmp_path, "4:memory:/c\n2:cpu:/\n0::/") == 2_000_000_000
    assert container_limit(tmp_path, "4:memory:/\n0::/") is None
    monkeypatch.setattr(machine, "container_limit", lambda: 700 * 2**20)
    monkeypatch.setattr(machine, "resident", lambda: 300 * 2**20)
    assert Machine(CPU).memory == 400 * 2**20


def test_memory_is_that_of_the_plan_or_of_the_previews(tiny: BigGANConfig, tiny_train: TrainConfig) -> None:
    def foreseen(network: BigGANConfig, batch: int, micro: int = 0) -> int:
        return Machine(CPU).bytes((network, dataclasses.replace(tiny_train, batch_size=batch, microbatch_size=micro)))

    larger = dataclasses.replace(tiny, resolution=16, z_dim=9, g_ch=8, d_ch=8)
    tensors = peak(larger, dataclasses.replace(tiny_train, batch_size=64), 64, bf16=False)
    assert foreseen(larger, 64) == OVERHEAD + resident(tensors)
    assert foreseen(larger, 64, micro=8) < foreseen(larger, 64)
    drawing = drawing_peak(larger, STATISTICS_BATCH_SIZE)
    assert foreseen(larger, 2) == OVERHEAD + resident(drawing)         # previews draw 64 at once, whatever the batch


def test_weights_too_large_for_the_machine_are_not_even_made() -> None:
    before = machine.resident()
    wide = BigGANConfig(resolution=8, z_dim=40, g_ch=1024, d_ch=1024, g_attention=(), d_attention=())
    assert Machine(CPU).bytes((wide, TrainConfig(batch_size=2))) > 2**31
    assert machine.resident() - before < 2**29


def test_an_iteration_is_timed(tiny: BigGANConfig, tiny_train: TrainConfig) -> None:
    before = torch.get_rng_state()
    assert 0 < Machine(CPU).seconds((tiny, tiny_train)) < 10
    assert torch.equal(torch.get_rng_state(), before)


def test_long_work_is_timed_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    assert 0 <= machine.median_seconds(lambda: calls.append(1), CPU) < 1
    assert len(calls) == 1 + machine.TIMED
    monkeypatch.setattr(machine, "PATIENCE", 0.0)
    machine.median_seconds(lambda: calls.append(1), CPU)
    assert len(calls) == 1 + machine.TIMED + 2


def test_several_processes_are_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="let it choose with --dry-run"):
        recipe_for({"data": "digits"}, 1)
    monkeypatch.delenv("WORLD_SIZE")
    with pytest.raises(UserError, match="leave one of the two out"):
        recipe_for({"data": "digits", "init": "x"}, 1)

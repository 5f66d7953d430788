from pathlib import Path

import pytest
import torch

from biggan.checkpoint import (
    Retention,
    best_checkpoint,
    checkpoint_files,
    clock_of,
    discard_after,
    load_newest,
    ring,
    save_checkpoint,
)
from biggan.config import BigGANConfig
from biggan.errors import UserError
from biggan.state import TrainState, new_state


@pytest.fixture
def state(tiny: BigGANConfig) -> TrainState:
    return new_state(tiny, 0, torch.device("cpu"))


def save_at(run: Path, state: TrainState, clock: int, retention: Retention, **metrics: float) -> None:
    state.images_seen = clock
    save_checkpoint(run, state, retention, metrics)


def clocks(run: Path) -> list[int]:
    return [clock_of(path) for path in checkpoint_files(run)]


def test_everything_that_resuming_needs_comes_back(tmp_path: Path, state: TrainState, tiny: BigGANConfig) -> None:
    state.lecam.copy_(torch.tensor([1.5, -2.5]))
    state.signals = [{"images_seen": 8.0, "G.linear.s0": 1.25}]
    state.rollbacks = [{"from": 80, "to": 8, "kind": "weights", "diagnosis": "it exploded"}]
    for parameter in state.G.parameters():
        state.g_optimizer.state[parameter]["exp_avg"].fill_(3)
    save_at(tmp_path, state, 8, Retention())
    other = new_state(tiny, 1, torch.device("cpu"))
    assert load_newest(tmp_path, other, lambda line: None)
    assert (other.images_seen, other.signals, other.rollbacks) == (8, state.signals, state.rollbacks)
    assert other.tensors().keys() == state.tensors().keys()
    assert all(torch.equal(value, other.tensors()[key]) for key, value in state.tensors().items())


@pytest.mark.parametrize("place", [0.3, 0.7, 0.999])
def test_one_flipped_bit_anywhere_is_found(tmp_path: Path, state: TrainState, place: float) -> None:
    save_at(tmp_path, state, 8, Retention())
    save_at(tmp_path, state, 16, Retention())
    path = checkpoint_files(tmp_path)[-1]
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 0x10
    path.write_bytes(content)
    lines: list[str] = []
    assert load_newest(tmp_path, state, lines.append)
    assert state.images_seen == 8
    assert len(lines) == 1
    assert f"{path} is damaged" in lines[0]


def test_a_changed_clock_is_found(tmp_path: Path, state: TrainState) -> None:
    save_at(tmp_path, state, 8, Retention())
    (path,) = checkpoint_files(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"images_seen":"8"', b'"images_seen":"9"'))
    with pytest.raises(UserError, match=r"no checkpoint of .* can be read"):
        load_newest(tmp_path, state, lambda line: None)


def test_the_newest_are_kept(tmp_path: Path, state: TrainState) -> None:
    for clock in range(0, 80, 8):
        save_at(tmp_path, state, clock, Retention(newest=3))
    assert clocks(tmp_path) == [56, 64, 72]


def test_a_young_runs_ring_lies_over_all_of_it(tmp_path: Path) -> None:
    retention, kept = Retention(newest=2, span=160_000, ring=4), [tmp_path / "0.safetensors"]
    for clock in range(16, 5000, 16):
        kept.append(tmp_path / f"{clock}.safetensors")
        keep = ring(kept, retention) | set(kept[-2:])
        kept = [path for path in kept if path in keep]
        clocks = [int(path.stem) for path in kept]
        assert clocks[0] == 0
        assert len(clocks) <= 2 * 4 + 1 + 2
        assert clock < 64 or any(clock / 5 <= old <= clock / 2 for old in clocks), (clock, clocks)


def test_a_ring_reaches_back_its_whole_span(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    retention = Retention(newest=2, span=400, ring=4)
    for clock in range(0, 3000, 30):
        (folder / f"{clock:012d}.safetensors").touch()
        files = checkpoint_files(tmp_path)
        keep = ring(files, retention) | set(files[-2:])
        for path in set(files) - keep:
            path.unlink()
        reach = clock - min(clocks(tmp_path))
        assert reach >= min(400, clock), clock
        assert len(clocks(tmp_path)) <= 2 + 4 + 3


def test_the_best_by_a_metric_is_kept_and_lower_fid_is_better(tmp_path: Path, state: TrainState) -> None:
    values = {8: 30.0, 16: 10.0, 24: 20.0, 32: 40.0, 40: 50.0}
    for clock, value in values.items():
        save_at(tmp_path / "fid", state, clock, Retention(newest=1, metric="fid"), fid=value)
        save_at(tmp_path / "recall", state, clock, Retention(newest=1, metric="recall"), recall=-value)
    assert clocks(tmp_path / "fid") == clocks(tmp_path / "recall") == [16, 40]
    best = best_checkpoint(tmp_path / "fid", "fid")
    assert best is not None
    assert clock_of(best) == 16
    assert best_checkpoint(tmp_path / "fid", "recall") is None


def test_a_run_that_went_back_leaves_no_future(tmp_path: Path, state: TrainState) -> None:
    for clock in (8, 16, 24, 32):
        save_at(tmp_path, state, clock, Retention(newest=9))
    assert load_newest(tmp_path, state, lambda line: None, before=20)
    assert state.images_seen == 16
    discard_after(tmp_path, 16)
    assert clocks(tmp_path) == [8, 16]

from pathlib import Path

import pytest
import torch
from conftest import Watcher

from biggan import BigGAN, BigGANConfig, TrainConfig, UserError, progress
from biggan.checkpoint import checkpoint_files
from biggan.data import LabelledImages
from biggan.opening import open_model
from biggan.pictures import Picture, draw
from biggan.training import train


@pytest.fixture
def run(
    tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages, tmp_path: Path, watcher: Watcher
) -> Path:
    train(tiny, tiny_train, tiny_digits, tmp_path / "run", watcher)
    return tmp_path / "run"


def test_a_runs_last_checkpoint_is_its_export(run: Path) -> None:
    pictures = [Picture(seed, {seed: 1.0}) for seed in range(6)]
    first, last = checkpoint_files(run)
    exported = open_model(run)
    assert torch.equal(draw(exported, pictures), draw(BigGAN.from_pretrained(run / "export"), pictures))
    opened = open_model(last)
    assert (opened.class_names, opened.config, opened.D) == (exported.class_names, exported.config, None)
    assert torch.equal(draw(opened, pictures), draw(exported, pictures))
    assert not torch.equal(draw(open_model(first), pictures), draw(exported, pictures))


def test_measuring_tells_how_far_it_is(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setattr(progress, "PART", 0.0)
    lines: list[str] = []
    open_model(checkpoint_files(run)[0], report=lines.append)
    assert len(lines) == 16
    assert lines[-1].startswith("batch statistics of 000000000032.safetensors: 16 of 16 passes, ")
    assert lines[-1].endswith("ETA 0:00:00")


def test_what_is_no_checkpoint_of_a_run_is_named(run: Path, tmp_path: Path) -> None:
    (last,) = checkpoint_files(run)[-1:]
    with pytest.raises(UserError, match="is neither a run nor an export"):
        open_model(tmp_path / "nothing")
    stray = tmp_path / "stray.safetensors"
    stray.write_bytes(last.read_bytes())
    with pytest.raises(UserError, match=r"stray\.safetensors is not a checkpoint in a run's folder"):
        open_model(stray)
    last.write_bytes(b"damaged")
    with pytest.raises(UserError, match="damaged"):
        open_model(last)
    last.write_bytes((run / "export" / "model.safetensors").read_bytes())
    with pytest.raises(UserError, match="does not fit its configuration"):
        open_model(last)

import dataclasses
import json
import os
import signal
import threading
from pathlib import Path

import pytest
import torch
from conftest import Watcher
from safetensors.torch import load_file

from biggan import BigGAN
from biggan.checkpoint import Retention, checkpoint_files, load_newest, save_checkpoint
from biggan.config import BigGANConfig, TrainConfig
from biggan.data import LabelledImages
from biggan.errors import UserError
from biggan.feed import discriminator_batches, generator_batches
from biggan.state import new_state
from biggan.training import read_yaml, resolve_bf16, resolve_device, train


def newest(run: Path) -> dict[str, torch.Tensor]:
    """The newest checkpoint's tensors, in memory of their own: the file may be damaged next."""
    return {key: value.clone() for key, value in load_file(checkpoint_files(run)[-1]).items()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


class Stopper(Watcher):
    """Sends this process a signal at a clock."""

    def __init__(self, at: int, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.at, self.number = at, number

    def progress(self, images_seen: int, images: int, metrics: dict[str, float]) -> None:
        super().progress(images_seen, images, metrics)
        if images_seen == self.at:
            os.kill(os.getpid(), self.number)


def test_a_run_leaves_what_it_promises(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages, watcher: Watcher
) -> None:
    assert train(tiny, tiny_train, tiny_digits, tmp_path / "run", watcher)
    run = tmp_path / "run"
    assert watcher.clock == list(range(8, 65, 8))
    assert [p.name for p in checkpoint_files(run)] == ["000000000032.safetensors", "000000000064.safetensors"]
    assert sorted(p.name for p in (run / "previews").iterdir()) == ["000000000032.png", "000000000064.png"]
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["images_seen"] for line in log] == [16, 32, 48, 64]
    assert log[-1].keys() == {
        "images_seen", "step", "d_loss", "d_loss_real", "d_loss_fake", "real_logits", "fake_logits",
        "real_accuracy", "fake_accuracy", "g_loss", "saturation", "images_per_second", "data_share",
    }  # fmt: skip
    saved = read_yaml(run / "config.yaml")
    assert (saved["resolution"], saved["batch_size"]) == (8, 8)
    model = BigGAN.from_pretrained(run)
    assert model.recipe["images_seen"] == 64
    assert model.class_names == tiny_digits.class_names
    assert torch.equal(model.G.linear.weight, newest(run)["G_ema.linear.weight"])
    assert model.generate(y="3", seed=0).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("at", [8, 40])
def test_a_stopped_and_resumed_run_is_bit_equal(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages, at: int, number: int
) -> None:
    train(tiny, tiny_train, tiny_digits, tmp_path / "whole", Watcher())
    assert not train(tiny, tiny_train, tiny_digits, tmp_path / "parts", Stopper(at, number))
    watcher = Watcher()
    assert train(tiny, tiny_train, tiny_digits, tmp_path / "parts", watcher)
    assert watcher.clock[0] == at + 16          # the step after the signal still finished
    assert equal(newest(tmp_path / "whole"), newest(tmp_path / "parts"))
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("whole", "parts")]
    whole, parts = ([{**json.loads(line), "images_per_second": 0, "data_share": 0} for line in log] for log in logs)
    assert [line for line in parts if line["images_seen"] % 16 == 0] == whole


def test_a_longer_run_continues_and_a_complete_one_does_nothing(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages
) -> None:
    train(tiny, tiny_train, tiny_digits, tmp_path / "whole", Watcher())
    short = dataclasses.replace(tiny_train, images=24)
    train(tiny, short, tiny_digits, tmp_path / "run", Watcher())
    train(tiny, tiny_train, tiny_digits, tmp_path / "run", Watcher())
    assert equal(newest(tmp_path / "whole"), newest(tmp_path / "run"))
    watcher = Watcher()
    assert train(tiny, tiny_train, tiny_digits, tmp_path / "run", watcher)
    assert watcher.clock == []


def test_another_configuration_or_other_data_is_refused(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages
) -> None:
    train(tiny, tiny_train, tiny_digits, tmp_path, Watcher())
    before = newest(tmp_path)
    for network, config, line in (
        (dataclasses.replace(tiny, g_lr=0.5), tiny_train, r"another configuration \(g_lr 0.001 -> 0.5\)"),
        (tiny, dataclasses.replace(tiny_train, seed=1, batch_size=16), r"batch_size 8 -> 16, seed 0 -> 1"),
    ):
        with pytest.raises(UserError, match=line):
            train(network, config, tiny_digits, tmp_path, Watcher())
    with pytest.raises(UserError, match=r"data of .* changed"):
        train(tiny, tiny_train, dataclasses.replace(tiny_digits, fingerprint="other"), tmp_path, Watcher())
    assert equal(before, newest(tmp_path))


def test_a_run_older_than_a_field_continues_at_its_default(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages
) -> None:
    train(tiny, tiny_train, tiny_digits, tmp_path, Watcher())
    config = tmp_path / "config.yaml"
    config.write_text("".join(line for line in config.open() if not line.startswith(("ema_ramp_up", "d_hidden"))))
    assert train(tiny, tiny_train, tiny_digits, tmp_path, Watcher())
    with pytest.raises(UserError, match=r"\(ema_ramp_up 0.05 -> 0.5\)"):
        config.write_text("".join(line for line in config.open() if not line.startswith("ema_ramp_up")))
        train(tiny, dataclasses.replace(tiny_train, ema_ramp_up=0.5), tiny_digits, tmp_path, Watcher())


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_used(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages
) -> None:
    train(tiny, tiny_train, tiny_digits, tmp_path, Watcher())
    whole = newest(tmp_path)
    damaged = checkpoint_files(tmp_path)[-1]
    damaged.write_bytes(damaged.read_bytes()[:5000])
    watcher = Watcher()
    assert train(tiny, tiny_train, tiny_digits, tmp_path, watcher)
    assert any(f"{damaged} is damaged" in line for line in watcher.lines)
    assert watcher.clock[0] == 40
    assert equal(whole, newest(tmp_path))


def test_a_full_disk_leaves_the_old_checkpoint(
    tmp_path: Path, tiny: BigGANConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = new_state(tiny, 0, torch.device("cpu"))
    state.images_seen = 8
    save_checkpoint(tmp_path, state, Retention(1))
    before = (tmp_path / "checkpoints" / "000000000008.safetensors").read_bytes()
    state.images_seen = 16

    def full(tensors: object, path: Path, metadata: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("biggan.checkpoint.save_file", full)
    with pytest.raises(UserError, match=r"cannot write .*000000000016.safetensors: No space left on device"):
        save_checkpoint(tmp_path, state, Retention(1))
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["000000000008.safetensors"]
    assert (tmp_path / "checkpoints" / "000000000008.safetensors").read_bytes() == before


def test_a_checkpoint_of_another_architecture_is_not_loaded(tmp_path: Path, tiny: BigGANConfig) -> None:
    save_checkpoint(tmp_path, new_state(tiny, 0, torch.device("cpu")), Retention(1))
    other = new_state(dataclasses.replace(tiny, g_ch=3), 0, torch.device("cpu"))
    with pytest.raises(UserError, match=r"no checkpoint of .* can be read"):
        load_newest(tmp_path, other, lambda line: None)


def test_batches_are_functions_of_the_clock_and_not_of_the_micro_batch(
    tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages
) -> None:
    state = new_state(tiny, 0, torch.device("cpu"))
    state.images_seen = 24
    config = dataclasses.replace(tiny_train, d_steps=2, flip=True)
    small = dataclasses.replace(config, microbatch_size=2)
    for d_step in range(2):
        (whole,) = discriminator_batches(state, config, tiny_digits, d_step)
        parts = discriminator_batches(state, small, tiny_digits, d_step)
        assert len(parts) == 4
        for name in ("x", "y", "z", "fake_y"):
            assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in parts])), name
    (whole_g,) = generator_batches(state, config)
    assert torch.equal(whole_g.z, torch.cat([part.z for part in generator_batches(state, small)]))


def test_consecutive_d_steps_and_clocks_share_no_latent_or_image(
    tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages
) -> None:
    state = new_state(tiny, 0, torch.device("cpu"))
    config = dataclasses.replace(tiny_train, d_steps=2)
    seen = []
    for clock in (0, 8, 16):
        state.images_seen = clock
        seen += [discriminator_batches(state, config, tiny_digits, d_step)[0] for d_step in range(2)]
    z = torch.cat([batch.z for batch in seen])
    assert len(torch.unique(z, dim=0)) == len(z) == 48


def test_flipping_mirrors_about_half(tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages) -> None:
    state = new_state(tiny, 0, torch.device("cpu"))
    plain = dataclasses.replace(tiny_train, batch_size=400)
    (a,) = discriminator_batches(state, plain, tiny_digits, 0)
    (b,) = discriminator_batches(state, dataclasses.replace(plain, flip=True), tiny_digits, 0)
    same = (a.x == b.x).flatten(1).all(1)
    mirrored = (a.x == b.x.flip(3)).flatten(1).all(1)
    assert bool((same | mirrored).all())
    assert 0.4 < float(mirrored.double().mean()) < 0.6


def test_diverged_losses_stop_the_run_with_the_checkpoint_kept(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages
) -> None:
    train(tiny, dataclasses.replace(tiny_train, images=32), tiny_digits, tmp_path, Watcher())
    state = new_state(tiny, 0, torch.device("cpu"))
    load_newest(tmp_path, state, lambda line: None)
    with torch.no_grad():
        state.G.linear.weight.fill_(float("nan"))
    save_checkpoint(tmp_path, state, Retention(2))
    kept = checkpoint_files(tmp_path)
    with pytest.raises(UserError, match="training diverged"):
        train(tiny, tiny_train, tiny_digits, tmp_path, Watcher())
    assert checkpoint_files(tmp_path) == kept


def test_training_works_outside_the_main_thread(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages
) -> None:
    result: list[bool] = []
    thread = threading.Thread(
        target=lambda: result.append(train(tiny, tiny_train, tiny_digits, tmp_path, Watcher()))
    )
    thread.start()
    thread.join()
    assert result == [True]


def test_devices_that_are_not_there_are_named() -> None:
    with pytest.raises(UserError, match="--device warp is not available"):
        resolve_device("warp")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="--device cuda is not available"):
            resolve_device("cuda")
    assert resolve_bf16("bf16", torch.device("cpu"))
    assert not resolve_bf16("fp32", torch.device("cpu"))

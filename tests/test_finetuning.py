import dataclasses
import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Watcher
from safetensors.torch import load_file
from test_training import Stopper, equal, newest

from biggan import BigGAN, finetuning
from biggan.config import BigGANConfig, TrainConfig
from biggan.convert import files
from biggan.data import LabelledImages, open_dataset
from biggan.errors import UserError
from biggan.finetuning import class_mix, freeze, load_start, recipe_from, shared_out
from biggan.metrics import classifier
from biggan.presets import preset
from biggan.state import new_state
from biggan.training import iterate, train


def some_classes(data: LabelledImages, labels: list[int]) -> LabelledImages:
    """The images of a few classes, under their old names."""
    rows = np.flatnonzero(np.isin(data.labels, labels))
    y = np.searchsorted(labels, data.labels[rows]).astype(np.int64)
    names = tuple(data.class_names[label] for label in labels)
    return LabelledImages(data.images[rows], y, names, "some digits", f"digits {labels}")


@pytest.fixture
def trained(tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages) -> Path:
    """A run of all ten digits."""
    train(tiny, tiny_train, tiny_digits, tmp_path / "trained", Watcher())
    return tmp_path / "trained"


@pytest.fixture
def config(tiny_train: TrainConfig, trained: Path) -> TrainConfig:
    return dataclasses.replace(tiny_train, init=str(trained))


@pytest.fixture
def two(tiny_digits: LabelledImages) -> LabelledImages:
    return some_classes(tiny_digits, [3, 8])


def test_a_run_begins_with_the_weights_given_and_fresh_optimizers(
    tiny: BigGANConfig, config: TrainConfig, two: LabelledImages, trained: Path, watcher: Watcher
) -> None:
    network = dataclasses.replace(tiny, num_classes=2)
    state = new_state(network, 5, torch.device("cpu"))
    finetuning.begin(state, config, two, watcher.message)
    given, checkpoint = BigGAN.from_pretrained(trained), newest(trained)
    for G in (state.G, state.G_ema):
        assert torch.equal(G.blocks[0].conv1.weight, given.G.blocks[0].conv1.weight)
        assert torch.equal(G.shared_embedding.weight, given.G.shared_embedding.weight[[3, 8]])
    assert torch.equal(state.D.blocks[0].conv1.weight, checkpoint["D.blocks.0.conv1.weight"])
    assert torch.equal(state.D.class_projection.weight, checkpoint["D.class_projection.weight"][[3, 8]])
    assert all(float(values["exp_avg_sq"].sum()) == 0 for values in state.g_optimizer.state.values())
    assert watcher.lines == ["class 3 begins as 3", "class 8 begins as 8"]


@pytest.mark.parametrize("at", [8, 40])
def test_a_fine_tuning_run_that_was_stopped_is_bit_equal(
    tmp_path: Path, tiny: BigGANConfig, config: TrainConfig, two: LabelledImages, trained: Path, at: int
) -> None:
    network = dataclasses.replace(tiny, num_classes=2)
    config = dataclasses.replace(config, freeze_d=8, freeze_g=8)
    train(network, config, two, tmp_path / "whole", Watcher())
    assert not train(network, config, two, tmp_path / "parts", Stopper(at, signal.SIGTERM))
    trained.rename(tmp_path / "gone")                       # a run that has a checkpoint needs its beginning no more
    assert train(network, config, two, tmp_path / "parts", Watcher())
    assert equal(newest(tmp_path / "whole"), newest(tmp_path / "parts"))
    assert json.loads((tmp_path / "parts/export/config.json").read_text())["recipe"]["init"] == str(trained)


def test_frozen_layers_keep_their_weights_and_the_others_learn(
    tiny: BigGANConfig, config: TrainConfig, two: LabelledImages
) -> None:
    network = dataclasses.replace(tiny, num_classes=2, resolution=16, z_dim=9, g_attention=(8, 16), d_attention=(8,))
    config = dataclasses.replace(config, freeze_d=16, freeze_g=16, g_ortho=1e-3, d_ortho=1e-3, g_clip=1, d_clip=1)
    data = dataclasses.replace(two, images=two.images.repeat(2, 2).repeat(2, 3))
    state = new_state(network, 0, torch.device("cpu"))
    freeze(state, config)
    before = {key: value.clone() for key, value in state.tensors().items()}
    iterate(state, config, data)
    moved = {name for name, parameter in state.G.named_parameters() if not torch.equal(parameter, before[f"G.{name}"])}
    learnt = {name for name, parameter in state.D.named_parameters() if not torch.equal(parameter, before[f"D.{name}"])}
    assert {name.split(".")[0] for name in moved} == {"shared_embedding", "linear", "blocks", "attention"}
    assert {name[:8] for name in moved if name.startswith("blocks")} == {"blocks.0"}
    assert {name[:11] for name in moved if name.startswith("attention")} == {"attention.0"}
    assert {name[:8] for name in learnt if name.startswith("blocks")} == {"blocks.1", "blocks.2", "blocks.3"}
    assert {"linear.weight", "class_projection.weight"} <= learnt


def test_freezing_counts_the_stem_and_the_blocks_of_a_stage(tiny: BigGANConfig) -> None:
    network = dataclasses.replace(
        tiny, architecture="biggan-deep", resolution=16, z_dim=9, skip_z="whole", linear_input="z+class"
    )
    state = new_state(network, 0, torch.device("cpu"))
    def blocks(parts: list[torch.nn.Module], of: torch.nn.ModuleList) -> list[int]:
        return [i for i, block in enumerate(of) if any(block is part for part in parts)]

    parts = list(finetuning.frozen_parts_of_d(state, 8))
    assert parts[0] is state.D.stem
    assert blocks(parts, state.D.blocks) == [0, 1, 2]       # 16 in; 8 in twice: the second block and the next stage
    assert blocks(list(finetuning.frozen_parts_of_g(state, 8)), state.G.blocks) == [1, 2, 3]
    assert list(finetuning.frozen_parts_of_d(state, 0)) == []


@pytest.mark.parametrize("others", ["mean", "fresh", "nearest", "mixed"])
def test_what_new_classes_begin_as(
    tiny: BigGANConfig, config: TrainConfig, tiny_digits: LabelledImages, monkeypatch: pytest.MonkeyPatch, others: str
) -> None:
    data = some_classes(tiny_digits, [0, 3, 8]).renamed(["three", "3", "eight"])
    model = BigGAN(tiny, tiny_digits.class_names).eval()
    likeness = torch.full((10, 3), 0.1, dtype=torch.float64)
    likeness[7, 2] = 0.9
    monkeypatch.setattr(finetuning, "class_likeness", lambda *_: likeness)
    config = dataclasses.replace(config, init_classes=("three=1+2",), init_others=others)
    mix, words = class_mix(model, config, data, lambda line: None)
    assert words[:2] == ["50% 1 + 50% 2", "3"]
    assert mix[0].nonzero().flatten().tolist() == [1, 2]
    assert words[2] == {
        "mean": "the mean of all 10 classes", "fresh": "a class at random", "nearest": "7",
        "mixed": "50% 7 + 6% 0 + 6% 1 + ...",
    }[others]  # fmt: skip


def test_the_likeness_of_classes_is_a_classifiers(
    tiny: BigGANConfig, tiny_digits: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "FEWEST", 5_000)
    monkeypatch.setattr(classifier, "MOST", 5_000)
    data = some_classes(tiny_digits, [2, 5, 6])
    model = BigGAN(dataclasses.replace(tiny, num_classes=3), ["six", "two", "five"])
    real = {0: 6, 1: 2, 2: 5}

    def draw(model: BigGAN, y: torch.Tensor, seeds: range) -> list[torch.Tensor]:
        rows = [tiny_digits.rows_by_class[real[int(label)]][k % 30] for k, label in enumerate(y)]
        return [tiny_digits.batch(np.array(rows))[0]]

    monkeypatch.setattr(finetuning, "sample", draw)
    likeness = finetuning.class_likeness(model, data, lambda line: None)
    assert likeness.argmax(0).tolist() == [1, 2, 0]
    torch.testing.assert_close(shared_out(likeness).sum(0), torch.ones(3, dtype=torch.float64))


def test_weights_without_a_discriminator_get_one(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, two: LabelledImages, watcher: Watcher
) -> None:
    BigGAN(tiny).save_pretrained(tmp_path / "export")
    config = dataclasses.replace(tiny_train, images=8, init=str(tmp_path / "export"))
    network = dataclasses.replace(tiny, num_classes=2, d_ch=3)
    assert train(network, config, two, tmp_path / "run", watcher)
    assert any("has no discriminator: D begins at random" in line for line in watcher.lines)
    with pytest.raises(UserError, match=r"--freeze-d keeps the discriminator of --init, and .* has none"):
        train(network, dataclasses.replace(config, freeze_d=4), two, tmp_path / "other", watcher)
    assert not (tmp_path / "other").exists()


def test_hugging_faces_weights_are_fine_tuned(
    tmp_path: Path, tiny_train: TrainConfig, watcher: Watcher
) -> None:
    package = pytest.importorskip("pytorch_pretrained_biggan")
    torch.manual_seed(0)
    layers = [[up, a, b] for a, b in ((16, 8), (8, 4), (4, 2), (2, 1)) for up, a, b in ((False, a, a), (True, a, b))]
    theirs = package.BigGAN(package.BigGANConfig(
        output_dim=64, z_dim=4, class_embed_dim=4, channel_width=4, num_classes=3, n_stats=3, layers=layers,
        attention_layer_position=99,
    ))  # fmt: skip
    torch.nn.init.ones_(theirs.generator.bn.weight)
    torch.nn.init.zeros_(theirs.generator.bn.bias)
    theirs(torch.randn(2, 4), torch.eye(3)[:2], 1.0)
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(theirs.config.to_json_string())
    files.convert("huggingface", tmp_path).save_pretrained(tmp_path / "export")
    network, config = recipe_from(str(tmp_path / "export"), (tiny_recipe := preset("digits")))
    assert (network.d_ch, network.g_lr, config.batch_size) == (network.g_ch, tiny_recipe[0].g_lr, 64)
    data = open_dataset("digits", resolution=network.resolution, channels=3)
    assert network.architecture == "biggan-deep"
    config = dataclasses.replace(tiny_train, images=8, init=config.init, init_others="mean", freeze_g=64)
    network = dataclasses.replace(network, num_classes=10, d_ch=4)
    assert train(network, config, data, tmp_path / "run", watcher)
    assert "class 7 begins as the mean of all 3 classes" in watcher.lines
    tuned, given = BigGAN.from_pretrained(tmp_path / "run"), BigGAN.from_pretrained(tmp_path / "export")
    assert torch.equal(tuned.G.output_conv.weight, given.G.output_conv.weight)
    assert tuned.generate("7", seed=0, truncation=0.5).shape == (1, 3, 64, 64)


def test_a_damaged_newest_checkpoint_gives_the_discriminator_before_it(trained: Path) -> None:
    files = sorted((trained / "checkpoints").iterdir())
    wanted = load_file(files[-2])["D.linear.weight"].clone()
    files[-1].write_bytes(files[-1].read_bytes()[:5000])
    lines: list[str] = []
    model = load_start(trained, lines.append)
    assert model.D is not None
    assert torch.equal(model.D.linear.weight, wanted)
    assert "is damaged and was passed over" in lines[0]


def test_the_recipe_is_the_weights_own_or_a_presets(trained: Path, tiny: BigGANConfig, tiny_train: TrainConfig) -> None:
    network, config = recipe_from(str(trained), None)
    assert network == tiny
    assert (config.batch_size, config.images, config.data) == (8, tiny_train.images, "")
    network, config = recipe_from(str(trained), preset("digits"))
    assert (network.resolution, network.g_ch, network.g_lr) == (8, 2, 2e-4)
    assert (config.batch_size, config.init) == (64, str(trained))


@pytest.mark.parametrize(
    ("network", "fields", "line"),
    [
        ({"g_ch": 4}, {}, "--g-ch 4 but the weights of {init} have 2; leave it out"),
        ({"d_ch": 4}, {}, "--d-ch 4 but the weights of {init} have 2"),
        ({"resolution": 16, "z_dim": 9}, {}, "--resolution 16 but the weights of {init} have 8"),
        ({}, {"init_classes": ("3=cat",)}, "unknown class 'cat'"),
        ({}, {"init_classes": ("cat=3",)}, "--init-classes names 'cat', which some digits does not have"),
        ({}, {"freeze_d": 16}, "--freeze-d 16 freezes nothing: images are 8 high"),
        ({}, {"init": "/does/not/exist"}, "is neither a run nor an export"),
    ],
)
def test_a_wrong_beginning_is_one_line_and_leaves_nothing(
    tmp_path: Path, tiny: BigGANConfig, config: TrainConfig, two: LabelledImages, trained: Path,
    network: dict[str, int], fields: dict[str, object], line: str,
) -> None:  # fmt: skip
    with pytest.raises(UserError, match=re.escape(line.format(init=trained))):
        train(
            dataclasses.replace(tiny, num_classes=2, **network), dataclasses.replace(config, **fields),
            two, tmp_path / "run", Watcher(),
        )  # fmt: skip
    assert not list((tmp_path / "run").glob("[!.]*"))


def test_a_run_does_not_begin_from_itself(
    tiny: BigGANConfig, config: TrainConfig, two: LabelledImages, trained: Path
) -> None:
    for path in (trained / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="is the run itself; give another --out"):
        train(dataclasses.replace(tiny, num_classes=2), config, two, trained, Watcher())


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"freeze_d": 8}, "--freeze-d is of use only with --init"),
        ({"init_classes": ("a=b",)}, "--init-classes is of use only with --init"),
        ({"init": "x", "init_classes": ("a",)}, "--init-classes a must be of the form new=old"),
        ({"init": "x", "freeze_g": -1}, "--freeze-g -1 must be at least 0"),
        ({"init_others": "best"}, "--init-others 'best' is not one of nearest, mixed, mean, fresh"),
    ],
)
def test_settings_of_a_beginning_that_make_no_sense(fields: dict[str, object], line: str) -> None:
    with pytest.raises(UserError, match=re.escape(line)):
        TrainConfig(**fields)  # type: ignore[arg-type]

import json
import shutil
from pathlib import Path

import pytest
import torch

import biggan
from biggan import BigGAN, BigGANConfig, LatentLaw
from biggan.errors import UserError
from biggan.sampling import prepare_law, sample, sheet, standing_statistics, to_uint8


@pytest.fixture
def model(tiny: BigGANConfig) -> BigGAN:
    made = BigGAN(tiny, [f"digit {i}" for i in range(10)])
    standing_statistics(made.G, 10, tiny.z_dim, batches=2)
    return made


def test_seed_001s_snippet(model: BigGAN) -> None:
    images = model.generate(y=torch.tensor([3] * 4), truncation=0.5)
    assert images.shape == (4, 1, 8, 8)
    assert images.dtype == torch.float32
    assert -1 <= float(images.min()) <= float(images.max()) <= 1
    z, y = torch.randn(1, 8), torch.tensor([1])
    assert torch.equal(model.generate(z=z, y=y), model.generate(z=z, y=y))


def test_the_package_exports_what_it_says() -> None:
    for name in biggan.__all__:
        assert getattr(biggan, name) is not None
    with pytest.raises(AttributeError, match="BigGan"):
        _ = biggan.BigGan  # type: ignore[attr-defined]


def test_an_image_depends_on_its_own_seed_only(model: BigGAN) -> None:
    whole = model.generate(y=[1, 2, 3, 4, 5], seed=10, batch_size=5)
    for batch_size in (1, 2):
        torch.testing.assert_close(model.generate(y=[1, 2, 3, 4, 5], seed=10, batch_size=batch_size), whole)
    torch.testing.assert_close(model.generate(y=[4], seed=13), whole[3:4])
    y = torch.tensor([1, 2, 3, 4, 5])
    for batch_size in (1, 3, 64):
        images = torch.cat(list(sample(model, y, range(10, 15), batch_size=batch_size)))
        assert torch.equal(images, to_uint8(whole))


def test_classes_by_number_name_and_text(model: BigGAN) -> None:
    assert model.class_indices(["digit 3", "DIGIT 4", "5", 6]).tolist() == [3, 4, 5, 6]
    assert model.class_indices(7).tolist() == [7]
    with pytest.raises(UserError, match=r"unknown class 'digit3'; did you mean 'digit 3'\?"):
        model.generate(y="digit3")
    with pytest.raises(UserError, match="class 10 is not one of the model's classes 0 to 9"):
        model.generate(y=10)
    with pytest.raises(UserError, match="class -1 is not"):
        model.generate(y=torch.tensor([-1, 2]))


def test_sizes_that_disagree_are_named(model: BigGAN) -> None:
    with pytest.raises(UserError, match="different numbers of images: y 2, z 3"):
        model.generate(y=[1, 2], z=torch.randn(3, 8))
    with pytest.raises(UserError, match=r"z has shape \(3, 9\); this model takes \(N, 8\)"):
        model.generate(z=torch.randn(3, 9))
    with pytest.raises(UserError, match="two different laws"):
        model.generate(truncation=0.5, threshold=0.5)
    assert len(model.generate(num=3)) == 3
    assert len(model.generate()) == 1


def test_generate_is_governed_by_torchs_seed_unless_given_one(model: BigGAN) -> None:
    torch.manual_seed(1)
    first = model.generate(num=2)
    torch.manual_seed(1)
    assert torch.equal(model.generate(num=2), first)
    assert not torch.equal(model.generate(num=2), first)


def test_generate_changes_neither_mode_nor_buffers(model: BigGAN) -> None:
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.generate(num=3, truncation=0.5)
    assert model.G.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_standing_statistics_are_those_of_the_law(model: BigGAN) -> None:
    law = LatentLaw("threshold", 0.1)
    before = {key: value.clone() for key, value in model.G.state_dict().items()}
    prepare_law(model, law)
    assert all(torch.equal(before[key], value) for key, value in model.G.state_dict().items())
    narrow = model.statistics[law]["blocks.0.bn1"][1]
    wide = model.G.blocks[0].bn1.running_var
    assert bool((narrow < wide).all())                  # hardly any z, less variance
    plain = model.generate(y=[1], seed=3, law=law)
    model.statistics.clear()
    assert not torch.equal(model.generate(y=[1], seed=3, law=law), plain)


def test_standing_statistics_keep_modes_and_singular_vectors(model: BigGAN) -> None:
    model.train()
    u = model.G.linear.u.clone()
    first = standing_statistics(model.G, 10, 8, batches=2)
    again = standing_statistics(model.G, 10, 8, batches=2)
    assert all(torch.equal(first[name][0], again[name][0]) for name in first)
    assert torch.equal(model.G.linear.u, u)
    assert all(module.training for module in model.G.modules())
    assert model.G.output_bn.momentum == 0.1


def test_an_export_draws_the_same_images(model: BigGAN, tmp_path: Path) -> None:
    model.recipe["data"] = "digits"
    model.save_pretrained(tmp_path / "export")
    loaded = BigGAN.from_pretrained(tmp_path / "export")
    assert loaded.config == model.config
    assert loaded.class_names == model.class_names
    assert loaded.recipe == {"data": "digits"}
    assert torch.equal(loaded.generate(y=[1, 2], seed=5), model.generate(y=[1, 2], seed=5))
    assert not loaded.training
    assert {p.name for p in (tmp_path / "export").iterdir()} == {"README.md", "config.json", "model.safetensors"}
    assert "digit 3" in (tmp_path / "export" / "README.md").read_text()


@pytest.mark.parametrize(
    "fault", ["nothing", "foreign", "no json", "no config", "truncated", "missing", "other width", "surplus"]
)
def test_a_wrong_export_is_one_line(model: BigGAN, tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "export"
    model.save_pretrained(folder)
    config, weights = folder / "config.json", folder / "model.safetensors"
    if fault == "nothing":
        shutil.rmtree(folder)
        line = "is neither a run nor an export"
    elif fault == "foreign":
        config.write_text(json.dumps({"model_type": "bert"}))
        line = "is not of a biggan export"
    elif fault == "no json":
        config.write_text("{")
        line = "(char 1); export the model again"
    elif fault == "no config":
        config.write_text(json.dumps({"format": "biggan-export-1"}))
        line = "config.json is damaged (it has no config); export the model again"
    elif fault == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
        line = "model.safetensors is damaged or missing"
    elif fault == "missing":
        weights.unlink()
        line = "model.safetensors is damaged or missing"
    else:
        content = json.loads(config.read_text())
        content["config"]["g_ch" if fault == "other width" else "resolution"] = 4 if fault == "other width" else 4 * 4
        content["config"]["z_dim"] = 8 if fault == "other width" else 12
        config.write_text(json.dumps(content))
        line = "does not fit its configuration"
    with pytest.raises(UserError) as error:
        BigGAN.from_pretrained(folder)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_loading_does_not_move_the_global_generator(model: BigGAN, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    before = torch.get_rng_state()
    BigGAN.from_pretrained(tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sheets_of_any_channels(channels: int) -> None:
    rows = [torch.full((2, channels, 8, 8), 255 * i, dtype=torch.uint8) for i in range(2)]
    picture = sheet(rows, ["black", "white"], scale=2)
    assert picture.mode == "RGB"
    assert picture.getpixel((picture.width - 8, picture.height - 8)) == (255, 255, 255)

"""Batch statistics by truncation: the table, its place in a model and in an export, and sampling from it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from biggan.config import BigGANConfig
from biggan.errors import UserError
from biggan.latents import LatentLaw
from biggan.model import BigGAN, batch_statistics
from biggan.sampling import add_statistics, prepare_law, sample, standing_statistics
from biggan.truncation import TruncationTable

CONFIG = {"resolution": 16, "num_classes": 3, "z_dim": 12, "shared_dim": 5, "g_ch": 4, "d_ch": 2,
          "g_attention": (), "d_attention": ()}  # fmt: skip


@pytest.fixture
def model():
    torch.manual_seed(0)
    return BigGAN(BigGANConfig(**CONFIG)).eval()


def table(values):
    rows = torch.tensor(values, dtype=torch.float64)[:, None]
    return TruncationTable(values, {"a": rows * 10}, {"a": rows + 1})


def test_a_row_is_taken_as_it_is_and_between_rows_it_is_linear():
    t = table([0.0, 0.2, 1.0])
    assert t.at(0.2)["a"][0].item() == 2.0
    assert t.at(0.4)["a"][0].item() == pytest.approx(4.0)
    assert t.at(0.9)["a"][1].item() == pytest.approx(1.9)
    assert t.at(1.0 + 1e-9)["a"][0].item() == 10.0
    with pytest.raises(UserError, match="from 0 to 1"):
        t.at(1.1)


@given(st.floats(0.001, 1.0))
def test_interpolation_of_a_linear_table_is_the_identity_and_huggingfaces_is_its_mirror(value):
    t = table([k / 50 for k in range(51)])
    assert t.at(value)["a"][0].item() == pytest.approx(value * 10, abs=1e-4)
    theirs = t.at(value, exact_huggingface=True)["a"][0].item() / 10
    assert abs(theirs - value) <= 0.02 + 1e-9


def test_huggingfaces_rows_and_weights():
    t = table([k / 50 for k in range(51)])
    for value, row in ((0.995, 49.25), (0.449, 22.55), (0.14, 8), (0.28, 15), (0.58, 28), (0.4, 20), (1.0, 50)):
        assert t.at(value, exact_huggingface=True)["a"][0].item() == pytest.approx(row / 5, abs=1e-6)
    with pytest.raises(UserError, match="equal steps"):
        table([0.1, 1.0]).at(0.5, exact_huggingface=True)


def test_statistics_are_measured_for_every_law_and_leave_the_model_as_it_was(model):
    before = batch_statistics(model.G)
    laws = [LatentLaw("truncation", t) for t in (0.2, 1.0, 0.6)] + [LatentLaw("threshold", 0.5)]
    add_statistics(model, laws, batches=2, batch_size=8)
    for name, (mean, variance) in batch_statistics(model.G).items():
        assert torch.equal(mean, before[name][0])
        assert torch.equal(variance, before[name][1])
    assert model.truncation_tables["truncation"].values == [0.2, 0.6, 1.0]
    assert model.truncation_tables["threshold"].values == [0.5]
    wanted = standing_statistics(model.G, 3, 12, laws[2], batches=2, batch_size=8)
    for name, (mean, _) in model.statistics_for(laws[2]).items():
        assert torch.equal(mean, wanted[name][0])
    add_statistics(model, [LatentLaw("truncation", 0.4)], batches=1, batch_size=8)
    assert model.truncation_tables["truncation"].values == [0.2, 0.4, 0.6, 1.0]
    with pytest.raises(UserError, match="model's own"):
        add_statistics(model, [LatentLaw()])


def test_sampling_takes_the_row_and_computes_none_of_its_own(model):
    law = LatentLaw("truncation", 0.5)
    plain = model.generate([0], seed=1, law=law)
    add_statistics(model, [LatentLaw("truncation", t) for t in (0.4, 0.6)], batches=2, batch_size=8)
    prepare_law(model, law)
    assert not model.statistics
    assert not torch.equal(model.generate([0], seed=1, law=law), plain)
    prepare_law(model, LatentLaw("truncation", 0.9))
    assert list(model.statistics) == [LatentLaw("truncation", 0.9)]
    assert len(list(sample(model, torch.tensor([0, 1]), [5, 6], law))) == 1


def test_an_export_carries_them(model, tmp_path):
    add_statistics(model, [LatentLaw("truncation", t) for t in (0.5, 1.0)], batches=1, batch_size=8)
    add_statistics(model, [LatentLaw("threshold", 0.7)], batches=1, batch_size=8)
    model.save_pretrained(tmp_path)
    again = BigGAN.from_pretrained(tmp_path)
    for settings in ({"truncation": 0.5}, {"truncation": 0.8}, {"threshold": 0.7}, {}):
        assert torch.equal(again.generate([0, 1], seed=3, **settings), model.generate([0, 1], seed=3, **settings))
    model.truncation_tables = {}
    model.save_pretrained(tmp_path)
    assert not (tmp_path / "statistics.safetensors").exists()
    assert not BigGAN.from_pretrained(tmp_path).truncation_tables


def test_statistics_of_another_model_are_refused(model, tmp_path):
    add_statistics(model, [LatentLaw("truncation", 0.5)], batches=1, batch_size=8)
    model.save_pretrained(tmp_path / "a")
    BigGAN(BigGANConfig(**CONFIG | {"g_ch": 6})).save_pretrained(tmp_path / "b")
    (tmp_path / "a" / "statistics.safetensors").rename(tmp_path / "b" / "statistics.safetensors")
    with pytest.raises(UserError, match="does not belong"):
        BigGAN.from_pretrained(tmp_path / "b")


def test_exact_huggingface_needs_a_table(model):
    with pytest.raises(UserError, match="needs stored statistics"):
        model.generate([0], seed=1, truncation=0.5, exact_huggingface=True)


def test_a_model_card_has_metrics_and_recipe(model, tmp_path):
    model.metrics = {"fid": 12.5}
    model.recipe = {"images_seen": 99}
    model.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "| fid | 12.5 |" in card
    assert '"images_seen": 99' in card
    assert BigGAN.from_pretrained(tmp_path).metrics == {"fid": 12.5}

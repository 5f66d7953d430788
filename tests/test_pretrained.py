"""The model in the package."""

from pathlib import Path

import pytest
import torch

from biggan import BigGAN, pretrained
from biggan.errors import UserError
from biggan.latents import LatentLaw


def test_a_model_of_the_package_is_opened_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fashion").mkdir()                  # where `biggan sample fashion --sheet` writes
    model = BigGAN.from_pretrained("fashion")
    assert model.class_names[1] == "trouser"
    assert {p.dtype for p in model.G.parameters()} == {torch.float32}
    images = model.generate(y=["trouser", "bag"], seed=0, threshold=0.5)
    assert images.shape == (2, 1, 32, 32)
    trouser, bag = (images > -0.5).float().mean(dim=(1, 2, 3))
    assert 0.05 < trouser < bag < 0.9               # a bag is wider
    assert model.statistics_for(LatentLaw("threshold", 0.5)) is not None


def test_a_run_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = BigGAN.from_pretrained("fashion")
    model.rename_classes([f"mine {k}" for k in range(10)])
    model.save_pretrained("fashion")
    assert BigGAN.from_pretrained("fashion").class_names[0] == "mine 0"


def test_unknown_names_are_told_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"fashoin is neither a run nor an export .* nor a model of the package \(fash"):
        BigGAN.from_pretrained("fashoin")


def test_the_package_stays_small() -> None:
    for name in pretrained.names():
        folder = pretrained.FOLDER / name
        assert sum(path.stat().st_size for path in folder.iterdir()) < 8e6, name


def test_half_precision_is_half_the_size(tmp_path: Path) -> None:
    model = BigGAN.from_pretrained("fashion")
    model.save_pretrained(tmp_path / "full")
    model.save_pretrained(tmp_path / "half", dtype=torch.bfloat16)
    full, half = ((tmp_path / size / "model.safetensors").stat().st_size for size in ("full", "half"))
    assert half < 0.6 * full
    again = BigGAN.from_pretrained(tmp_path / "half")
    for (key, value), other in zip(model.G.state_dict().items(), again.G.state_dict().values(), strict=True):
        assert torch.equal(value, other), key       # it was rounded before

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from biggan import BigGAN, files, sampling
from biggan.config import BigGANConfig
from biggan.errors import UserError
from biggan.latents import LatentLaw
from biggan.networks.layers import SpectralNorm


@pytest.fixture
def model(tiny: BigGANConfig) -> BigGAN:
    torch.manual_seed(0)
    return BigGAN(tiny).eval()


def test_files_hold_the_images_whoever_writes_them(model: BigGAN, tmp_path: Path) -> None:
    sampling.save_files(model, LatentLaw(), [3, 7], 13, 5, 4, tmp_path, precision="fp32")
    paths = sorted(tmp_path.iterdir(), key=lambda path: path.stem[-6:])
    assert [path.name for path in paths] == [f"{'37'[k % 2]}_seed{5 + k:06d}.png" for k in range(13)]
    expected = model.generate([3, 7] * 6 + [3], seed=5)
    for path, image in zip(paths, sampling.to_uint8(expected), strict=True):
        assert np.array_equal(np.asarray(Image.open(path)), image[0].numpy())


def test_a_file_that_cannot_be_written_ends_the_drawing(model: BigGAN, tmp_path: Path) -> None:
    (tmp_path / "3_seed000002.png").mkdir()
    with pytest.raises(UserError, match=r"3_seed000002\.png"):
        sampling.save_files(model, LatentLaw(), [3], 100, 0, 4, tmp_path, precision="fp32")
    assert len(list(tmp_path.iterdir())) < 100
    assert not list(tmp_path.glob("*.tmp"))


def test_writers_in_threads_keep_the_mask_of_permissions(tmp_path: Path) -> None:
    before = files._umask()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: files.write_text(tmp_path / str(k), "x"), range(200)))
    assert files._umask() == before


@pytest.mark.parametrize("bf16", [False, True])
def test_drawing_in_batches_shares_weights_and_changes_nothing(model: BigGAN, bf16: bool) -> None:
    y = torch.arange(6)
    once = sampling.to_uint8(model.generate(y, seed=0, batch_size=2, bf16=bf16))
    drawn = sampling.sample(model, y, range(6), batch_size=2, precision="bf16" if bf16 else "fp32")
    first = next(drawn)
    assert not torch.is_autocast_enabled("cpu")         # the consumer's arithmetic is its own
    assert torch.equal(torch.cat([first, *drawn]), once)
    assert all(layer.folded is None for layer in model.G.modules() if isinstance(layer, SpectralNorm))


def test_bf16_is_taken_only_where_it_is_close(model: BigGAN, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "has_bf16", lambda device: True)
    assert sampling.bf16_is_close(model)
    exact = model.generate(torch.arange(4), seed=0)
    monkeypatch.setattr(model, "generate", lambda y, seed, bf16: exact + 2.1 / 255 * bf16)
    assert not sampling.bf16_is_close(model)
    monkeypatch.setattr(model, "generate", lambda y, seed, bf16: exact + 1.9 / 255 * bf16)
    assert sampling.bf16_is_close(model)
    monkeypatch.setattr(sampling, "has_bf16", lambda device: False)
    assert not sampling.bf16_is_close(model)


def test_the_batch_fits_the_memory(model: BigGAN, monkeypatch: pytest.MonkeyPatch) -> None:
    an_image = 6 * 4 * model.config.g_channels[-1] * 8 * 8
    for available, expected in ((10**12, 64), (4 * 10 * an_image, 10), (0, 1)):
        monkeypatch.setattr(sampling, "available_memory", lambda device, bytes_=available: bytes_)
        assert sampling.fitting_batch_size(model) == expected

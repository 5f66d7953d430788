import hashlib
import io
import json
import pickle
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import inception_oracle as oracle
import pytest
import torch

from biggan.errors import UserError
from biggan.metrics import inception_weights
from biggan.metrics.inception import CLASSES, LAYERS, Inception, resize_like_tensorflow, to_rgb
from biggan.metrics.inception_weights import NAME, find_weights, load_inception, load_weights


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return oracle.random_weights()


@pytest.fixture
def standard(tmp_path: Path, weights: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of random weights that counts as the standard one."""
    path = tmp_path / "given.pth"
    torch.save(weights, path)
    monkeypatch.setattr(inception_weights, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return path


def seen_by(network: Inception, layer: str) -> torch.Tensor:
    if layer == "logits":
        return network(oracle.images()).logits
    network.layer = layer
    return network(oracle.images()).features


def test_it_computes_what_torch_fidelity_computed(weights: dict[str, torch.Tensor]) -> None:
    recorded = json.loads(oracle.RECORDED.read_text())
    network = Inception()
    network.load_state_dict(weights)
    for layer in oracle.LAYERS:
        shown = torch.tensor(oracle.spread(seen_by(network, layer)))
        torch.testing.assert_close(shown, torch.tensor(recorded[layer]), rtol=1e-4, atol=1e-4, msg=layer)


@pytest.mark.skipif(not oracle.available(), reason="torch-fidelity is not installed: it drags torchvision in")
def test_it_computes_what_torch_fidelity_computes(weights: dict[str, torch.Tensor]) -> None:
    network = Inception()
    network.load_state_dict(weights)
    for layer, theirs in oracle.theirs(weights, oracle.images()).items():
        torch.testing.assert_close(seen_by(network, layer), theirs, rtol=1e-6, atol=1e-6, msg=layer)
    theirs = oracle.import_theirs("interpolate_compat_tensorflow").interpolate_bilinear_2d_like_tensorflow1x
    for size in ((8, 8), (32, 40), (300, 512)):
        x = oracle.images(size).float()
        assert torch.equal(resize_like_tensorflow(x), theirs(x, size=(299, 299), align_corners=False))


def test_the_resize_is_tensorflows() -> None:
    """Output pixel i is at i * inputs / outputs, worked out by hand: no half-pixel centres, the edge repeats."""
    x = torch.tensor([0.0, 10.0, 20.0]).expand(1, 1, 3, 3)
    row = resize_like_tensorflow(x, 6)[0, 0, 0]
    assert row.tolist() == [0, 5, 10, 15, 20, 20]
    assert resize_like_tensorflow(x, 3).equal(x)
    assert resize_like_tensorflow(torch.arange(8.0).expand(1, 1, 8, 8), 2)[0, 0, 0].tolist() == [0, 4]     # no mean


def test_channels_become_rgb() -> None:
    gray = torch.full((1, 1, 2, 2), 77.0)
    assert torch.equal(to_rgb(gray), torch.full((1, 3, 2, 2), 77.0))
    half = torch.cat([torch.full((1, 3, 2, 2), 100.0), torch.full((1, 1, 2, 2), 51.0)], dim=1)
    assert torch.equal(to_rgb(half), torch.full((1, 3, 2, 2), 224.0))       # 0.2 x 100 + 0.8 x 255
    assert torch.equal(to_rgb(half[:, :3]), half[:, :3])


def test_the_shapes_of_its_layers() -> None:
    network = Inception("64")
    assert network(torch.zeros(1, 1, 16, 16, dtype=torch.uint8)).logits.shape == (1, CLASSES)
    assert network.layer in LAYERS
    with pytest.raises(UserError, match="no layer 'pool4'; use one of 64, 192, 768, pool3"):
        Inception("pool4")


def test_the_standard_file_is_loaded_from_where_it_is(standard: Path, tmp_path: Path, monkeypatch: Any) -> None:
    given = load_inception("64", standard)
    assert given.fingerprint == inception_weights.SHA256[:16]
    hub = tmp_path / "hub" / "checkpoints" / NAME
    hub.parent.mkdir(parents=True)
    hub.write_bytes(standard.read_bytes())
    monkeypatch.setattr(urllib.request, "urlopen", lambda *a, **k: pytest.fail("no download is due"))
    assert find_weights(None) == hub
    cached = Path(inception_weights.cache_folder()) / "weights" / NAME
    cached.parent.mkdir(parents=True)
    cached.write_bytes(standard.read_bytes())
    assert find_weights(None) == cached


def test_it_is_downloaded_once_and_only_the_right_one(standard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    content = standard.read_bytes()
    cached = Path(inception_weights.cache_folder()) / "weights" / NAME
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: io.BytesIO(content[:-1]))
    with pytest.raises(UserError, match="is not the standard Inception weight file"):
        find_weights(None)
    assert list(cached.parent.iterdir()) == []
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: io.BytesIO(content))
    assert find_weights(None, lines.append) == cached
    assert cached.read_bytes() == content
    assert "downloading" in lines[0]


def test_without_a_network_it_says_what_to_do(standard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(url: str, timeout: float) -> Any:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    with pytest.raises(UserError, match=r"no route to host.*give it as --inception-weights FILE"):
        find_weights(None)


def test_a_wrong_file_is_one_line(standard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        find_weights(tmp_path / "none.pth")
    other = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(3)}, other)
    with pytest.raises(UserError, match="is not the standard Inception weight file"):
        load_inception("pool3", other)


def test_a_file_that_would_execute_code_does_not(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "exploded",)

    path = tmp_path / "bomb.pth"
    torch.save({"fc.weight": Bomb()}, path)
    with pytest.raises(pickle.UnpicklingError):
        load_weights(Inception(), path)
    assert not (tmp_path / "exploded").exists()

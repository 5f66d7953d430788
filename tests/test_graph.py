"""Graphs of G: what they draw, for any number of images, and an example that serves one without PyTorch."""

import io
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from processes import ROOT

from biggan import BigGAN, BigGANConfig, graph
from biggan.errors import UserError
from biggan.latents import LatentLaw
from biggan.networks.layers import SelfAttention2d
from biggan.sampling import add_statistics
from biggan.truncation import TruncationTable

HALF = LatentLaw("truncation", 0.5)


def model(architecture: str) -> BigGAN:
    """A small model with attention at work and statistics at three truncations."""
    torch.manual_seed(0)
    made = BigGAN(
        BigGANConfig(
            architecture=architecture, resolution=16, image_channels=1, num_classes=3, z_dim=12, shared_dim=8,
            g_ch=4, d_ch=4, g_attention=(8,), d_attention=(),
        )
    ).eval()  # fmt: skip
    for module in made.G.modules():
        if isinstance(module, SelfAttention2d):
            torch.nn.init.constant_(module.gamma, 0.5)
    add_statistics(made, [LatentLaw("truncation", value) for value in (0.25, 0.5, 1.0)], batches=2, batch_size=8)
    return made


@pytest.mark.parametrize(("architecture", "value_input"), [("biggan", True), ("biggan-deep", False)])
def test_an_onnx_file_draws_what_the_model_draws(tmp_path: Path, architecture: str, value_input: bool) -> None:
    gan, path = model(architecture), tmp_path / "G.onnx"
    law = LatentLaw("truncation", 0.7) if value_input else HALF
    assert graph.export(gan, law, path, "onnx", value_input=value_input) < 1e-4
    saved = onnx.load(path)
    about = json.loads({entry.key: entry.value for entry in saved.metadata_props}["biggan"])
    assert about["latent_law"] == ("truncation" if value_input else "truncation 0.5")
    assert about["class_names"] == ["0", "1", "2"]
    assert [wanted.name for wanted in saved.graph.input] == ["z", "y", "truncation"][: 2 + value_input]
    if value_input:         # the same file at another value, between two rows
        other = LatentLaw("truncation", 0.3)
        assert graph.difference(gan, other, path, "onnx", 5, True) < 1e-4
        assert graph.difference(gan, law, path, "onnx", 5, True) < 1e-4
        inputs = graph.example(gan, law, 5, True)
        images = graph.run_onnx(path, (*inputs[:2], torch.tensor(0.25)))
        assert not torch.allclose(images, graph.run_onnx(path, inputs), atol=1e-3)


def test_torch_export_draws_what_the_model_draws(tmp_path: Path) -> None:
    path = tmp_path / "G.pt2"
    assert graph.export(model("biggan"), LatentLaw(), path, "torch-export") < 1e-4


def test_shares_are_those_of_the_table() -> None:
    values = [0.1, 0.4, 0.5, 1.0]
    rows = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    table = TruncationTable(values, {"bn": rows}, {"bn": rows})
    for at in (0.1, 0.2, 0.4, 0.47, 0.5, 0.9, 1.0):
        shares = graph.neighbours(torch.tensor(values), torch.tensor(at))
        torch.testing.assert_close(shares @ rows, table.at(at)["bn"][0])
    assert graph.neighbours(torch.tensor(values), torch.tensor(7.0)).tolist() == [0, 0, 0, 1]
    assert graph.neighbours(torch.tensor([0.5]), torch.tensor(0.2)).tolist() == [1]


def test_a_value_needs_a_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no batch statistics for several thresholds; measure them with biggan stat"):
        graph.export(model("biggan"), LatentLaw("threshold", 1.0), tmp_path / "G.onnx", "onnx", value_input=True)
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_differs_takes_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "difference", lambda *arguments: 0.5)
    with pytest.raises(RuntimeError, match=r"differs from the model by 5\.0e-01"):
        graph.export(model("biggan"), LatentLaw(), tmp_path / "G.pt2", "torch-export")
    assert list(tmp_path.iterdir()) == []


def test_the_example_serves_without_pytorch(tmp_path: Path) -> None:
    gan = model("biggan")
    gan.save_pretrained(tmp_path / "export")
    command = [sys.executable, "-m", "biggan", "export", str(tmp_path / "export"), "--truncation", "0.5"]
    done = subprocess.run([*command, "--out", str(tmp_path / "G.onnx")], capture_output=True, text=True, check=True)
    assert "of the model's pixels" in done.stdout
    assert done.stderr == ""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    no_torch = "import sys, runpy; sys.modules['torch'] = None; sys.argv = sys.argv[1:]; "
    run = [sys.executable, "-c", no_torch + "runpy.run_path(sys.argv[0], run_name='__main__')"]
    server = subprocess.Popen([*run, str(ROOT / "examples" / "serve_onnx.py"), str(tmp_path / "G.onnx"), str(port)])
    try:
        image = fetch(f"http://127.0.0.1:{port}/?class=2&seed=7")
        again, other = (fetch(f"http://127.0.0.1:{port}/?class=2&seed={seed}") for seed in (7, 8))
    finally:
        server.kill()
        server.wait()
    assert image.shape == (16, 16)
    assert image.std() > 1
    assert np.array_equal(image, again)
    assert not np.array_equal(image, other)


def fetch(address: str) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """The picture at an address, once somebody listens there."""
    for _ in range(200):
        try:
            with urllib.request.urlopen(address) as answer:
                return np.asarray(Image.open(io.BytesIO(answer.read())))
        except (ConnectionError, urllib.error.URLError):
            time.sleep(0.05)
    raise AssertionError("the example does not answer")

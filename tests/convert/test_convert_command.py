"""`biggan convert`: the files users have, the mistakes they make, and nothing written where one was made."""

import json
import resource
import runpy
import subprocess
import sys
import tempfile
import time
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from biggan import cli
from biggan.config import BigGANConfig
from biggan.convert import ajbrock, files
from biggan.errors import UserError
from biggan.model import BigGAN

GOLDEN = Path(__file__).parents[1] / "golden"
MARK = Path(tempfile.gettempdir()) / "biggan-exploit-ran"       # what a pickle that runs would leave
CONFIG = {"resolution": 32, "num_classes": 3, "z_dim": 8, "shared_dim": 5, "g_ch": 2, "d_ch": 2,
          "g_attention": (), "d_attention": ()}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return BigGAN(BigGANConfig(**CONFIG), discriminator=True).eval()


@pytest.fixture
def ajbrock_folder(model, tmp_path):
    folder = tmp_path / "weights"
    for which, tensors in ajbrock.unload(model).items():
        folder.mkdir(exist_ok=True)
        torch.save(tensors, folder / ("G_ema.pth" if which == "G" else "D.pth"))
    torch.save({"itr": 3}, folder / "state_dict.pth")
    torch.save({}, folder / "D_optim.pth")
    return folder


@pytest.fixture
def studiogan_folder(tmp_path):
    tensors = load_file(GOLDEN / "studiogan_32.safetensors")
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for which, name in (("G", "G_ema"), ("D", "D")):
        state = {key[2:]: value for key, value in tensors.items() if key.startswith(f"{which}.")}
        content = {"state_dict": state, "step": 7, "best_fid": np.float64(4.2), "run_name": "x"}
        torch.save(content, folder / f"model={name}-best-weights-step=7.pth")
        torch.save(content, folder / f"model={name}-current-weights-step=9.pth")
    return folder


def run(monkeypatch, capsys, *arguments):
    """The exit code and what stood on stderr."""
    monkeypatch.setattr(sys, "argv", ["biggan", *map(str, arguments)])
    try:
        with warnings.catch_warnings():     # cyclopts finds reading sys.argv odd under pytest
            warnings.simplefilter("ignore")
            cli.main()
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    return code, capsys.readouterr().err


def images(model):
    return model.generate(torch.tensor([0, 1]), seed=3)


def test_ajbrocks_folder_there_and_back(monkeypatch, capsys, model, ajbrock_folder, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("cat\ndog\nbird\n", encoding="utf-8")
    arguments = ("convert", "ajbrock", ajbrock_folder, "--out", tmp_path / "out", "--class-names", names)
    assert run(monkeypatch, capsys, *arguments) == (0, "")
    export = BigGAN.from_pretrained(tmp_path / "out")
    assert export.class_names == ("cat", "dog", "bird")
    assert torch.equal(images(export), images(model))
    assert torch.equal(export.D(images(model)), model.D(images(model)))
    card = (tmp_path / "out" / "README.md").read_text()
    assert "cat, dog, bird" in card
    assert "ajbrock/BigGAN-PyTorch" in card
    assert run(monkeypatch, capsys, "convert", "--to", "ajbrock", tmp_path / "out", "--out", tmp_path / "back")[0] == 0
    for name in ("G_ema.pth", "D.pth"):
        there = torch.load(ajbrock_folder / name, weights_only=True)
        back = torch.load(tmp_path / "back" / name, weights_only=True)
        assert there.keys() == back.keys()
        assert all(torch.equal(there[key], back[key]) for key in there)


def test_the_example_makes_a_picture(monkeypatch, ajbrock_folder):
    monkeypatch.setattr(sys, "argv", ["sample_hub_weights.py", str(ajbrock_folder)])
    runpy.run_path(str(Path(__file__).parents[2] / "examples" / "sample_hub_weights.py"))
    assert (ajbrock_folder / "images.png").stat().st_size > 1000


def test_a_file_is_the_generator_alone_unless_the_discriminator_is_given(ajbrock_folder):
    assert files.convert("ajbrock", ajbrock_folder / "G_ema.pth").D is None
    assert files.convert("ajbrock", ajbrock_folder / "G_ema.pth", ajbrock_folder / "D.pth").D is not None
    (ajbrock_folder / "G_ema.pth").rename(ajbrock_folder / "G_ema_best0.pth")
    assert files.convert("ajbrock", ajbrock_folder).D is not None
    (ajbrock_folder / "G_ema_best1.pth").write_bytes((ajbrock_folder / "G_ema_best0.pth").read_bytes())
    with pytest.raises(UserError, match=r"G_ema_best0\.pth, G_ema_best1\.pth"):
        files.convert("ajbrock", ajbrock_folder)


def test_studiogans_folder(monkeypatch, capsys, studiogan_folder, tmp_path):
    assert run(monkeypatch, capsys, "convert", "studiogan", studiogan_folder, "--out", tmp_path / "out") == (0, "")
    export = BigGAN.from_pretrained(tmp_path / "out")
    tensors = load_file(GOLDEN / "studiogan_32.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(export.G(tensors["z"], tensors["y"]), tensors["G_eval"])
        torch.testing.assert_close(export.D(tensors["x"], tensors["y"]), tensors["D_eval"][:, 0])


@pytest.mark.parametrize("prefix", ["", "biggan-deep-128-"])
def test_huggingfaces_folder(monkeypatch, capsys, tmp_path, prefix):
    package = pytest.importorskip("pytorch_pretrained_biggan")
    torch.manual_seed(0)
    config = package.BigGANConfig(
        output_dim=64, z_dim=4, class_embed_dim=4, channel_width=4, num_classes=3, n_stats=3,
        layers=[[False, 16, 16], [True, 16, 8], [False, 8, 8], [True, 8, 4], [False, 4, 4], [True, 4, 2],
                [False, 2, 2], [True, 2, 1]],
        attention_layer_position=99,
    )  # fmt: skip
    theirs = package.BigGAN(config)
    torch.nn.init.ones_(theirs.generator.bn.weight)
    torch.nn.init.zeros_(theirs.generator.bn.bias)
    for _ in range(2):
        theirs(torch.randn(2, 4), torch.eye(3)[:2], 1.0)
    folder = tmp_path / "hf"
    folder.mkdir()
    torch.save(theirs.state_dict(), folder / f"{prefix}pytorch_model.bin")
    (folder / f"{prefix}config.json").write_text(config.to_json_string())
    assert run(monkeypatch, capsys, "convert", "huggingface", folder, "--out", tmp_path / "out") == (0, "")
    export = BigGAN.from_pretrained(tmp_path / "out")
    assert export.truncation_tables["truncation"].values == [0, 0.5, 1]
    z = torch.randn(2, 4)
    with torch.no_grad():
        wanted = theirs.eval()(z, torch.eye(3)[:2], 0.5)
    torch.testing.assert_close(export.generate([0, 1], z, truncation=0.5), wanted)
    flags = ("--out", tmp_path / "other", "--bn-eps", "1e-5")
    code, message = run(monkeypatch, capsys, "convert", "huggingface", folder, *flags)
    assert (code, "--bn-eps is not for huggingface" in message) == (2, True)


class Exploit:
    def __reduce__(self):
        return (Path.touch, (MARK,))


def break_file(kind, path):
    if kind == "code":
        torch.save({"linear.weight": Exploit()}, path)
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[:-2000])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("<html>not found</html>")
    elif kind == "list":
        torch.save([1, 2], path)
    else:
        tensors = torch.load(path, weights_only=True)
        if kind == "missing":
            del tensors["linear.weight" if "shared.weight" not in tensors else "blocks.0.0.conv1.bias"]
        elif kind == "surplus":
            tensors["what.is.this"] = torch.zeros(1)
        torch.save(tensors, path)


@pytest.mark.parametrize("name", ["G_ema.pth", "D.pth"])
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("code", "would run code"),
        ("truncated", "damaged"),
        ("empty", "damaged"),
        ("text", "damaged"),
        ("list", "holds a list"),
        ("missing", "misses"),
        ("surplus", "what.is.this"),
    ],
)
def test_broken_files_end_with_one_line_and_write_nothing(
    monkeypatch, capsys, ajbrock_folder, tmp_path, name, kind, message
):
    break_file(kind, ajbrock_folder / name)
    code, error = run(monkeypatch, capsys, "convert", "ajbrock", ajbrock_folder, "--out", tmp_path / "out")
    assert code == 2
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert not MARK.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["studiogan", "SRC"], "neither model=G_ema"),
        (["huggingface", "SRC"], "no pytorch_model.bin"),
        (["tensorflow", "SRC"], "unknown family 'tensorflow'"),
        (["ajbrock", "SRC/nowhere"], "does not exist"),
        (["ajbrock"], "give a family and its files"),
        (["studiogan", "SRC/G_ema.pth"], "not one of POSTECH"),
        (["ajbrock", "SRC/D.pth"], "not one of ajbrock"),
        (["ajbrock", "SRC", "--class-names", "SRC/D.pth"], "cannot be read"),
        (["--to", "studiogan", "SRC"], "--to studiogan is unknown"),
        (["--to", "ajbrock", "SRC"], "neither a run nor an export"),
    ],
)
def test_mistakes_at_the_command_line(monkeypatch, capsys, ajbrock_folder, tmp_path, arguments, message):
    given = [argument.replace("SRC", str(ajbrock_folder)) for argument in arguments]
    code, error = run(monkeypatch, capsys, "convert", *given, "--out", tmp_path / "out")
    assert code == 2
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_too_few_class_names(monkeypatch, capsys, ajbrock_folder, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("cat\ndog\n")
    arguments = ("convert", "ajbrock", ajbrock_folder, "--out", tmp_path / "out", "--class-names", names)
    code, error = run(monkeypatch, capsys, *arguments)
    assert (code, "2 class names for 3 classes" in error) == (2, True)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_full_size_checkpoint_converts_and_loads_quickly(tmp_path):
    with torch.device("meta"):
        full = BigGAN(BigGANConfig(), discriminator=True)
    for network in (full.G, full.D):
        network.to_empty(device="cpu")
        for name, tensor in network.state_dict().items():
            tensor.fill_(1) if name.endswith("var") else tensor.normal_(0, 0.02)
    files.write_ajbrock(full, tmp_path / "in")
    command = [sys.executable, "-m", "biggan", "convert", "ajbrock", tmp_path / "in", "--out", tmp_path / "out"]
    began = time.monotonic()
    subprocess.run(command, check=True)
    assert time.monotonic() - began < 20
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 4 * 2**20       # KiB
    began = time.monotonic()
    model = BigGAN.from_pretrained(tmp_path / "out")
    assert time.monotonic() - began < 3
    assert sum(parameter.numel() for parameter in model.G.parameters()) == 70_433_988


def test_statistics_are_kept_in_an_export(monkeypatch, capsys, model, tmp_path):
    model.save_pretrained(tmp_path / "in")
    arguments = ("statistics", tmp_path / "in", "--out", tmp_path / "out", "--batches", "1", "--device", "cpu")
    assert run(monkeypatch, capsys, *arguments, "--truncation", "0.5", "1") == (0, "")
    export = BigGAN.from_pretrained(tmp_path / "out")
    assert export.truncation_tables["truncation"].values == [0.5, 1]
    assert export.D is not None
    for flags, message in (([], "give the values"), (["--truncation", "-1"], "greater than 0")):
        code, error = run(monkeypatch, capsys, *arguments, *flags)
        assert (code, message in error) == (2, True)


def test_different_classes_in_g_and_d(monkeypatch, capsys, ajbrock_folder, tmp_path):
    other = BigGAN(BigGANConfig(**CONFIG | {"num_classes": 4}), discriminator=True)
    torch.save(ajbrock.unload(other)["D"], ajbrock_folder / "D.pth")
    code, error = run(monkeypatch, capsys, "convert", "ajbrock", ajbrock_folder, "--out", tmp_path / "out")
    assert code == 2
    assert "the generator has 3 classes and the discriminator 4" in error
    assert not (tmp_path / "out").exists()


def test_push_to_hub_uploads_an_export(monkeypatch, model):
    seen = {}

    def upload_folder(*, repo_id, folder_path, token):
        seen.update(repo=repo_id, names=sorted(path.name for path in Path(folder_path).iterdir()))
        seen["config"] = json.loads((Path(folder_path) / "config.json").read_text())
        return "https://hub/x"

    hub = types.SimpleNamespace(create_repo=lambda *a, **k: seen.update(created=a, k=k), upload_folder=upload_folder)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert model.push_to_hub("me/gan", private=True) == "https://hub/x"
    assert (seen["repo"], seen["created"], seen["k"]["private"]) == ("me/gan", ("me/gan",), True)
    assert seen["names"] == ["README.md", "config.json", "discriminator.safetensors", "model.safetensors"]
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match="pip install"):
        model.push_to_hub("me/gan")

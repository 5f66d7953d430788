"""A folder in which the commands of a page run for real: small data, models and weights by the names of the pages."""

import contextlib
import io
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_folder
from pages import ROOT, Block
from safetensors.torch import load_file

from biggan import BigGAN, BigGANConfig
from biggan.cli import app
from biggan.convert import ajbrock

# What is made shorter, by a pattern of the command: flags that are given another value, or none.
SHORTER: dict[str, dict[str, str | None]] = {
    r"train ": {"steps": "2", "images": None, "minutes": None, "batch-size": "4", "microbatch-size": "4",
                "device": "cpu", "precision": "fp32", "preview-every": "0"},
    r"(train|plan|bench) (biggan-|cifar10)": {"resolution": "32", "g-ch": "2", "d-ch": "2", "shared-dim": "4",
                                              "z-dim": "8", "g-attention": "16", "d-attention": "16"},
    r"train auto ": {"resolution": "16", "g-ch": "4", "d-ch": "4"},
    r"(plan|bench) ": {"batch-size": "4", "images": "4", "microbatch-size": "4"},
    r".*--g-attention-stages": {"g-attention-stages": "1 2 3", "d-attention-stages": "1 2 3 4"},
    r"data pack ": {"resolution": "32"},
    r"evaluate (?!--compare)": {"num": "130"},
    r"evaluate .*--truncations": {"truncations": "0.5,1"},
    r"evaluate .*--thresholds": {"thresholds": "0.5,1"},
    r"sample .*--dataset": {"per-class": "2", "min-confidence": "0.01", "min-distance": None},
    r"statistics ": {"batches": "1"},
    r"explore project ": {"steps": "2"},
}  # fmt: skip

SERVERS = ("biggan studio", "python examples/serve_onnx.py")
NETWORK: dict[str, Any] = {"resolution": 32, "z_dim": 8, "shared_dim": 5, "g_ch": 2, "d_ch": 2,
                           "g_attention": (), "d_attention": ()}  # fmt: skip
CLASSES = 210                       # of the ImageNet models that the pages ask for class 207
TINY = ["--g-ch", "2", "--d-ch", "2", "--batch-size", "8", "--steps", "4", "--precision", "fp32", "--device", "cpu",
        "--checkpoint-every", "16"]  # fmt: skip


def biggan(*arguments: object) -> str:
    """Run a command in this process; what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        app(list(map(str, arguments)), exit_on_error=False, print_error=False, result_action="return_value")
    return out.getvalue()


def furnish() -> None:
    """Put what the pages speak of into the current folder."""
    make_folder(Path("my_images"), {"cat": 16, "dog": 12, "tiger": 8}, size=32)
    make_folder(Path("other_images"), {"cat": 8, "lynx": 8}, size=32)
    shutil.copytree("my_images", "FOLDER")
    make_folder(Path("few_digits"), {str(digit): 12 for digit in range(10)}, size=16, mode="L")
    biggan("train", "digits", "--data", "few_digits", *TINY, "--out", "runs/demo")
    biggan("train", "digits", "--data", "my_images", "--image-channels", 3, *TINY, "--out", "runs/mine")
    biggan("evaluate", "runs/demo", "--num", 130, "--out", "a.json")
    shutil.copy("a.json", "b.json")
    shutil.copy("few_digits/2/000.png", "two.png")
    shutil.copytree("runs/demo", "RUN")
    shutil.copy("runs/mine/config.yaml", "mine.yaml")
    shutil.copytree("runs/demo/export", "exports/other")
    shutil.copytree("runs/mine/export", "exports/deep-128")
    for folder in ("weights/BigGAN_I128", "weights/BigGAN_bs256x8", "."):
        ajbrock_weights(Path(folder))
    huggingface_weights(Path("biggan-deep-256"))
    studiogan_weights(Path("checkpoints"))
    Path("examples").symlink_to(ROOT / "examples")


def ajbrock_weights(folder: Path) -> None:
    """G_ema.pth and D.pth."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = BigGAN(BigGANConfig(num_classes=CLASSES, **NETWORK), discriminator=True).eval()
    for which, tensors in ajbrock.unload(model).items():
        torch.save(tensors, folder / ("G_ema.pth" if which == "G" else "D.pth"))


def huggingface_weights(folder: Path) -> None:
    """A model of pytorch-pretrained-BigGAN's own classes."""
    package = pytest.importorskip("pytorch_pretrained_biggan")
    widths = [[False, 16, 16], [True, 16, 8], [False, 8, 8], [True, 8, 4],
              [False, 4, 4], [True, 4, 2], [False, 2, 2], [True, 2, 1]]  # fmt: skip
    config = package.BigGANConfig(
        output_dim=64, z_dim=4, class_embed_dim=4, channel_width=4, num_classes=CLASSES, n_stats=3, layers=widths,
        attention_layer_position=99,
    )  # fmt: skip
    torch.manual_seed(0)
    model = package.BigGAN(config)
    torch.nn.init.ones_(model.generator.bn.weight)
    torch.nn.init.zeros_(model.generator.bn.bias)
    for _ in range(2):
        model(torch.randn(2, 4), torch.eye(CLASSES)[:2], 1.0)
    folder.mkdir()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "config.json").write_text(config.to_json_string())


def studiogan_weights(folder: Path) -> None:
    """A recorded model of that code, in its layout."""
    tensors = load_file(ROOT / "tests" / "golden" / "studiogan_32.safetensors")
    folder.mkdir()
    for which, name in (("G", "G_ema"), ("D", "D")):
        state = {key[2:]: value for key, value in tensors.items() if key.startswith(f"{which}.")}
        content = {"state_dict": state, "step": 7, "best_fid": np.float64(4.2), "run_name": "x"}
        torch.save(content, folder / f"model={name}-best-weights-step=7.pth")


def shortened(command: str) -> list[str]:
    """A command of `biggan` as arguments, with the same choices and small sizes."""
    words = shlex.split(command)[1:]
    flags: dict[str, list[str]] = {}
    before = [word for i, word in enumerate(words) if not any(w.startswith("--") for w in words[: i + 1])]
    for word in words[len(before):]:
        if word.startswith("--"):
            flags[word[2:]] = []
        else:
            flags[list(flags)[-1]].append(word)
    for pattern, changes in SHORTER.items():
        for name, value in changes.items() if re.match(pattern, " ".join(words)) else ():
            flags.pop(name, None)
            if value is not None and f"no-{name}" not in flags:
                flags[name] = value.split()
    return [*before, *(part for name, values in flags.items() for part in (f"--{name}", *values))]


class Session:
    """The blocks of one page, run one after the other in the current folder."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self.servers: list[subprocess.Popen[bytes]] = []
        self.port = 0

    def run(self, block: Block) -> None:
        """Run a block, unless it says why not."""
        if block.language == "json":            # the body of the request that the page shows before it
            Path("request.json").write_text(block.text)
        elif block.language == "python":
            exec(compile(block.text, f"{block.page.name}:{block.line}", "exec"), self.names)
        for command in block.commands:
            self.type(command)

    def type(self, command: str) -> None:
        """Run a command: ours in this process, a server in the background, others by a shell."""
        words, (command, _, target) = shlex.split(command), command.partition(" '>' ")
        if command.startswith(SERVERS):
            self.serve(words)
        elif words[0] == "biggan":
            arguments = shortened(command)
            if arguments[0] == "train" and "--out" in arguments:        # a new run, where there is one of that name
                shutil.rmtree(arguments[arguments.index("--out") + 1], ignore_errors=True)
            printed = biggan(*arguments)
            if target:
                Path(target).write_text(printed)
        else:
            subprocess.run(command.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}"), shell=True, check=True)

    def serve(self, words: list[str]) -> None:
        """Start a server, and wait until it answers."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        begin = {"python": [], "biggan": ["-m", "biggan"]}[words[0]]
        port = ["--port", str(self.port)] if words[0] == "biggan" else [str(self.port)]
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        env = os.environ | {"PYTHONPATH": path}
        server = subprocess.Popen([sys.executable, *begin, *words[1:], *port], env=env)
        self.servers.append(server)
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/") as answer:
                assert answer.status == 200
                return
            assert server.poll() is None, f"{words} ended"
            time.sleep(0.1)
        raise AssertionError(f"{words} does not answer")

    def close(self) -> None:
        """End what still runs."""
        for server in self.servers:
            server.terminate()
            server.wait()

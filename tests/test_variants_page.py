"""The source documents' systems: each command of docs/variants.md trains two steps and samples, at a tiny size."""

import re
import shlex
from pathlib import Path

import pytest
from conftest import make_folder

from biggan import BigGAN, cli

PAGE = Path(__file__).parents[1] / "docs" / "variants.md"
SECTION = re.compile(r"^### (\d{3}):.*?```console\n\$ (biggan train .*?)\n```", re.DOTALL | re.MULTILINE)
SECTIONS = SECTION.findall(PAGE.read_text())
TINY = {
    "resolution": "32", "g-ch": "2", "d-ch": "2", "shared-dim": "4", "batch-size": "4", "microbatch-size": "4",
    "steps": "2", "device": "cpu", "precision": "fp32", "preview-every": "0",
}  # fmt: skip
# At 32 px attention has other places.
PLACES = {"g-attention": "16", "d-attention": "16"}
STAGES = {"g-attention-stages": "1 2 3", "d-attention-stages": "1 2 3 4"}


def test_there_are_five():
    assert [number for number, _ in SECTIONS] == ["000", "001", "002", "003", "004"]


def shrunk(command, data, out):
    """The command with the same choices and tiny sizes."""
    _, _, preset, *tokens = shlex.split(command)
    flags = {}
    for token in tokens:
        if token.startswith("--"):
            name = token[2:]
            flags[name] = []
        else:
            flags[name].append(token)
    named = {name: " ".join(values) for name, values in flags.items()}
    given = named | TINY | {"data": str(data), "out": str(out)}
    if "g-attention-stages" in named:
        given |= STAGES
    given |= {name: place for name, place in PLACES.items() if f"no-{name}" not in named}
    if "z-dim" not in named:
        given["z-dim"] = "8"
    return ["train", preset, *(part for name, value in given.items() for part in [f"--{name}", *value.split()])]


def run(arguments):
    cli.app(arguments, exit_on_error=False, print_error=False, result_action="return_value")


@pytest.mark.parametrize("command", [command for _, command in SECTIONS], ids=[number for number, _ in SECTIONS])
def test_its_configuration_is_sound_at_full_size(tmp_path, command):
    data = make_folder(tmp_path / "data", {"a": 150, "b": 150}, size=4)
    tokens = shlex.split(command.replace("my_images", str(data)))[1:]
    small = [] if "--batch-size" in tokens else ["--batch-size", "32"]
    run([*tokens, *small, "--dry-run"])


@pytest.mark.parametrize(("number", "command"), SECTIONS, ids=[number for number, _ in SECTIONS])
def test_it_trains_two_steps_and_samples(tmp_path, number, command):
    data = make_folder(tmp_path / "data", {"a": 6, "b": 6}, size=32)
    run(shrunk(command, data, tmp_path / "run"))
    model = BigGAN.from_pretrained(tmp_path / "run")
    images = model.generate(["a", "b"], seed=0)
    assert images.shape == (2, 3, 32, 32)
    assert images.isfinite().all()
    c = model.config
    assert {
        "000": not c.g_spectral_norm and c.d_spectral_norm,
        "001": c.linear_input == "z+class" and c.z_dim == 128,
        "002": (c.conditioning, c.skip_z) == ("shared", "chunks"),
        "003": (c.conditioning, c.skip_z, c.sn_exclude) == ("per_class", "none", ("D.class_projection",)),
        "004": len(c.d_attention_stages) == 4 and c.output_kernel == 1,
    }[number]

"""The source documents' systems: each command of docs/variants.md resolves to what the page says of it.

`docs/test_docs.py` trains them, at a tiny size.
"""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
import yaml
from conftest import make_folder

from biggan import cli

PAGE = Path(__file__).parents[1] / "docs" / "variants.md"
SECTION = re.compile(r"^### (\d{3}):.*?```console\n\$ (biggan train .*?)\n```", re.DOTALL | re.MULTILINE)
SECTIONS = SECTION.findall(PAGE.read_text())


def test_there_are_five():
    assert [number for number, _ in SECTIONS] == ["000", "001", "002", "003", "004"]


@pytest.mark.parametrize(("number", "command"), SECTIONS, ids=[number for number, _ in SECTIONS])
def test_its_configuration_is_sound_at_full_size_and_what_the_page_says(tmp_path, number, command):
    data = make_folder(tmp_path / "data", {"a": 150, "b": 150}, size=4)
    tokens = shlex.split(command.replace("my_images", str(data)))[1:]
    small = [] if "--batch-size" in tokens else ["--batch-size", "32"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        cli.app([*tokens, *small, "--dry-run"], exit_on_error=False, print_error=False, result_action="return_value")
    c = yaml.safe_load(printed.getvalue())
    assert {
        "000": not c["g_spectral_norm"] and c["d_spectral_norm"],
        "001": c["linear_input"] == "z+class" and c["z_dim"] == 128,
        "002": (c["conditioning"], c["skip_z"]) == ("shared", "chunks"),
        "003": (c["conditioning"], c["skip_z"], c["sn_exclude"]) == ("per_class", "none", ["D.class_projection"]),
        "004": len(c["d_attention_stages"]) == 6 and c["output_kernel"] == 1,
    }[number]

"""The README's commands and code are tests."""

import re
import shlex
from pathlib import Path

import pytest

from biggan import BigGAN, preset
from biggan.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    lines = [line[2:].split("#")[0].strip() for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    inline = re.findall(r"`(biggan [a-z]+ [^`]+)`", page.read_text())
    return lines + [text for text in inline if "..." not in text]


EVERY = [(page.name, command) for page in PAGES for command in commands(page)]


@pytest.mark.parametrize(("page", "command"), [pair for pair in EVERY if pair[1].startswith("biggan ")])
def test_every_biggan_command_is_one(page: str, command: str) -> None:
    tokens = shlex.split(command)[1:]
    if "--help" not in tokens:
        app.parse_args(tokens, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("target", sorted({c.split()[1] for _, c in EVERY if c.startswith("make ")} | {"demo", "test"}))
def test_every_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_python_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = preset("digits")
    BigGAN(network).save_pretrained(tmp_path / "runs" / "demo" / "export")
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL):
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "exports" / "digits" / "model.safetensors").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), link

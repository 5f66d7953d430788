"""What the documentation tells people to type is run; what it names exists; where it points there is something."""

import ast
import importlib
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import workshop
from pages import PAGES, REASONS, ROOT, Block, blocks_of, inline_commands

from biggan.cli import app
from biggan.metrics import classifier
from biggan.presets import PRESETS

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
# Pages whose commands start servers, measure the machine or draw much: ten seconds and more, each.
SLOW = {"README.md", "exporting.md", "recipes.md", "speed.md", "studio.md", "tour.md", "your-own-images.md"}
RUN = [
    pytest.param(page, marks=pytest.mark.slow if page.name in SLOW else ())
    for page in PAGES
    if any(block.language in ("console", "python") and not block.reason for block in blocks_of(page))
]
COMMANDS = [(block.page.name, command) for block in BLOCKS for command in block.commands]
INLINE = [(page.name, command) for page in PAGES for command in inline_commands(page)]
NAMES = sorted({name for page in PAGES for name in re.findall(r"`(biggan(?:\.\w+)+)`", page.read_text("utf-8"))})


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workshop that is copied for each page."""
    folder = tmp_path_factory.mktemp("workshop")
    with pytest.MonkeyPatch.context() as patch:         # ends before the tests of other files begin
        settle(patch, folder)
        workshop.furnish()
    return folder


def settle(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Work in a folder, with a cache of its own and a classifier that is trained for a moment."""
    patch.setattr(classifier, "FEWEST", 500)            # images that the classifier trains on
    patch.setattr(classifier, "EPOCHS", 1)
    patch.setenv("BIGGAN_CACHE", str(folder / "cache"))
    patch.chdir(folder)


@pytest.fixture
def session(furnished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[workshop.Session]:
    shutil.copytree(furnished, tmp_path / "here", symlinks=True)
    settle(monkeypatch, tmp_path / "here")
    monkeypatch.setenv("MPLBACKEND", "agg")
    made = workshop.Session()
    yield made
    made.close()


def what(block: Block) -> str:
    return f"{block.page.name}, line {block.line}:\n{block.text}"


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_every_command_and_all_code_of_a_page_runs(page: Path, session: workshop.Session) -> None:
    for block in blocks_of(page):
        if block.reason is None:
            try:
                session.run(block)
            except (Exception, SystemExit) as error:
                raise AssertionError(f"{what(block)}\n{type(error).__name__}: {error}") from error


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.reason], ids=what)
def test_what_is_not_run_says_why_and_is_sound(block: Block) -> None:
    assert block.reason in REASONS
    if block.language == "python":
        ast.parse(block.text)


@pytest.mark.parametrize(("page", "command"), sorted({*COMMANDS, *INLINE}))
def test_every_biggan_command_is_one(page: str, command: str) -> None:
    words = shlex.split(command)
    if words[0] == "biggan" and "--help" not in words:
        app.parse_args(words[1 : words.index(">") if ">" in words else None], exit_on_error=False, print_error=False)


def test_every_make_target_exists() -> None:
    told = {command.split()[1] for _, command in COMMANDS if command.startswith("make ")}
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test", "docs"} <= told <= targets


def test_every_extra_exists() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    installs = [command for _, command in COMMANDS if command.startswith("pip ")]
    told = {name for command in installs for names in re.findall(r"\[([\w,]+)\]", command) for name in names.split(",")}
    assert {"web", "onnx"} <= told <= extras


def test_the_pages_name_many_functions() -> None:
    assert len(NAMES) > 40


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_the_package_exists_and_is_described(name: str) -> None:
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[split:]:
            found = getattr(found, attribute)
        assert found.__doc__
        return
    raise AssertionError(name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def test_every_page_is_in_the_navigation() -> None:
    listed = re.search(r"PAGES = (\{.*?\n\})", (ROOT / "docs" / "conf.py").read_text(), re.DOTALL)
    assert listed
    names = {name for names in ast.literal_eval(listed[1]).values() for name in names}
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"} <= names


def test_the_page_of_recipes_names_all() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert [name for name in PRESETS if f"`{name}`" not in page] == []

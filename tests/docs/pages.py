"""The documentation as a list of blocks: what it says to type, and whether that is run."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

# Why a block is not run, as a comment above it says: <!-- not run: needs a GPU -->
REASONS = {"installs packages", "needs a GPU", "needs several machines", "needs the network", "takes hours"}

BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>.*?) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    reason: str | None

    @property
    def commands(self) -> list[str]:
        """What stands behind the prompts of a console, without comments and continuations."""
        if self.language != "console":
            return []
        whole = self.text.replace("\\\n", " ")
        return [shlex.join(shlex.split(line[2:], comments=True)) for line in whole.splitlines() if line[:2] == "$ "]


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found["language"], found["text"], found["reason"])
        for found in BLOCK.finditer(text)
    ]


def inline_commands(page: Path) -> list[str]:
    """Commands that stand within a sentence."""
    found = re.findall(r"`(biggan [a-z]+ [^`]+)`", page.read_text(encoding="utf-8"))
    return [text for text in found if "..." not in text]

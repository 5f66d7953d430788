"""docs/paper.md names functions; all of them exist."""

import importlib
import re

import pytest
from processes import ROOT

NAMES = sorted(set(re.findall(r"`(biggan(?:\.\w+)+)`", (ROOT / "docs" / "paper.md").read_text(encoding="utf-8"))))


def test_the_page_names_many() -> None:
    assert len(NAMES) > 20


@pytest.mark.parametrize("name", NAMES)
def test_what_the_page_names_exists(name: str) -> None:
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

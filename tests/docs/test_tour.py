"""examples/tour.ipynb runs from top to bottom, and is stored without what it shows."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from pages import ROOT

TOUR = ROOT / "examples" / "tour.ipynb"


def test_it_is_stored_without_outputs() -> None:
    for cell in nbformat.read(TOUR, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    tour = nbformat.read(TOUR, as_version=4)
    NotebookClient(tour, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    pictures = [o for cell in tour.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(pictures) == 6

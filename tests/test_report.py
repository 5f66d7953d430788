import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import Watcher
from PIL import Image

from biggan import report
from biggan.config import BigGANConfig, TrainConfig, to_mapping
from biggan.data import LabelledImages
from biggan.errors import UserError
from biggan.presets import PRESETS
from biggan.report import gather, nearest_preset, sheets, thinned, write_report
from biggan.training import train


def data_of(page: Path) -> dict[str, object]:
    """What the page's script reads."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert len(found) == 1
    return json.loads(found[0])


def test_training_leaves_a_page_that_needs_nothing_else(
    tmp_path: Path, tiny: BigGANConfig, tiny_train: TrainConfig, tiny_digits: LabelledImages
) -> None:
    names = tuple("</script><b>" if i == 0 else f"c{i}" for i in range(len(tiny_digits.class_names)))
    config = dataclasses.replace(tiny_train, watch_every=tiny_train.batch_size, log_every=tiny_train.batch_size)
    assert train(tiny, config, tiny_digits.renamed(names), tmp_path, Watcher())
    page = tmp_path / "report.html"
    run = data_of(page)
    assert run["images_seen"] == config.images
    assert sum(run["classes"].values()) == len(tiny_digits)
    assert next(iter(run["classes"])) == "</script><b>"
    assert run["sheets"][-1]["images_seen"] == config.images
    assert run["sheets"][-1]["picture"].startswith("data:image/webp;base64,")
    assert len(run["curves"]["d_loss"]) == config.images // config.batch_size
    assert "G.linear.s0" in run["singular_values"]
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?:src|href)=.?(?:https?:)?//", text)


def test_a_curve_is_thinned_to_means_and_keeps_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "POINTS", 3)
    points = [(float(k), float(k)) for k in range(1, 8)]
    assert thinned(points) == [(3.0, 2.0), (6.0, 5.0), (7.0, 7.0)]
    assert thinned(points[:2]) == points[:2]
    assert thinned([]) == []
    assert thinned([(1.0, float("nan"))]) == [(1.0, None)]


def test_a_long_runs_sheets_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "SHEET_BYTES", 250_000)
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    for k in range(60):
        Image.fromarray(np.roll(noise, k)).save(tmp_path / f"{k:012d}.png", compress_level=1)
    found = sheets(sorted(tmp_path.glob("*.png")))
    assert [sheet["images_seen"] for sheet in (found[0], found[-1])] == [0, 59]
    assert len(found) == report.FRAMES
    assert sum(len(sheet["picture"]) for sheet in found) < 250_000 * 4 / 3 + 24 * 100


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_is_nearest_to_itself(name: str) -> None:
    network, config = PRESETS[name]()
    values = {**to_mapping(network), **to_mapping(config), "device": "cpu"}
    assert nearest_preset(values) == (name, {})
    assert nearest_preset(values | {"g_ortho": 0.5})[1] == {"g_ortho": (config.g_ortho, 0.5)}


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is no run: its config\.yaml cannot be read"):
        write_report(tmp_path)
    (tmp_path / "config.yaml").write_text("images: 10\n")
    assert gather(tmp_path)["images_seen"] == 0

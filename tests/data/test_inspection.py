"""What an inspection shows, and that copies are found."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from zoo import copies_across, corrupt, healthy, near_across, picture

from biggan.data import inspect_dataset, pack_dataset
from biggan.data.inspection.duplicates import DISTANCE, close_hashes, difference, near_pairs
from biggan.data.inspection.page import as_page
from biggan.data.inspection.scanning import scan
from biggan.data.inspection.text import as_text
from biggan.data.sources import open_source
from biggan.data.sources.source import ArrayImages


def test_close_hashes_are_those_of_all_pairs() -> None:
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**64, 300, dtype=np.uint64)
    for i in range(100):                        # neighbours at distance 0 to 5
        bits = random.choice(64, i % 6, replace=False)
        hashes[100 + i] = hashes[i] ^ np.uint64(sum(1 << int(bit) for bit in bits))
    every = [(a, b) for a in range(300) for b in range(a + 1, 300)]
    a, b = np.array(every).T
    expected = {pair for pair, d in zip(every, difference(hashes[a], hashes[b]).tolist(), strict=True) if d <= DISTANCE}
    assert set(map(tuple, close_hashes(hashes).tolist())) == expected
    assert len(expected) >= 60
    assert close_hashes(hashes[:1]).shape == close_hashes(hashes[:0]).shape == (0, 2)


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    image.save(buffer := io.BytesIO(), "JPEG", quality=quality)
    return Image.open(buffer)


@pytest.mark.parametrize("change", ["jpeg", "smaller", "brighter"])
def test_changed_copies_are_found_and_other_pictures_are_not(change: str) -> None:
    originals = [picture(seed, (96, 96)) for seed in range(100)]
    changed = {
        "jpeg": [jpeg(image, 60).convert("RGB") for image in originals],
        "smaller": [image.resize((50, 50), Image.Resampling.LANCZOS) for image in originals],
        "brighter": [ImageEnhance.Brightness(image).enhance(1.02) for image in originals],
    }[change]
    images = [np.asarray(image.resize((96, 96))) for image in (*originals, *changed)]
    records = scan(ArrayImages(np.stack(images), change), lambda line: None)
    found = set(map(tuple, near_pairs(records).tolist()))
    right = {(i, i + 100) for i in range(100)}
    assert len(found & right) >= 95
    assert found <= right


def test_numbers_are_json_and_name_everything(tmp_path: Path) -> None:
    root = healthy(tmp_path / "set")
    for fault in (corrupt, copies_across, near_across):
        fault(root)
    (root / "dog" / "same.png").write_bytes((root / "cat" / "001.png").read_bytes())
    numbers = json.loads(json.dumps(inspect_dataset(str(root)).numbers()))
    assert numbers["images"] == {"train": 15}
    assert numbers["classes"]["train"] == {"cat": 7, "dog": 8}
    assert numbers["unreadable"] == {"cat/000.png": "is no image that Pillow knows"}
    assert numbers["exact_copies"] == [["cat/001.png", "dog/same.png"]]
    assert numbers["near_copies"] == [["cat/big.png", "dog/small.jpg"]]
    assert numbers["modes"] == {"RGB": 14}
    assert numbers["short_side"]["median"] == 24
    assert numbers["trainable"]
    assert numbers["verdict"].startswith("trainable, but ")
    assert {finding["kind"] for finding in numbers["findings"]} >= {"unreadable", "exact-copies-across", "tiny-class"}


def test_the_page_stands_alone_and_escapes_names(tmp_path: Path) -> None:
    root = healthy(tmp_path / "set", {"<b>cat": 3, "dog & co": 3})
    copies = root / "dog & co" / "copy.png"
    copies.write_bytes((root / "<b>cat" / "000.png").read_bytes())
    page = as_page(inspect_dataset(str(root)))
    assert "&lt;b&gt;cat" in page
    assert "<b>cat" not in page
    assert page.count("data:image/png;base64,") == 3            # two classes and a pair of copies
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page


def test_a_set_that_cannot_be_opened_has_a_page_too(tmp_path: Path) -> None:
    inspection = inspect_dataset(str(tmp_path))
    assert inspection.verdict.startswith(f"cannot be trained: {tmp_path} has no class folders with images")
    assert "cannot be trained" in as_page(inspection)
    assert inspection.numbers()["findings"][0]["kind"] == "structure"


def test_what_was_seen_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = healthy(tmp_path / "set")
    first = inspect_dataset(str(root)).numbers()
    source = open_source(str(root))
    monkeypatch.setattr(type(source.images), "open", lambda self, i: pytest.fail("looked again"))
    assert inspect_dataset(str(root)).numbers() == first


def test_packed_sets_and_digits_can_be_inspected(tmp_path: Path) -> None:
    assert inspect_dataset("digits", resolution=8).verdict == "ready"
    out = tmp_path / "out"
    pack_dataset(str(healthy(tmp_path / "set")), out, resolution=16, test_fraction=0.2)
    inspection = inspect_dataset(str(out), batch_size=4)
    assert inspection.verdict == "ready"
    assert inspection.numbers()["images"] == {"train": 10, "test": 2}
    (out / "images.npy").write_bytes(b"\0" * (out / "images.npy").stat().st_size)
    assert "images.npy of" in inspect_dataset(str(out)).verdict
    assert "checksums are not the manifest's" in inspect_dataset(str(out)).verdict


@pytest.mark.parametrize(("side", "resolution", "fit"), [(28, 32, "pad"), (40, 32, "crop"), (300, 256, "crop")])
def test_a_resolution_is_suggested(side: int, resolution: int, fit: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        picture(ord(name), (side, side)).save(tmp_path / name / "0.png")
    assert inspect_dataset(str(tmp_path)).suggestion() == {"resolution": resolution, "fit": fit}


@pytest.mark.parametrize(("alpha", "channels"), [(0, " --channels 4"), (255, "")])
def test_transparent_pictures_are_to_keep_their_alpha(alpha: int, channels: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        image = picture(ord(name), (32, 32)).convert("RGBA")
        image.putpixel((0, 0), (0, 0, 0, alpha))
        image.save(tmp_path / name / "0.png")
    text = as_text(inspect_dataset(str(tmp_path)))
    assert ("2 images transparent" in text) == (alpha == 0)
    assert text.endswith(f"Next: biggan data pack {tmp_path} --resolution 32{channels} --out DIR")

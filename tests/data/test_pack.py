"""Packed sets: whole or not there, the same to the byte after a kill, and refused where they do not fit."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import make_folder
from PIL import Image
from zoo import healthy, picture

from biggan.data import open_dataset, pack_dataset, packing, splits
from biggan.data.images import prepare
from biggan.data.packed import verify
from biggan.data.sources import open_source
from biggan.errors import UserError


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_a_packed_folder_is_the_folder(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", {"cat": 5, "dog": 7})
    manifest = pack_dataset(str(root), tmp_path / "out", resolution=8, channels=3)
    data = open_dataset(str(tmp_path / "out"), resolution=8, channels=3)
    plain = open_dataset(str(root), resolution=8, channels=3)
    assert np.array_equal(data.images, plain.images)
    assert data.labels.tolist() == plain.labels.tolist()
    assert (data.class_names, data.fingerprint) == (plain.class_names, plain.fingerprint)
    assert isinstance(data.images, np.memmap)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["images.npy", "labels.npy", "manifest.json"]
    sums = manifest["splits"]["train"]["sha256"]
    assert {name: sum_ for name, sum_ in digests(tmp_path / "out").items() if name in sums} == sums
    assert np.load(tmp_path / "out" / "images.npy").shape == (12, 3, 8, 8)
    moved = (tmp_path / "out").rename(tmp_path / "elsewhere")
    assert open_dataset(str(moved), resolution=8, channels=3).fingerprint == data.fingerprint


def test_the_laws_are_settings_and_part_of_the_fingerprint(tmp_path: Path) -> None:
    root = healthy(tmp_path / "set")
    seen = set()
    for fit in ("crop", "pad"):
        for resize in ("lanczos", "area"):
            out = tmp_path / f"{fit}-{resize}"
            pack_dataset(str(root), out, resolution=(8, 12), channels=3, fit=fit, resize=resize)
            data = open_dataset(str(out), resolution=(8, 12), channels=3)
            with Image.open(root / "cat" / "000.png") as image:
                assert np.array_equal(data.images[0], prepare(image, (8, 12), 3, fit, resize))
            seen.add(data.fingerprint)
    assert len(seen) == 4


def test_area_is_the_mean_of_what_a_pixel_covers() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    small = prepare(Image.fromarray(pixels), 8, 1, "crop", "area")[0]
    means = pixels.reshape(8, 4, 8, 4).mean(axis=(1, 3))
    assert np.abs(small - means).max() < 1       # it rounds after each of two passes


def test_channels_follow_the_images(tmp_path: Path) -> None:
    gray = make_folder(tmp_path / "gray", {"a": 2, "b": 2}, mode="L")
    assert pack_dataset(str(gray), tmp_path / "1", resolution=8)["law"]["channels"] == 1
    picture(1).save(gray / "a" / "colour.png")
    assert pack_dataset(str(gray), tmp_path / "3", resolution=8)["law"]["channels"] == 3


def test_skipped_files_are_in_the_manifest_and_leave_no_gap(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", {"cat": 5, "dog": 5})
    (root / "cat" / "001.png").write_bytes(b"")
    (root / "dog" / "004.png").write_bytes(b"no")
    entry = pack_dataset(str(root), tmp_path / "out", resolution=8, channels=3)["splits"]["train"]
    assert entry["skipped"] == {"cat/001.png": "is empty: 0 bytes", "dog/004.png": "is no image that Pillow knows"}
    assert entry["class_counts"] == [4, 4]
    for name in entry["skipped"]:
        (root / name).unlink()
    whole = open_dataset(str(root), resolution=8, channels=3)
    assert np.array_equal(open_dataset(str(tmp_path / "out"), resolution=8, channels=3).images, whole.images)


def test_a_test_fraction_is_by_class_and_stable(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", {"cat": 20, "dog": 10, "eel": 1})
    entry = pack_dataset(str(root), tmp_path / "out", resolution=8, channels=3, test_fraction=0.2)["splits"]
    assert entry["train"]["class_counts"] == [16, 8, 1]
    assert entry["test"]["class_counts"] == [4, 2, 0]
    assert splits(str(tmp_path / "out")) == ("train", "test")
    both = [open_dataset(str(tmp_path / "out"), resolution=8, channels=3, split=s).images for s in ("train", "test")]
    every = open_dataset(str(root), resolution=8, channels=3).images
    assert {image.tobytes() for image in np.concatenate(both)} == {image.tobytes() for image in every}
    source = open_source(str(root))
    before = {source.images.name(i) for i in packing.divide(source, 0.2)["test"].rows}
    picture(7).save(root / "cat" / "new.png")
    grown = open_source(str(root))
    assert len(before - {grown.images.name(i) for i in packing.divide(grown, 0.2)["test"].rows}) <= 1
    with pytest.raises(UserError, match=r"--test-fraction 0\.001 of each class is no image"):
        pack_dataset(str(root), tmp_path / "other", resolution=8, test_fraction=0.001)
    with pytest.raises(UserError, match="has no test split; pack it again with --test-fraction"):
        pack_dataset(str(root), tmp_path / "plain", resolution=8, channels=3)
        open_dataset(str(tmp_path / "plain"), resolution=8, channels=3, split="test")


def test_another_size_is_refused_in_one_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    pack_dataset(str(healthy(tmp_path / "set")), out, resolution=8, channels=3)
    line = f"{out} is packed at 8 x 8 with 3 channels, the model has 16 x 16 with 1 channel; give --resolution 8 "
    with pytest.raises(UserError, match=re.escape(line + "--image-channels 3, or pack the set again")):
        open_dataset(str(out), resolution=16, channels=1)


def test_damage_is_found(tmp_path: Path) -> None:
    out = tmp_path / "out"
    pack_dataset(str(healthy(tmp_path / "set")), out, resolution=8, channels=3)
    assert verify(out) == []
    raw = bytearray((out / "images.npy").read_bytes())
    raw[-1] ^= 1
    (out / "images.npy").write_bytes(raw)
    assert verify(out) == ["images.npy"]
    (out / "images.npy").write_bytes(raw[:-1])
    with pytest.raises(UserError, match=r"images\.npy is missing or cut short"):
        open_dataset(str(out), resolution=8, channels=3)
    (out / "manifest.json").write_text("{")
    with pytest.raises(UserError, match=r"manifest\.json cannot be read"):
        open_dataset(str(out), resolution=8, channels=3)


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    root = healthy(tmp_path / "set")
    mine = tmp_path / "out"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="exists and is no packed set; give another --out"):
        pack_dataset(str(root), mine, resolution=8)
    (mine / "thesis.txt").unlink()
    pack_dataset(str(root), mine, resolution=8)
    before = digests(mine)
    assert pack_dataset(str(root), mine, resolution=8)["law"]["height"] == 8       # done already
    with pytest.raises(UserError, match="was packed from something else or by another law"):
        pack_dataset(str(root), mine, resolution=16)
    assert digests(mine) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set"]


def test_a_full_disk_is_known_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6, 1000))
    with pytest.raises(UserError, match=r"has 0\.0 GB free and the packed images take"):
        pack_dataset(str(healthy(tmp_path / "set")), tmp_path / "out", resolution=8, channels=3)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("torn", [False, True])
def test_packing_goes_on_where_it_ended(torn: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder(tmp_path / "set", {"cat": 20, "dog": 20})
    (root / "cat" / "003.png").write_bytes(b"")
    pack_dataset(str(root), tmp_path / "whole", resolution=8, channels=3)
    monkeypatch.setattr(packing, "CHUNK", 8 * 8 * 3 * 4)       # four images
    monkeypatch.setattr(packing, "SAFE_EVERY", 0)
    opened, decoded = 0, packing._decode

    def failing(*arguments: object) -> object:
        nonlocal opened
        opened += 1
        if opened == 6:
            raise KeyboardInterrupt
        return decoded(*arguments)

    monkeypatch.setattr(packing, "_decode", failing)
    with pytest.raises(KeyboardInterrupt):
        pack_dataset(str(root), tmp_path / "out", resolution=8, channels=3, workers=1)
    assert not (tmp_path / "out").exists()
    journal = tmp_path / "out.partial" / "images.journal"
    last = json.loads(journal.read_text().splitlines()[-1])
    assert 0 < last["done"] < 40
    if torn:                                                # what a kill in the middle of writing leaves
        with journal.open("a") as handle:
            handle.write('{"identity": "')
        with (tmp_path / "out.partial" / "images.npy").open("ab") as handle:
            handle.write(b"half an image")
    lines: list[str] = []
    opened = 10
    pack_dataset(str(root), tmp_path / "out", resolution=8, channels=3, report=lines.append)
    assert f"going on with images.npy after {last['done']} of 40 images" in lines
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
    assert not (tmp_path / "out.partial").exists()


def test_an_unfinished_pack_of_other_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = healthy(tmp_path / "set")

    def stop(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(packing, "write_text", stop)
        with pytest.raises(UserError, match="No space left on device; what is packed is kept"):
            pack_dataset(str(root), tmp_path / "out", resolution=8, channels=3)
    picture(70).save(root / "cat" / "new.png")
    with pytest.raises(UserError, match="is an unfinished pack of something else, or of files that changed since"):
        pack_dataset(str(root), tmp_path / "out", resolution=8, channels=3)
    (root / "cat" / "new.png").unlink()
    pack_dataset(str(root), tmp_path / "out", resolution=8, channels=3)


def test_a_pack_killed_at_any_moment_ends_byte_equal(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", {"cat": 1500, "dog": 1500}, size=40)
    command = [sys.executable, "-m", "biggan", "data", "pack", str(root), "--resolution", "32", "--workers", "1"]
    pack_dataset(str(root), tmp_path / "whole", resolution=32)
    killed = subprocess.Popen([*command, "--out", str(tmp_path / "out")], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out.partial" / "images.npy").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(int.from_bytes(os.urandom(1)) / 5000)         # at most 51 ms; packing takes ten times that
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    pack_dataset(str(root), tmp_path / "out", resolution=32)
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")

import gzip
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from conftest import make_folder
from PIL import Image
from sklearn.datasets import load_digits

from biggan.data import open_dataset, peek, sample_indices, splits, to_float
from biggan.errors import UserError
from biggan.sampling import to_uint8


def test_digits_are_the_uci_digits() -> None:
    data = open_dataset("digits", resolution=8, channels=1)
    theirs = load_digits()
    assert np.array_equal(data.images[:, 0], np.rint(theirs.images * (255 / 16)).astype(np.uint8))
    assert np.array_equal(data.labels, theirs.target)
    assert data.class_names == tuple("0123456789")


def test_a_folder_of_class_folders(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", {"cat": 3, "dog": 5})
    data = open_dataset(str(root), resolution=8, channels=3)
    assert data.images.shape == (8, 3, 8, 8)
    assert data.class_names == ("cat", "dog")
    assert data.class_counts().tolist() == [3, 5]
    assert peek(str(root)).images == 8
    again = open_dataset(str(root), resolution=8, channels=3)
    assert again.fingerprint == data.fingerprint
    assert np.array_equal(again.images, data.images)
    assert open_dataset(str(root), resolution=16, channels=3).fingerprint != data.fingerprint
    moved = root.rename(tmp_path / "elsewhere")
    (moved / "cat" / "000.png").touch()
    assert open_dataset(str(moved), resolution=8, channels=3).fingerprint == data.fingerprint


def test_train_and_test_sub_folders_are_splits(tmp_path: Path) -> None:
    root = tmp_path / "set"
    make_folder(root / "train", {"cat": 3, "dog": 4})
    with pytest.raises(UserError, match="has no test split"):
        open_dataset(str(root / "train"), resolution=8, channels=1, split="test")
    make_folder(root / "test", {"cat": 1, "dog": 2})
    assert splits(str(root)) == ("train", "test")
    assert splits(str(root / "train")) == splits("digits") == ("train",)
    assert peek(str(root)).images == len(open_dataset(str(root), resolution=8, channels=1)) == 7
    assert open_dataset(str(root), resolution=8, channels=1, split="test").class_counts().tolist() == [1, 2]


def test_a_changed_file_is_decoded_again(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", {"cat": 2, "dog": 2})
    before = open_dataset(str(root), resolution=8, channels=1)
    Image.new("L", (8, 8), 77).save(root / "cat" / "000.png")
    after = open_dataset(str(root), resolution=8, channels=1)
    assert after.fingerprint != before.fingerprint
    assert after.images[0].min() == after.images[0].max() == 77


def test_corrupt_files_are_skipped_by_name(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", {"cat": 3, "dog": 3})
    (root / "cat" / "001.png").write_bytes(b"this is no image")
    whole = (root / "dog" / "002.png").read_bytes()
    (root / "dog" / "002.png").write_bytes(whole[: len(whole) // 2])
    lines: list[str] = []
    data = open_dataset(str(root), resolution=8, channels=3, report=lines.append)
    assert len(data) == 4
    assert data.labels.tolist() == [0, 0, 1, 1]
    assert any(line.startswith("skipped cat/001.png") for line in lines)
    assert any(line.startswith("skipped dog/002.png") for line in lines)
    lines.clear()
    open_dataset(str(root), resolution=8, channels=3, report=lines.append)
    assert sum("skipped" in line for line in lines) == 2      # also from the cache


def test_a_class_without_readable_images_is_an_error(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", {"cat": 1, "dog": 1})
    (root / "cat" / "000.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"class 'cat' of .*set has no readable image"):
        open_dataset(str(root), resolution=8, channels=3)


@pytest.mark.parametrize("where", ["nothing", "one", "flat", "deep", "missing", "file"])
def test_wrong_folders_are_explained(tmp_path: Path, where: str) -> None:
    root = tmp_path / "set"
    if where == "nothing":
        root.mkdir()
        line = "has no class folders with images"
    elif where == "one":
        make_folder(root, {"cat": 2})
        line = "has one class, 'cat'; a class-conditional model needs at least two"
    elif where == "flat":
        make_folder(tmp_path, {"set": 2})
        line = "has images but no class folders"
    elif where == "deep":
        make_folder(root / "photos", {"cat": 2, "dog": 2})
        line = f"one level deeper; use --data {root / 'photos'}"
    elif where == "missing":
        line = "does not exist"
    else:
        root.write_text("")
        line = "is not a folder nor a file of a kind that is read here"
    with pytest.raises(UserError) as error:
        open_dataset(str(root), resolution=8, channels=3)
    assert line in str(error.value)


def test_a_manifest_of_another_program_does_no_harm(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", {"cat": 2, "dog": 2})
    for text in ("not json", "[]", '{"format": "other"}'):
        (root / "manifest.json").write_text(text)
        assert len(open_dataset(str(root), resolution=8, channels=3)) == 4
    with pytest.raises(UserError, match="this recipe brings no data; give --data"):
        open_dataset("", resolution=8, channels=3)


def test_empty_class_folders_are_skipped_by_name(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "set", {"cat": 2, "dog": 2})
    (root / "eel").mkdir()
    lines: list[str] = []
    data = open_dataset(str(root), resolution=8, channels=3, report=lines.append)
    assert data.class_names == ("cat", "dog")
    assert any("eel: no images" in line for line in lines)


def test_an_interrupted_decoding_starts_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder(tmp_path / "set", {"cat": 2, "dog": 2})
    data = open_dataset(str(root), resolution=8, channels=3)
    cached = next(Path(os.environ["BIGGAN_CACHE"]).glob("packs/*"))
    shutil.rmtree(cached)
    cached.with_name(cached.name + ".partial").mkdir()      # what a kill at the beginning leaves
    again = open_dataset(str(root), resolution=8, channels=3)
    assert np.array_equal(again.images, data.images)
    assert [path.name for path in cached.parent.iterdir()] == [cached.name]


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    raw = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files(tmp_path: Path, suffix: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 28, 28))
    write_idx(tmp_path / f"train-images-idx3-ubyte{suffix}", images)
    write_idx(tmp_path / f"train-labels-idx1-ubyte{suffix}", np.array([0, 1, 2, 0, 1, 2]))
    data = open_dataset(str(tmp_path), resolution=32, channels=1, fit="pad")
    assert np.array_equal(data.images[:, 0, 2:30, 2:30], images)
    assert data.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert peek(str(tmp_path)).images == 6
    assert data.renamed(("a", "b", "c")).class_names == ("a", "b", "c")
    with pytest.raises(UserError, match="--class-names has 2 names"):
        data.renamed(("a", "b"))


def test_a_damaged_idx_file_is_named(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([0, 1]))
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + struct.pack(">III", 2, 28, 28) + b"\0" * 100)
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte is damaged"):
        open_dataset(str(tmp_path), resolution=32, channels=1)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"PK")
    with pytest.raises(UserError, match="is not an IDX file"):
        open_dataset(str(tmp_path), resolution=32, channels=1)


def test_the_order_shows_every_row_once_an_epoch_and_can_be_entered_anywhere() -> None:
    whole = sample_indices(3, 0, 35, 10)
    for epoch in range(3):
        assert sorted(whole[epoch * 10 : epoch * 10 + 10]) == list(range(10))
    assert not np.array_equal(whole[:10], whole[10:20])
    assert np.array_equal(sample_indices(3, 17, 12, 10), whole[17:29])


def test_floats_and_bytes_are_inverse() -> None:
    import torch

    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    x = to_float(every)
    assert float(x.min()) == -1
    assert float(x.max()) == 1
    assert torch.equal(to_uint8(x), every)

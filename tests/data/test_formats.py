"""Every form that a data set may have gives the same pixels and labels."""

import io
import json
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from zoo import healthy

from biggan.data import open_dataset, pack_dataset, peek, splits
from biggan.data.sources import open_source
from biggan.data.sources.cifar import unpickle
from biggan.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])
NAMES = ("cat", "dog", "eel")


def files(root: Path) -> list[str]:
    """The images as PNG files, without class folders."""
    root.mkdir()
    for i, pixels in enumerate(PIXELS):
        (root / "sub").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(root / "sub" / f"{i}.png")
    return [f"sub/{i}.png" for i in range(len(PIXELS))]


def class_folders(root: Path) -> Path:
    for i, pixels in enumerate(PIXELS):
        folder = root / NAMES[LABELS[i]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


def stylegan(root: Path) -> Path:
    pairs = [[name, int(label)] for name, label in zip(files(root), LABELS, strict=True)]
    (root / "dataset.json").write_text(json.dumps({"labels": pairs}))
    return root


def csv_semicolons(root: Path) -> Path:
    lines = [f"{Path(name).name};{NAMES[label]}" for name, label in zip(files(root), LABELS, strict=True)]
    (root / "labels.csv").write_text("\ufefffilename;class\n" + "\n".join(lines))
    return root


def csv_bare(root: Path) -> Path:
    lines = [f"{name},{label}.0" for name, label in zip(files(root), LABELS, strict=True)]
    (root / "mine.csv").write_text("\n".join(lines))
    return root / "mine.csv"


def csv_stems(root: Path) -> Path:
    lines = [f"{Path(name).stem},{NAMES[label]}" for name, label in zip(files(root), LABELS, strict=True)]
    (root / "labels.csv").write_text("id,breed\n" + "\n".join(lines))
    return root


def json_mapping(root: Path) -> Path:
    labels = {name: NAMES[label] for name, label in zip(files(root), LABELS, strict=True)}
    (root / "labels.json").write_text(json.dumps(labels))
    return root


def jsonl(root: Path) -> Path:
    objects = [{"file_name": n, "label": int(label)} for n, label in zip(files(root), LABELS, strict=True)]
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, objects)) + "\n")
    return root


def zipped(root: Path, folder: Path) -> Path:
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, Path("my pictures") / file.relative_to(folder))
        archive.writestr("__MACOSX/my pictures/._cat", "")
    return path


def zip_of_folders(root: Path) -> Path:
    return zipped(root, class_folders(root))


def zip_of_stylegan(root: Path) -> Path:
    return zipped(root, stylegan(root))


def cifar_files() -> dict[str, bytes]:
    rows = PIXELS.transpose(0, 3, 1, 2).reshape(len(PIXELS), -1)
    batches = {f"data_batch_{n + 1}": (rows[n : n + 1], [int(LABELS[n])]) for n in range(4)}
    batches |= {"data_batch_5": (rows[4:], LABELS[4:].tolist()), "test_batch": (rows[:2], [0, 1])}
    contents = {
        name: pickle.dumps({b"data": data, b"labels": labels, b"batch_label": b"some"}, protocol=2)
        for name, (data, labels) in batches.items()
    }
    return contents | {"batches.meta": pickle.dumps({b"label_names": [name.encode() for name in NAMES]}, protocol=2)}


def cifar(root: Path) -> Path:
    root.mkdir()
    for name, content in cifar_files().items():
        (root / name).write_bytes(content)
    return root


def cifar_archive(root: Path) -> Path:
    path = root.with_name("cifar-10-python.tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        for name, content in cifar_files().items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def hdf5(root: Path) -> Path:
    h5py = pytest.importorskip("h5py")
    path = root.with_suffix(".hdf5")
    with h5py.File(path, "w") as file:
        file.create_dataset("imgs", data=PIXELS.transpose(0, 3, 1, 2), chunks=(2, 3, 32, 32), compression="lzf")
        file.create_dataset("labels", data=LABELS)
    return path


def parquet(root: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    root.mkdir()
    images = []
    for i, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(buffer := io.BytesIO(), "PNG")
        images.append({"bytes": buffer.getvalue(), "path": f"{i}.png"})
    names = {"info": {"features": {"label": {"names": list(NAMES), "_type": "ClassLabel"}}}}
    for n, rows in enumerate((slice(0, 4), slice(4, 6))):
        table = pyarrow.table({"image": images[rows], "label": LABELS[rows]})
        table = table.replace_schema_metadata({"huggingface": json.dumps(names)})
        write_table(table, root / f"train-{n:05d}-of-00002.parquet", row_group_size=3)
    test = pyarrow.table({"image": images[:2], "label": LABELS[:2]}).replace_schema_metadata(table.schema.metadata)
    write_table(test, root / "test-00000-of-00001.parquet")
    return root


@pytest.mark.parametrize(
    "form",
    [
        class_folders, stylegan, csv_semicolons, csv_bare, csv_stems, json_mapping, jsonl, zip_of_folders,
        zip_of_stylegan, cifar, cifar_archive, hdf5, parquet,
    ],
)  # fmt: skip
def test_every_form_gives_the_same_images(form: Callable[[Path], Path], tmp_path: Path) -> None:
    path = form(tmp_path / "set")
    data = open_dataset(str(path), resolution=32, channels=3)
    order = np.argsort(LABELS, kind="stable") if "folders" in form.__name__ else np.arange(6)
    assert np.array_equal(data.images.transpose(0, 2, 3, 1), PIXELS[order])
    assert data.labels.tolist() == LABELS[order].tolist()
    assert data.class_names in (NAMES, ("0", "1", "2"))
    assert peek(str(path)).images == 6
    named = form in (class_folders, csv_semicolons, csv_stems, json_mapping, zip_of_folders, cifar, parquet)
    assert not named or data.class_names == NAMES


def test_the_hub_by_a_local_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    path = parquet(tmp_path / "set")
    data = open_dataset(f"hub:{path}", resolution=32, channels=3)
    assert np.array_equal(data.images.transpose(0, 2, 3, 1), PIXELS)
    assert splits(f"hub:{path}") == ("train", "test")
    with pytest.raises(UserError, match="hub:/does/not/exist cannot be loaded"):
        open_source("hub:/does/not/exist")


@pytest.mark.parametrize("form", [cifar, cifar_archive, parquet])
def test_test_splits(form: Callable[[Path], Path], tmp_path: Path) -> None:
    path = str(form(tmp_path / "set"))
    assert splits(path) == ("train", "test")
    assert open_dataset(path, resolution=32, channels=3, split="test").labels.tolist() == [0, 1]


def test_a_column_says_which_images_are_for_testing(tmp_path: Path) -> None:
    names = files(tmp_path / "set")
    rows = [f"{name},{LABELS[i]},{'valid' if i > 3 else 'train'}" for i, name in enumerate(names)]
    (tmp_path / "set" / "labels.csv").write_text("file,label,split\n" + "\n".join(rows))
    source = str(tmp_path / "set")
    assert open_dataset(source, resolution=8, channels=3).labels.tolist() == [0, 1, 2, 0]
    assert open_dataset(source, resolution=8, channels=3, split="test").labels.tolist() == [1, 2]


def test_numbers_of_classes_need_no_order_and_no_start(tmp_path: Path) -> None:
    names = files(tmp_path / "set")
    labels = dict(zip(names, [10, 9, 200, 10, 9, 200], strict=True))
    (tmp_path / "set" / "labels.json").write_text(json.dumps(labels))
    data = open_dataset(str(tmp_path / "set"), resolution=8, channels=3)
    assert data.class_names == ("9", "10", "200")
    assert data.labels.tolist() == [1, 0, 2, 1, 0, 2]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("dataset.json", '{"labels": null}', "dataset.json has no labels: the set was made without them"),
        ("dataset.json", '{"labels": [["sub/0.png", [0, 1]]]}', r"dataset.json: \[0, 1\] is no label"),
        ("labels.json", "[", "labels.json cannot be read: Expecting value"),
        ("labels.json", "3", "labels.json must hold"),
        ("labels.csv", "file,colour\na.png,red\n", "has no column for the label .* its columns are file, colour"),
        ("labels.csv", "file,label\nsub/0.png\n", "labels.csv: line 2 has 1 columns, the first has 2"),
        ("labels.csv", "file,label\nsub/0.png,\n", "labels.csv has an empty label"),
        ("labels.csv", "file,label\nnowhere.png,1\n", "no file that labels.csv lists is there, such as nowhere.png"),
        ("labels.csv", "", "labels.csv lists no images"),
        ("labels.jsonl", '{"file": "sub/0.png", "label": 1}\n{"file": "sub/1.png"}\n', "object 2 has no file or"),
    ],
)
def test_label_files_that_cannot_be_understood(name: str, text: str, line: str, tmp_path: Path) -> None:
    files(tmp_path / "set")
    (tmp_path / "set" / name).write_text(text)
    with pytest.raises(UserError, match=line):
        open_dataset(str(tmp_path / "set"), resolution=8, channels=3)


class Attack:
    """Pickles into a call that writes a file."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {os.environ['ATTACKED']}",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_pickle_runs_nothing(protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTACKED", str(tmp_path / "attacked"))
    root = cifar(tmp_path / "set")
    (root / "data_batch_3").write_bytes(pickle.dumps({b"data": Attack(), b"labels": [0]}, protocol=protocol))
    with pytest.raises(UserError, match=r"data_batch_3 asks for (posix|nt)\.system, which no CIFAR file does"):
        open_source(str(root))
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\nscalar\n.",
        b"cbiggan.data.sources.cifar\n_encode.__globals__\n.",
        b"\x80\x04\x8c\x05numpy\x8c\rndarray.dumps\x93.",
        b"(dS'data'\nI1\ns",
        b"",
        b"\x80\x02cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR.",
        b"\x80\x02cnumpy\nndarray\n)\x81}b.",
    ],
)
def test_other_programs_in_pickles_end_in_one_line(program: bytes) -> None:
    try:
        value = unpickle(program, "batch")
    except UserError as error:
        assert "batch asks for" in str(error) or "batch is damaged" in str(error)
    else:
        assert isinstance(value, np.ndarray | dict), value


def test_arrays_come_back_from_pickles_as_they_were() -> None:
    rows = np.arange(24, dtype=np.uint8).reshape(4, 6)
    for array in (rows, np.asfortranarray(rows)):
        for protocol in (2, 3, 4):
            data = pickle.dumps({"data": array, "labels": [1, 2]}, protocol=protocol)
            assert np.array_equal(unpickle(data, "batch")["data"], rows)
    with pytest.raises(UserError, match="damaged"):
        unpickle(pickle.dumps({"data": rows.astype(np.int64)}, protocol=2), "batch")


@pytest.mark.parametrize("kind", ["zip", "hdf5", "tar.gz", "parquet"])
def test_a_file_that_is_not_what_its_name_says(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"set.{kind}"
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match=r"cannot be read") as error:
        open_source(str(path))
    assert str(path) in str(error.value)


def test_an_hdf5_file_of_another_layout_is_explained(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(UserError, match=r"has images; it must have imgs \(N, 3, R, R\) and labels"):
        open_source(str(tmp_path / "a.h5"))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["imgs"], file["labels"] = np.zeros((2, 8, 8, 3), np.uint8), np.zeros(2, np.int64)
    with pytest.raises(UserError, match=r"has imgs \(2, 8, 8, 3\) uint8"):
        open_source(str(tmp_path / "b.h5"))


@pytest.mark.parametrize("module", ["h5py", "pyarrow", "datasets"])
def test_a_missing_extra_is_named(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    (tmp_path / "a.hdf5").write_bytes(b"")
    (tmp_path / "a.parquet").write_bytes(b"")
    source = {"h5py": tmp_path / "a.hdf5", "pyarrow": tmp_path / "a.parquet", "datasets": "hub:a/b"}[module]
    extra = "hdf5" if module == "h5py" else "datasets"
    with pytest.raises(UserError, match=rf"pip install 'biggan-torch\[{extra}\]'"):
        open_source(str(source))


def test_a_class_that_only_the_test_split_has_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "set"
    healthy(root / "train")
    healthy(root / "valid", {"cat": 1, "emu": 1})
    with pytest.raises(UserError, match="valid/emu is no class of train/"):
        open_dataset(str(root), resolution=8, channels=3, split="test")
    (root / "valid" / "emu").rename(root / "valid" / "dog")
    assert open_dataset(str(root), resolution=8, channels=3, split="test").class_counts().tolist() == [1, 1]
    assert set(pack_dataset(str(root), tmp_path / "out", resolution=8)["splits"]) == {"train", "test"}

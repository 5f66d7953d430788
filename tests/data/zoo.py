"""A zoo of broken data sets, made on the fly: each is one fault in an otherwise healthy set."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 24


def picture(seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """A soft random colour picture, unlike any of another seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def healthy(root: Path, classes: dict[str, int] | None = None) -> Path:
    """Class folders of different colour pictures."""
    seed = 0
    for name, count in (classes or {"cat": 6, "dog": 6}).items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            picture(seed := seed + 1).save(root / name / f"{i:03d}.png")
    return root


def bomb() -> bytes:
    """A small PNG file that claims 40,000 x 40,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture(90, (40, 20)), "JPEG", exif=exif)


def near(root: Path, seed: int) -> bytes:
    """The picture of a file, smaller and through JPEG."""
    return encoded(picture(seed, (96, 96)).resize((72, 72)), "JPEG", quality=70)


def corrupt(root: Path) -> None:
    (root / "cat" / "000.png").write_bytes(b"this is no image")


def truncated(root: Path) -> None:
    whole = (root / "cat" / "000.png").read_bytes()
    (root / "cat" / "000.png").write_bytes(whole[: len(whole) // 2])


def empty_file(root: Path) -> None:
    (root / "cat" / "000.png").write_bytes(b"")


def huge(root: Path) -> None:
    (root / "cat" / "000.png").write_bytes(bomb())


def tiny(root: Path) -> None:
    picture(91, (5, 9)).save(root / "cat" / "000.png")


def long(root: Path) -> None:
    picture(92, (90, 24)).save(root / "cat" / "000.png")


def cmyk(root: Path) -> None:
    picture(93).convert("CMYK").save(root / "cat" / "new.tif")


def gray(root: Path) -> None:
    picture(94).convert("L").save(root / "cat" / "new.png")


def palette(root: Path) -> None:
    picture(95).quantize(16).save(root / "cat" / "new.png", transparency=0)


def sixteen(root: Path) -> None:
    ramp = np.outer(np.arange(SIDE), np.arange(SIDE)).astype(np.uint16) * 100
    Image.fromarray(ramp).save(root / "cat" / "new.png")


def animated(root: Path) -> None:
    frames = [picture(96).quantize(64), picture(97).quantize(64)]
    frames[0].save(root / "cat" / "new.gif", save_all=True, append_images=frames[1:])


def rotated(root: Path) -> None:
    (root / "cat" / "new.jpg").write_bytes(turned())


def blank(root: Path) -> None:
    Image.new("RGB", (SIDE, SIDE), "red").save(root / "cat" / "000.png")


def other_files(root: Path) -> None:
    (root / "cat" / "notes.txt").write_text("hello")
    (root / "cat" / "photo.heic").write_bytes(b"ftypheic")


def hidden(root: Path) -> None:
    (root / "cat" / "._000.png").write_bytes(b"a resource fork")
    (root / ".thumbnails").mkdir()
    healthy(root / "__MACOSX")


def too_deep_inside(root: Path) -> None:
    (root / "cat" / "2021").mkdir()
    picture(98).save(root / "cat" / "2021" / "x.png")


def beside(root: Path) -> None:
    picture(99).save(root / "lost.png")


def empty_class(root: Path) -> None:
    (root / "eel").mkdir()


def unreadable_class(root: Path) -> None:
    (root / "eel").mkdir()
    (root / "eel" / "0.png").write_bytes(b"")


def link_loop(root: Path) -> None:
    (root / "cat" / "again").symlink_to(root, target_is_directory=True)


def broken_link(root: Path) -> None:
    (root / "cat" / "gone.png").symlink_to(root / "nothing.png")


def name_of_bytes(root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root / "cat") + b"/\xff.png")).write_bytes(b"")


def enormous(root: Path) -> None:
    with (root / "cat" / "000.png").open("r+b") as file:
        file.truncate(3 << 30)                           # sparse: it takes no room


def pipe(root: Path) -> None:
    os.mkfifo(root / "cat" / "pipe.png")


def two_spellings(root: Path) -> None:
    for name in ("caf\u00e9", "cafe\u0301"):
        (root / name).mkdir()
        picture(len(name)).save(root / name / "0.png")


def case(root: Path) -> None:
    (root / "Cat").mkdir()
    picture(89).save(root / "Cat" / "0.png")


def copies_within(root: Path) -> None:
    for i in range(3):
        Image.open(root / "cat" / f"00{i}.png").save(root / "cat" / f"copy{i}.bmp")


def copies_across(root: Path) -> None:
    (root / "dog" / "same.png").write_bytes((root / "cat" / "000.png").read_bytes())


def near_across(root: Path) -> None:
    picture(88, (96, 96)).save(root / "cat" / "big.png")
    (root / "dog" / "small.jpg").write_bytes(near(root, 88))


def train_and_test(root: Path) -> None:
    classes = [root / "cat", root / "dog"]
    (root / "train").mkdir()
    for folder in classes:
        folder.rename(root / "train" / folder.name)
    healthy(root / "test", {"cat": 2, "dog": 2})         # the seeds begin again, so cats are the first of train


def one_class(root: Path) -> None:
    for file in (root / "dog").iterdir():
        file.unlink()
    (root / "dog").rmdir()


def splits_as_classes(root: Path) -> None:
    (root / "cat").rename(root / "train")
    (root / "dog").rename(root / "test")


def one_level_deeper(root: Path) -> None:
    (root / "photos").mkdir()
    for name in ("cat", "dog"):
        (root / name).rename(root / "photos" / name)


def flat(root: Path) -> None:
    for name in ("cat", "dog"):
        for file in (root / name).iterdir():
            file.rename(root / f"{name}{file.name}")
        (root / name).rmdir()


def all_zero(root: Path) -> None:
    files = [f"{name}/{i:03d}.png" for name in ("cat", "dog") for i in range(6)]
    (root / "labels.csv").write_text("file,label\n" + "".join(f"{file},0\n" for file in files))


def missing_files(root: Path) -> None:
    (root / "labels.csv").write_text("file,label\ncat/000.png,0\ndog/000.png,1\nemu/000.png,1\n")


FEW = "! 2 classes have fewer images than a batch of 64 (cat 6, dog 6)"
DEEP = "such as cat/2021/x.png. Images must lie directly in their class folder"
# What is done to a healthy set of six cats and six dogs; the beginning of a line of the inspection.
ANIMALS: dict[Callable[[Path], None], str] = {
    corrupt: "! 1 file cannot be read and will be skipped: cat/000.png (is no image that Pillow knows). Mend or remove",
    truncated: "! 1 file cannot be read and will be skipped: cat/000.png (",
    empty_file: "! 1 file cannot be read and will be skipped: cat/000.png (is empty: 0 bytes). Mend or remove them",
    huge: "! 1 file cannot be read and will be skipped: cat/000.png (has 1600000000 pixels, too many to be "
    "decoded safely). Mend or remove them",
    tiny: "! 1 image smaller than 16 px, such as cat/000.png (5 x 9). Enlarged they blur",
    long: "! 1 image longer than 2:1, such as cat/000.png (90 x 24). A centre crop loses their ends",
    cmyk: "- 1 image in CMYK, such as cat/new.tif. They become RGB",
    gray: "- 1 image without colour among 12 images with, such as cat/new.png. All become RGB; --channels 1",
    palette: "- 1 image transparent, such as cat/new.png. They are laid over white; --channels 4",
    sixteen: "- 1 image with 16 bits or floats, such as cat/new.png. They are scaled to 8 bits",
    animated: "- 1 image animated, such as cat/new.gif. The first frame is taken",
    rotated: "- 1 image rotated by EXIF, such as cat/new.jpg. They are turned upright",
    blank: "! 1 image of one colour all over, such as cat/000.png. Remove what is no picture",
    other_files: "- left out as no images by their names: 2 (.txt 1, .heic 1). If they are images, ",
    hidden: FEW,
    too_deep_inside: f"! left out of cat: 1 in sub-folders, {DEEP}",
    beside: "! left out beside the class folders: 1, such as lost.png. Put each into ",
    empty_class: "! skipped eel: no images in it. Remove it",
    unreadable_class: "x class 'eel' has no readable image. Remove it or mend its files",
    link_loop: "! cat/again is a link back to a folder that it lies in, and was not followed. Remove the link",
    name_of_bytes: "! b'cat/\\xff.png' has a name that is not UTF-8, and was left out. Rename it",
    enormous: "! 1 file cannot be read and will be skipped: cat/000.png (has 3.2 GB, too much for an image). Mend or",
    pipe: FEW,
    two_spellings: "! class names differ only in case or spaces: 'cafe\u0301' and 'caf\u00e9'. If they are one class",
    broken_link: "! cat/gone.png is a link to nowhere or to itself. Remove or mend it",
    case: "! class names differ only in case or spaces: 'Cat' and 'cat'. If they are one class, ",
    copies_within: "! 3 copies of the same pixels within a class, such as cat/000.png and cat/copy0.bmp. ",
    copies_across: "! 1 copy of the same pixels in several classes, such as cat/000.png and dog/same.png. ",
    near_across: "! 1 pair of nearly the same picture in several classes, such as cat/big.png and dog/small.jpg. ",
    train_and_test: "! 4 copies of the same pixels in train and test, such as train/cat/000.png and test/cat/000.png. ",
    one_class: "x ROOT has one class, 'cat'; a class-conditional model needs at least two. Put each class into ",
    splits_as_classes: "! 2 classes are named like a part of a data set (test, train). If they are, ",
    one_level_deeper: "x ROOT has its class folders one level deeper; use --data ROOT/photos",
    flat: "x ROOT has images but no class folders; put each class into a sub-folder of its own",
    all_zero: "x ROOT has one class, '0'; a class-conditional model needs at least two. All 12 images have this ",
    missing_files: "! listed in labels.csv but not there: 1, such as emu/000.png. They are left out; mend the list",
}

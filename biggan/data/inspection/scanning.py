"""A look at every image: size, mode, damage, and hashes for finding duplicates.

What was seen is kept in the cache folder by blocks, under a hash of the file list: an interrupted scan goes on,
and the second inspection of the same files starts at once. A million images are 350 MB of records.
"""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps

from biggan.data.dataset import fingerprint
from biggan.data.images import to_eight_bits, to_mode
from biggan.data.ordered import default_workers, in_order
from biggan.data.sources.source import UNREADABLE, Images, unreadable
from biggan.files import atomic_write, cache_folder
from biggan.progress import Progress

VERSION = 2             # raise it when the records change
BLOCK = 4096            # images a file of the cache
CHUNK = 64              # images a thread looks at before it hands them over
SIDE = 32               # of the small gray image that is hashed
ORIENTATION = 0x0112    # EXIF
OPAQUE = 250            # and above: nothing shows through

RECORD = np.dtype([
    ("width", "u4"),            # as shown, after EXIF rotation
    ("height", "u4"),
    ("mode", "S8"),             # Pillow's
    ("format", "S8"),
    ("animated", "?"),
    ("rotated", "?"),           # by EXIF
    ("transparent", "?"),       # in some pixel
    ("blank", "?"),             # one colour all over
    ("gray", "?"),              # no colour in any pixel of the small image
    ("digest", "S32"),          # of the pixels, so a copy in another lossless format counts as one
    ("hash", "u8"),             # perceptual: near images have hashes that differ in few bits
    ("thumb", "u1", (16, 16)),  # gray
    ("colour", "u1", (3,)),     # mean
    ("error", "S100"),          # why it can't be read, else empty
])  # fmt: skip


def scan(images: Images, report: Callable[[str], None], workers: int = 0) -> NDArray[np.void]:
    """A RECORD for each image, in their order. Goes on where an interrupted scan of the same files ended."""
    folder = cache_folder() / "scans" / fingerprint(images.stamp(), VERSION, PIL.__version__)
    blocks = [folder / f"{start:012d}.npy" for start in range(0, len(images), BLOCK)]
    progress = Progress("looked at", len(images), report)
    for number, path in enumerate(blocks):
        first, last = number * BLOCK, min(len(images), (number + 1) * BLOCK)
        if path.is_file():
            progress.skip(last - first)
        else:
            _scan_block(images, first, last, path, progress, workers or default_workers())
    return np.concatenate([np.zeros(0, RECORD), *(np.load(path, allow_pickle=False) for path in blocks)])


def _scan_block(images: Images, first: int, last: int, path: Path, progress: Progress, workers: int) -> None:
    records = np.zeros(last - first, RECORD)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")         # Pillow's, about odd but readable files
        for chunk, seen in in_order(lambda chunk: _look(images, chunk), first, last, CHUNK, workers):
            records[chunk.start - first : chunk.stop - first] = seen
            progress.advance(len(chunk))
    with atomic_write(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, records, allow_pickle=False)


def _look(images: Images, chunk: range) -> NDArray[np.void]:
    """The records of a few images."""
    records = np.zeros(len(chunk), RECORD)
    small = np.zeros((len(chunk), SIDE, SIDE), dtype=np.uint8)
    for n, i in enumerate(chunk):
        try:
            with images.open(i) as image:
                small[n] = _look_at(image, records[n])
        except UNREADABLE as error:
            records[n]["error"] = unreadable(error).encode()[:100] or b"unreadable"
    records["hash"] = perceptual_hash(small)
    records["thumb"] = small.reshape(len(chunk), 16, 2, 16, 2).mean(axis=(2, 4)).astype(np.uint8)
    return records


def _look_at(image: Image.Image, record: np.void) -> NDArray[np.uint8]:
    """Fill a record but for what is computed of all small images at once; the small gray image."""
    record["format"] = (image.format or "array").encode()
    record["mode"] = image.mode.encode()
    record["animated"] = getattr(image, "is_animated", False)
    record["rotated"] = image.getexif().get(ORIENTATION, 1) != 1
    record["transparent"] = has_holes(image)
    image = ImageOps.exif_transpose(image)
    record["width"], record["height"] = image.size
    rgb = to_mode(to_eight_bits(image), "RGB")
    record["digest"] = hashlib.blake2b(rgb.tobytes(), digest_size=16, person=b"%dx%d" % rgb.size).hexdigest().encode()
    small = np.asarray(rgb.resize((SIDE, SIDE), Image.Resampling.BOX))
    record["blank"] = not np.ptp(small, axis=(0, 1)).any()
    record["gray"] = not np.ptp(small, axis=2).any()
    record["colour"] = small.mean(axis=(0, 1))
    gray: NDArray[np.uint8] = np.rint(small @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    return gray


def has_holes(image: Image.Image) -> bool:
    """Whether something shows through; an alpha channel alone does not say so."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return False
    alpha = np.asarray(to_mode(to_eight_bits(image), "RGBA"))[..., 3]
    return bool(alpha.min() < OPAQUE)


def perceptual_hash(small: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """64 bits of each small gray image (N, 32, 32): which of its 8 x 8 lowest cosine coefficients exceed their median.

    Zauner (2010), "Implementation and benchmarking of perceptual image hash functions", the DCT hash.
    """
    basis = np.cos(np.pi / SIDE * np.outer(np.arange(8), np.arange(SIDE) + 0.5))
    coefficients = (basis @ small.astype(np.float64) @ basis.T).reshape(len(small), 64)
    above = coefficients > np.median(coefficients[:, 1:], axis=1, keepdims=True)        # without the mean
    return np.packbits(above, axis=1).view(np.uint64)[:, 0]

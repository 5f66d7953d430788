"""How much faster than decoding PNG files is a packed set, and how fast is packing?

    python benchmarks/loading.py

Both sides alternate in one process: batches of 64 random images, as training asks for them, once decoded from
files by as many threads as there are processors, once gathered from the packed set. The files are written for it:
soft random pictures with a little noise, which PNG compresses like photographs. Both sides read from the page
cache. Medians.
"""

import argparse
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from biggan.data import LabelledImages, open_dataset, pack_dataset
from biggan.data.ordered import default_workers
from biggan.data.packing import Law

BATCH = 64


def write_files(folder: Path, count: int, size: int) -> list[Path]:
    """PNG files in two class folders, in the order of their names."""
    random = np.random.default_rng(size)
    files = []
    for i in range(count):
        file = folder / ("a" if i < count // 2 else "b") / f"{i:06d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        soft = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((size, size), 3)
        noise = random.normal(0, 3, (size, size, 3))
        Image.fromarray((np.asarray(soft) + noise).clip(0, 255).astype(np.uint8)).save(file)
        files.append(file)
    return files


def decoded(files: list[Path], rows: np.ndarray, law: Law, pool: ThreadPoolExecutor) -> torch.Tensor:
    """A batch from files."""

    def one(row: int) -> np.ndarray:
        with Image.open(files[row]) as image:
            return law.apply(image)

    return torch.from_numpy(np.stack(list(pool.map(one, rows.tolist()))))


def compare(files: list[Path], data: LabelledImages, law: Law, batches: int) -> tuple[float, float]:
    """Images a second: of decoding, and of the packed set."""
    random = np.random.default_rng(0)
    times: dict[str, list[float]] = {"files": [], "packed": []}
    with ThreadPoolExecutor(default_workers()) as pool:
        for n in range(batches + 3):
            rows = random.integers(0, len(files), BATCH)
            began = time.perf_counter()
            slow = decoded(files, rows, law, pool)
            middle = time.perf_counter()
            fast, _ = data.batch(rows)
            ended = time.perf_counter()
            if not torch.equal(slow, fast):
                raise AssertionError("the two sides give different images")
            if n >= 3:
                times["files"].append(middle - began)
                times["packed"].append(ended - middle)
    files_time, packed_time = (statistics.median(each) for each in times.values())
    return BATCH / files_time, BATCH / packed_time


def main() -> None:
    """Print one line a size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--batches", type=int, default=60)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    print(f"torch {torch.__version__}, {default_workers()} processors, batches of {BATCH}")
    print(f"{'px':>4s} {'PNG files/s':>12s} {'packed/s':>12s} {'ratio':>7s} {'packing/s':>10s}")
    for size in (32, 128):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            count = arguments.images if size == 32 else arguments.images // 4
            files = write_files(root / "files", count, size)
            began = time.perf_counter()
            pack_dataset(str(root / "files"), root / "packed", resolution=size, channels=3)
            packing = count / (time.perf_counter() - began)
            data = open_dataset(str(root / "packed"), resolution=size, channels=3)
            slow, fast = compare(files, data, Law(size, size, 3), arguments.batches)
            print(f"{size:4d} {slow:12,.0f} {fast:12,.0f} {fast / slow:7.1f} {packing:10,.0f}")


if __name__ == "__main__":
    main()

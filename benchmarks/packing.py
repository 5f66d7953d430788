"""Does packing 60,000 files survive SIGKILL, and is the result the same to the byte?

    python benchmarks/packing.py            # writes 60,000 PNG files of Fashion-MNIST for it

Packs once without interruption, then again with kills at random moments, and compares all files of the two sets.
"""

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from biggan.data.sources import open_source

FASHION = "/usr/share/datasets/fashion-mnist"


def write_files(source: str, folder: Path, count: int) -> None:
    """The first images of a source as PNG files in class folders."""
    opened = open_source(source)
    for i in range(min(count, len(opened.labels))):
        file = folder / opened.class_names[opened.labels[i]] / f"{i:06d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        opened.images.open(i).save(file)


def start(files: Path, out: Path) -> "subprocess.Popen[str]":
    """The command, in a process of its own."""
    command = [sys.executable, "-m", "biggan", "data", "pack", str(files), "--resolution", "32", "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def size(path: Path) -> int:
    """Bytes of a file, 0 if it is not there."""
    return path.stat().st_size if path.exists() else 0


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a packed set."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def main() -> None:
    """Print the times, the kills and whether the two sets are equal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", default=FASHION)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_files(arguments.source, root / "files", arguments.images)
        began = time.perf_counter()
        _, errors = (process := start(root / "files", root / "whole")).communicate()
        if process.returncode:
            sys.exit(errors)
        whole = time.perf_counter() - began
        print(f"{arguments.images:,} PNG files packed in {whole:.1f} s, {arguments.images / whole:,.0f} images/s")
        kills, partial = 0, root / "killed.partial" / "images.npy"
        total = size(root / "whole" / "images.npy")
        for part in range(arguments.kills):             # each somewhere in its part of the work
            process = start(root / "files", root / "killed")
            moment = total * (part + chance.random()) / arguments.kills
            while process.poll() is None and size(partial) < moment:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += partial.exists()
            print(f"kill {part + 1}: {size(partial):,} of {total:,} bytes of images were written")
        _, errors = (process := start(root / "files", root / "killed")).communicate()
        print("\n".join(line for line in errors.splitlines() if line.startswith("going on")))
        equal = digests(root / "whole") == digests(root / "killed")
        print(f"{kills} kills; the two sets are {'the same to the byte' if equal else 'DIFFERENT'}")
        sys.exit(not equal)


if __name__ == "__main__":
    main()

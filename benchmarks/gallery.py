"""The data sets of docs/gallery.md, as folders of class folders.

    npm pack emoji-datasource-google && tar xzf emoji-datasource-google-*.tgz        # makes the folder package
    python benchmarks/gallery.py emoji package --out emoji              # 9 classes, 64 px, transparent

    apt-get install dataset-fashion-mnist
    python benchmarks/gallery.py uneven /usr/share/datasets/fashion-mnist --out uneven

The emoji come by kinds that can be told by eye, made of Unicode's sub-categories: its own nine categories mix
pictures that have nothing in common. In the uneven set class k keeps 6000 / 50^(k/9) images.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from biggan.data import open_dataset

RATIO = 50
KINDS = {
    "animals": ("animal-amphibian", "animal-bird", "animal-bug", "animal-mammal", "animal-marine", "animal-reptile"),
    "buttons": ("alphanum", "arrow", "av-symbol", "keycap", "transport-sign", "zodiac"),
    "clocks": ("time",),
    "couples": ("family",),
    "flags": ("country-flag", "subdivision-flag"),
    "hands": ("hand-fingers-closed", "hand-fingers-open", "hand-fingers-partial", "hand-single-finger", "hands"),
    "hearts": ("heart",),
    "people": ("person", "person-gesture"),
    "smileys": (
        "face-affection", "face-concerned", "face-hand", "face-negative", "face-neutral-skeptical", "face-sleepy",
        "face-smiling", "face-tongue", "face-unwell",
    ),
}  # fmt: skip
NAMES = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]


def emoji(package: Path, out: Path) -> None:
    """Google's emoji, with all skin tones, a folder a kind."""
    kind_of = {part: kind for kind, parts in KINDS.items() for part in parts}
    for entry in json.loads((package / "emoji.json").read_text(encoding="utf-8")):
        variants = [entry, *entry.get("skin_variations", {}).values()]
        for file in (package / "img/google/64" / variant["image"] for variant in variants):
            if file.is_file() and entry["subcategory"] in kind_of:
                folder = out / kind_of[entry["subcategory"]]
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, folder / file.name)


def uneven(source: Path, out: Path) -> None:
    """Fashion-MNIST with ever fewer images of each class, the last with a fiftieth of the first."""
    data = open_dataset(str(source), resolution=28, channels=1)
    for label, name in enumerate(NAMES):
        folder = out / f"{label}-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        rows = (data.labels == label).nonzero()[0]
        for row in rows[: round(6000 / RATIO ** (label / 9))]:
            Image.fromarray(np.array(data.images[row, 0])).save(folder / f"{row:05d}.png")


def main() -> None:
    """Write one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=["emoji", "uneven"])
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    {"emoji": emoji, "uneven": uneven}[given.which](given.source, given.out)
    for folder in sorted(given.out.iterdir()):
        print(f"{len(list(folder.iterdir())):6,}  {folder.name}")


if __name__ == "__main__":
    main()

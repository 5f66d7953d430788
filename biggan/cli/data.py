"""`biggan data inspect` and `biggan data pack`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from biggan.cli.app import app
from biggan.errors import UserError

SOURCE_HELP = "folder, label file, zip, IDX, CIFAR, HDF5 or parquet files, hub:owner/name, or a packed set"

data = App(name="data", help="Look into a data set, and pack it for training.")
app.command(data)


@data.command
def inspect(
    source: Annotated[str, Parameter(name="path", help=SOURCE_HELP)],
    /,
    *,
    resolution: Annotated[int | None, Parameter(help="what it shall be trained at; smaller images are named")] = None,
    batch_size: Annotated[int, Parameter(help="smaller classes are named")] = 64,
    as_json: Annotated[bool, Parameter(name="--json", help="JSON instead of text", negative=())] = False,
    html: Annotated[Path | None, Parameter(help="file for a page with samples of each class")] = None,
) -> None:
    """Look at every image: classes, sizes, damage, copies, and what to do. Exit code 2 if it cannot be trained."""
    from biggan.data import inspect_dataset
    from biggan.data.inspection.text import as_text
    from biggan.files import write_text

    if resolution is not None and resolution < 1:
        raise UserError(f"--resolution {resolution} must be at least 1")
    if batch_size < 1:
        raise UserError(f"--batch-size {batch_size} must be at least 1")
    inspection = inspect_dataset(source, resolution=resolution, batch_size=batch_size, report=_say)
    print(json.dumps(inspection.numbers(), indent=1, ensure_ascii=False) if as_json else as_text(inspection))
    if html is not None:
        from biggan.data.inspection.page import as_page

        write_text(html, as_page(inspection))
        _say(f"wrote {html}")
    if not inspection.trainable:
        raise UserError(f"{source} {inspection.verdict}")


@data.command
def pack(
    source: Annotated[str, Parameter(name="path", help=SOURCE_HELP)],
    /,
    *,
    resolution: Annotated[int, Parameter(help="height of the packed images, and width of square ones")],
    out: Annotated[Path, Parameter(help="folder for the packed set; the same command again goes on")],
    width: Annotated[int | None, Parameter(help="of images that are not square")] = None,
    channels: Annotated[Literal[1, 3, 4] | None, Parameter(help="by default 1 if all is gray, else 3")] = None,
    fit: Annotated[Literal["crop", "pad"], Parameter(help="bring to size by a centre crop, or by padding")] = "crop",
    resize: Annotated[Literal["lanczos", "area"], Parameter(help="the filter, both antialiased")] = "lanczos",
    test_fraction: Annotated[float | None, Parameter(help="part of each class kept for testing; else as it is")] = None,
    workers: Annotated[int | None, Parameter(help="threads; by default as many as processors")] = None,
) -> None:
    """Decode a data set once into arrays that training maps into memory."""
    from biggan.data import pack_dataset

    for flag, value in (("resolution", resolution), ("width", width), ("workers", workers)):
        if value is not None and value < 1:
            raise UserError(f"--{flag} {value} must be at least 1")
    if test_fraction is not None and not 0 < test_fraction < 1:
        raise UserError(f"--test-fraction {test_fraction:g} must be between 0 and 1")
    try:
        manifest = pack_dataset(
            source,
            out,
            resolution=(resolution, width or resolution),
            channels=channels,
            fit=fit,
            resize=resize,
            test_fraction=test_fraction,
            workers=workers or 0,
            report=_say,
        )
    except KeyboardInterrupt:
        _say(f"stopped; what is packed is kept in {out}.partial, and the same command goes on")
        raise
    law = manifest["law"]
    for split, entry in manifest["splits"].items():
        for name, why in list(entry["skipped"].items())[:10]:
            _say(f"skipped {name}: {why}")
        if len(entry["skipped"]) > 10:
            _say(f"skipped {len(entry['skipped']) - 10:,} more, all named in {out / 'manifest.json'}")
        size = f"{law['channels']} x {law['height']} x {law['width']}"
        print(f"{split}: {entry['images']:,} images in {len(manifest['class_names'])} classes, {size}")
    print(f"wrote {out}\nnext: biggan train auto --data {out}")


def _say(line: str) -> None:
    """Progress, apart from what the command answers."""
    print(line, file=sys.stderr, flush=True)

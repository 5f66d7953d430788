"""`biggan classes`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from biggan.cli.app import SEVERAL, app
from biggan.errors import UserError


@app.command
def classes(
    model: Annotated[Path, Parameter(help="a run or an export")],
    /,
    *,
    keep: Annotated[list[str] | None, SEVERAL, Parameter(help="only these classes, in this order")] = None,
    drop: Annotated[list[str] | None, SEVERAL, Parameter(help="all classes but these")] = None,
    add: Annotated[
        list[str] | None, SEVERAL, Parameter(help="new=old, new=old+old for their mean, or new for one at random")
    ] = None,
    out: Annotated[Path | None, Parameter(help="folder for the export with these classes")] = None,
) -> None:
    """List the classes of a model, or keep, drop and add some. Kept classes draw the images they drew before."""
    from biggan.finetuning import load_start
    from biggan.model import BigGAN
    from biggan.surgery import edited

    if not (keep or drop or add):
        for index, name in enumerate(BigGAN.from_pretrained(model).class_names):
            print(f"{index:4d}  {name}")
        return
    if out is None:
        raise UserError("give --out, the folder for the export with these classes")
    made = edited(load_start(model, print), keep or (), drop or (), add or ())
    made.save_pretrained(out)
    print(f"wrote {out}: {len(made.class_names)} classes, {'G and D' if made.D is not None else 'G'}")
    if add:
        print(f"next: biggan train --init {out} --data FOLDER, which teaches the new ones")

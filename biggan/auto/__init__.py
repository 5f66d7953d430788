"""Choosing a recipe for a data set and a machine: `biggan train auto`.

machine.py   memory that is left; the time of an iteration, measured, and its memory, foreseen
choose.py    the rules, each with its reason
"""

import os
from collections.abc import Mapping
from typing import Any

from biggan.auto.choose import Choice, choose
from biggan.auto.machine import Machine
from biggan.data.survey import survey
from biggan.errors import UserError
from biggan.training import resolve_device

__all__ = ["Choice", "Machine", "choose", "recipe_for"]


def recipe_for(given: Mapping[str, Any], minutes: float | None) -> Choice:
    """The recipe for the data in `given` on this machine, with the user's other fields kept. Raises UserError."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            "train auto measures one process; let it choose with --dry-run, put what it prints into a file, "
            "and give that to torchrun ... train --config FILE"
        )
    if given.get("init"):
        raise UserError("train auto chooses networks and --init brings them; leave one of the two out")
    machine = Machine(resolve_device(str(given.get("device", "auto"))))
    choice = choose(survey(str(given.get("data") or "")), machine, minutes, given)
    return Choice(choice.recipe, (f"chosen on {machine}, {machine.memory / 2**30:.1f} GB left", *choice.reasons))

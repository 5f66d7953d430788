"""`biggan` with process 1 coming to grief at the second iteration: `failing_worker.py HOW ARGUMENTS`.

HOW is bug, mistake or kill; with explode a weight of G explodes in all processes at the fifth iteration.
"""

import os
import signal
import sys

import torch

import biggan.training
from biggan.cli import main
from biggan.errors import UserError

how, sys.argv = sys.argv[1], ["biggan", *sys.argv[2:]]
iterate = biggan.training.iterate


def failing(state, config, data):  # type: ignore[no-untyped-def]
    if os.environ["RANK"] == "1" and state.images_seen >= config.batch_size:
        if how == "bug":
            raise ZeroDivisionError("the bug of process 1")
        if how == "mistake":
            raise UserError("process 1 has no disk")
        os.kill(os.getpid(), signal.SIGKILL)
    return iterate(state, config, data)


def exploding(state, config, data):  # type: ignore[no-untyped-def]
    metrics = iterate(state, config, data)
    if state.images_seen == 5 * config.batch_size and not state.rollbacks:
        with torch.no_grad():
            state.G.linear.weight.mul_(100)
    return metrics


biggan.training.iterate = exploding if how == "explode" else failing
main()

"""`biggan` with process 1 coming to grief at the second iteration: `failing_worker.py HOW ARGUMENTS`."""

import os
import signal
import sys

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


if how != "none":
    biggan.training.iterate = failing
main()

"""The command `biggan`: a thin face, a file a command. Heavy imports stay inside, so `--help` is instant."""

import os
import sys
import traceback
import typing

from cyclopts import CycloptsError

from biggan.cli import bench, classes, convert, data, evaluate, explore, export, plan, report, sample, studio, train
from biggan.cli.app import app
from biggan.errors import UserError

__all__ = [
    "app", "bench", "classes", "convert", "data", "evaluate", "explore", "export", "main", "plan", "report", "sample",
    "studio", "train",
]  # fmt: skip

FAULTS: dict[type[OSError], str] = {
    FileExistsError: "is a file where a folder is needed",
    NotADirectoryError: "lies in a file where a folder is needed",
    IsADirectoryError: "is a folder where a file is needed",
    PermissionError: "may not be read or written by you",
    FileNotFoundError: "does not exist",
}


def main() -> None:
    """Run the command line; a user's mistake ends with one line on stderr and exit code 2."""
    try:
        app(exit_on_error=False, print_error=False)
    except (UserError, CycloptsError) as error:
        fail(f"biggan: error: {' '.join(str(error).split())}")
    except OSError as error:
        fail(f"biggan: error: {what_of(error)}")
    except KeyboardInterrupt:
        fail("biggan: interrupted", code=130)
    except Exception:
        spoken = speaks()
        if spoken and not in_company():
            raise
        if spoken:
            traceback.print_exc()
        leave(1)


def what_of(error: OSError) -> str:
    """The line for a file or a folder that could not be used."""
    if error.filename is None:
        return str(error)
    known = (text for kind, text in FAULTS.items() if isinstance(error, kind))
    return f"{error.filename} {next(known, f'cannot be used ({error.strerror})')}; give another path"


def fail(line: str, code: int = 2) -> typing.NoReturn:
    """End with one line on stderr, from whichever process fails first."""
    if speaks():
        print(line, file=sys.stderr)
    leave(code)


def leave(code: int) -> typing.NoReturn:
    """End with an exit code; of several processes at once, since the threads of a broken group abort a tidy end."""
    if in_company():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def in_company() -> bool:
    """Whether this process trains together with others."""
    if "torch" not in sys.modules:
        return False
    from biggan import distributed

    return distributed.world_size() > 1


def speaks() -> bool:
    """Whether this process reports a failure: of several only the first that fails."""
    if "torch" not in sys.modules:      # a wrong flag, which all of them saw
        return os.environ.get("RANK", "0") == "0"
    from biggan import distributed

    return distributed.first_to_fail()

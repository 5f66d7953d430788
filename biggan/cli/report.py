"""`biggan report`: a run as one page."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from biggan.cli.app import app


@app.command
def report(run: Annotated[Path, Parameter(help="a run")], /) -> None:
    """Write RUN/report.html anew: sheets over time, curves, notes, configuration. Training does it at each preview."""
    from biggan.report import write_report

    print(f"wrote {write_report(run)}")

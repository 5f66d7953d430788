"""`biggan studio`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from biggan.cli.app import app
from biggan.display import PlainObserver
from biggan.errors import UserError


@app.command
def studio(
    model: Annotated[Path, Parameter(help="a run, an export or a checkpoint of a run")],
    other: Annotated[Path | None, Parameter(help="another one to compare it with")] = None,
    /,
    *,
    port: Annotated[int, Parameter(help="port on 127.0.0.1; 0 takes a free one")] = 8000,
    device: Annotated[str, Parameter(help="auto, cpu, cuda or mps")] = "auto",
    open_: Annotated[bool, Parameter(name="--open", help="open the page in the browser", negative=())] = False,
) -> None:
    """Draw, explore, interpolate, mix and compare in the browser. Only this machine can reach the page."""
    if not 0 <= port < 2**16:
        raise UserError(f"--port {port} is not from 0 to 65535")
    try:
        from biggan.web.serve import listen, serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("fastapi", "pydantic", "starlette", "uvicorn"):
            raise
        raise UserError("biggan studio needs fastapi and uvicorn: pip install 'biggan-torch[web]'") from error
    from biggan.opening import open_model
    from biggan.training import resolve_device

    with listen(port) as socket:
        where = resolve_device(device)
        models = {path: open_model(path, where, PlainObserver().message) for path in (model, other) if path is not None}
        address = f"http://127.0.0.1:{socket.getsockname()[1]}"
        print(f"studio at {address} (Ctrl-C ends it)", flush=True)
        serve(models, socket, open_in_browser=address if open_ else None)

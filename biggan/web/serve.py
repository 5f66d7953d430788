"""Serving the application on the loopback interface, until Ctrl-C or SIGTERM."""

import contextlib
import socket
import webbrowser
from collections.abc import Mapping
from pathlib import Path

import uvicorn

from biggan.errors import UserError
from biggan.model import BigGAN
from biggan.web.app import create_app

MOST_CONNECTIONS = 256


def listen(port: int) -> socket.socket:
    """A socket that listens on 127.0.0.1; UserError if the port is taken."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(("127.0.0.1", port))
        found.listen(MOST_CONNECTIONS)
    except OSError as error:
        found.close()
        raise UserError(f"--port {port} cannot be used ({error.strerror}); give another one, or 0 for any") from error
    return found


def make_server(models: Mapping[Path, BigGAN]) -> uvicorn.Server:
    """A server of the application, not yet running."""
    return uvicorn.Server(
        uvicorn.Config(
            create_app(models),
            log_level="warning",
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=2,
            server_header=False,
        )
    )


def serve(models: Mapping[Path, BigGAN], listening: socket.socket, *, open_in_browser: str | None = None) -> None:
    """Answer requests until the process is asked to end."""
    server = make_server(models)
    if open_in_browser:
        webbrowser.open(open_in_browser)
    with contextlib.suppress(KeyboardInterrupt):        # uvicorn raises it again after its end
        server.run(sockets=[listening])

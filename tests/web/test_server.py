"""A real server: what only sockets show."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from studio_app import ONE, lines_of, saved, small_model

from biggan import BigGAN
from biggan.web.serve import listen, make_server

BODY = json.dumps({"pictures": [ONE] * 64})
JSON = {"content-type": "application/json"}


@pytest.fixture
def model() -> BigGAN:
    return small_model()


@pytest.fixture
def port(model: BigGAN) -> Iterator[int]:
    server = make_server({Path("runs/demo"): model})
    with listen(0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()


def ask(port: int, path: str, body: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET" if body is None else "POST", path, body, {} if body is None else JSON)
    done = connection.getresponse()
    content = done.read()
    connection.close()
    return done.status, content


def slowed(model: BigGAN, seconds: float) -> list[float]:
    """Make the model's passes slow; the list grows with each."""
    times: list[float] = []
    drawing = model.G.synthesize

    def slow(*given: Any) -> Any:
        times.append(time.monotonic())
        time.sleep(seconds)
        return drawing(*given)

    model.G.synthesize = slow
    return times


def test_pictures_arrive_while_others_are_drawn(port: int, model: BigGAN) -> None:
    slowed(model, 0.02)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/api/draw", BODY, JSON)
    done = connection.getresponse()
    came = [time.monotonic() for _ in iter(done.readline, b"")]
    assert len(came) == 65
    assert came[-1] - came[1] > 0.1             # 16 passes: the first picture does not wait for the last


@pytest.mark.parametrize("path", ["/api/draw", "/api/zip"])
def test_a_client_that_goes_away_stops_its_work(port: int, model: BigGAN, path: str) -> None:
    passes = slowed(model, 0.05)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json"
        connection.sendall(f"{head}\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}".encode())
        deadline = time.monotonic() + 10
        while not passes and time.monotonic() < deadline:
            time.sleep(0.005)
    while json.loads(ask(port, "/api/status")[1])["waiting"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert 1 <= len(passes) < 16


def test_paths_that_no_client_library_sends(port: int) -> None:
    for path in ("/../app.py", "/static/../../app.py", "/..%2f..%2fapp.py", "/%2e%2e/", "//etc/passwd", "/./studio.js"):
        status, content = ask(port, path)
        assert (status, set(json.loads(content))) == (404, {"error"})


def test_fifty_clients_get_pictures_or_are_told_to_wait(port: int) -> None:
    counts: Counter[int] = Counter()
    until = time.monotonic() + 3

    def drive() -> None:
        while time.monotonic() < until:
            status, content = ask(port, "/api/draw", BODY)
            counts[status] += 1
            if status == 200:
                assert len(lines_of(content.decode())) == 65
            else:
                time.sleep(0.1)

    clients = [threading.Thread(target=drive) for _ in range(50)]
    for client in clients:
        client.start()
    page = ask(port, "/")[0]
    for client in clients:
        client.join()
    assert page == 200
    assert set(counts) <= {200, 429}
    assert counts[200] >= 10
    assert json.loads(ask(port, "/api/status")[1])["waiting"] == 0


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    source, _ = saved(small_model(), tmp_path / "export")
    with listen(0) as taken:
        number = taken.getsockname()[1]
        command = [sys.executable, "-m", "biggan", "studio", str(source), "--port", str(number)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr == f"biggan: error: --port {number} cannot be used (Address already in use); " \
        "give another one, or 0 for any\n"


def test_the_command_serves_until_ctrl_c(tmp_path: Path) -> None:
    source, _ = saved(small_model(), tmp_path / "export")
    command = [sys.executable, "-m", "biggan", "studio", str(source), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    port = int(line.split()[2].rpartition(":")[2])
    assert ask(port, "/api/models")[0] == 200
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")


def test_without_the_extra_the_command_says_what_to_install(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['uvicorn'] = None; from biggan.cli import main; main()"
    command = [sys.executable, "-c", hidden, "studio", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "pip install 'biggan-torch[web]'" in done.stderr


def test_help_waits_for_no_server() -> None:
    code = "import sys, biggan.cli; sys.exit(any(name in sys.modules for name in ('fastapi', 'uvicorn', 'torch')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_the_loopback_interface_listens() -> None:
    with listen(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"

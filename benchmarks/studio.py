"""How soon the studio shows a first image, and how it bears fifty clients.

    python benchmarks/studio.py MODEL [--clients 50] [--seconds 60]

Starts `biggan studio MODEL` as a process of its own. First: the time from a click on Re-roll in headless
Chromium to the first image of the grid that is loaded, and to the first image over HTTP alone. Then: so
many clients that each ask for 24 pictures again and again for so many seconds; what they were answered,
how long the page took meanwhile, and the server's memory. Prints a Markdown table for docs/studio.md.
"""

import argparse
import http.client
import json
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

CLICK = """() => new Promise((done) => {
  const began = performance.now();
  const seen = () => done(performance.now() - began);
  document.getElementById("grid").addEventListener("load", seen, { capture: true, once: true });
  document.getElementById("reroll").click();
})"""
ROUNDS = 30
PICTURES = 24


def ask(port: int, path: str, body: str | None = None) -> tuple[int, float, float]:
    """Status, and milliseconds to the second line of the answer (the first image) and to its end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    began = time.perf_counter()
    connection.request("POST" if body else "GET", path, body, {"content-type": "application/json"} if body else {})
    done = connection.getresponse()
    done.readline()
    done.readline()
    first = time.perf_counter() - began
    done.read()
    connection.close()
    return done.status, 1000 * first, 1000 * (time.perf_counter() - began)


def pictures(seed: int) -> str:
    """A request for a grid."""
    return json.dumps({"pictures": [{"seed": seed + k, "classes": [{"label": 0}]} for k in range(PICTURES)]})


def clicks(port: int) -> list[float]:
    """Milliseconds from each click to the first image in Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}")
        page.locator("#grid img:not(.stale)").last.wait_for()
        found = []
        for _ in range(ROUNDS):
            found.append(page.evaluate(CLICK))
            page.wait_for_timeout(300)
        browser.close()
    return found


def memory(process: int) -> float:
    """MB that a process holds."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def load(port: int, process: int, clients: int, seconds: float) -> list[str]:
    """Rows of the table."""
    counts: Counter[int] = Counter()
    until = time.monotonic() + seconds

    def drive(number: int) -> None:
        seed = number * 10**6
        while time.monotonic() < until:
            status, _, _ = ask(port, "/api/draw", pictures(seed))
            counts[status] += 1
            seed += PICTURES
            if status == 429:
                time.sleep(1)

    threads = [threading.Thread(target=drive, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    held, pages = [], []
    while time.monotonic() < until:
        held.append(memory(process))
        pages.append(ask(port, "/"))
        time.sleep(1)
    for thread in threads:
        thread.join()
    assert all(status == 200 for status, _, _ in pages)
    tenth = max(1, len(held) // 10)
    first, last = statistics.mean(held[:tenth]), statistics.mean(held[-tenth:])
    slow = [milliseconds for _, _, milliseconds in pages]
    others = counts.total() - counts[200] - counts[429]
    answers = f"{counts[200]:,} grids of {PICTURES}, {counts[429]:,} times 429, {others} others"
    return [
        f"| answers to {clients} clients in {seconds:g} s | {answers} |",
        f"| the page meanwhile | {spread(slow)} |",
        f"| the server's memory, in the first tenth and the last | {first:.0f} MB, {last:.0f} MB |",
    ]


def spread(milliseconds: list[float]) -> str:
    """Median and worst, for the table."""
    return f"median {statistics.median(milliseconds):.0f} ms, at most {max(milliseconds):.0f} ms"


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    command = [sys.executable, "-m", "biggan", "studio", given.model, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        port = int(server.stdout.readline().split()[2].rpartition(":")[2])
        ask(port, "/api/draw", pictures(0))
        shown = clicks(port)
        over_http = [ask(port, "/api/draw", pictures(k)) for k in range(ROUNDS)]
        first = [milliseconds for _, milliseconds, _ in over_http]
        whole = [milliseconds for _, _, milliseconds in over_http]
        rows = [
            f"| first image after a click, in Chromium | {spread(shown)} |",
            f"| first image over HTTP | {spread(first)} |",
            f"| all {PICTURES} over HTTP | {spread(whole)} |",
            *load(port, server.pid, given.clients, given.seconds),
        ]
        print("| what | measured |\n|---|---|\n" + "\n".join(rows))
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


if __name__ == "__main__":
    main()

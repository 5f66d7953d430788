"""Progress in lines, and work by several threads in order."""

import itertools
import threading
import time

import pytest

from biggan.data import progress
from biggan.data.ordered import in_order
from biggan.data.progress import Progress


def test_a_line_now_and_then_with_speed_and_eta(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 2)                       # two seconds from look to look
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    lines: list[str] = []
    bar = Progress("packed", 1000, lines.append, done=500)
    for _ in range(5):
        bar.advance(100)
    assert lines == ["packed 800 of 1,000 images, 50 images/s, ETA 0:00:04"]


def test_results_come_in_order_and_few_lie_ready() -> None:
    ready, most, lock = 0, 0, threading.Lock()

    def work(items: range) -> list[int]:
        nonlocal ready, most
        time.sleep(0.002 * (items.start % 3))
        with lock:
            ready += 1
            most = max(most, ready)
        return list(items)

    seen: list[int] = []
    for items, result in in_order(work, 5, 100, 4, workers=3):
        assert result == list(items)
        seen += result
        with lock:
            ready -= 1
    assert seen == list(range(5, 100))
    assert most <= 7


def test_an_error_in_a_thread_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda items: 1 // (items.start - 8), 0, 40, 4, workers=2))

"""Work by several threads, in order."""

import threading
import time

import pytest

from biggan.data.ordered import in_order


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

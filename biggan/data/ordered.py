"""Work on many items by several threads, with the results in order and only a few of them in memory.

Threads and not processes: Pillow decodes and resizes outside Python's lock, nothing has to be copied between
processes, and Ctrl-C ends all of it.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def default_workers() -> int:
    """As many threads as this process may use processors."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(work: Callable[[range], T], first: int, last: int, size: int, workers: int) -> Iterator[tuple[range, T]]:
    """`work` of each range of `size` items from `first` to `last`, in order; at most 2 x `workers` lie ready."""
    with ThreadPoolExecutor(workers) as pool:
        pending: deque[tuple[range, Future[T]]] = deque()
        try:
            for start in range(first, last, size):
                items = range(start, min(start + size, last))
                pending.append((items, pool.submit(work, items)))
                if len(pending) > 2 * workers:
                    done, future = pending.popleft()
                    yield done, future.result()
            while pending:
                done, future = pending.popleft()
                yield done, future.result()
        finally:
            pool.shutdown(cancel_futures=True)

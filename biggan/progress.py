"""Lines that say how far long work is, how fast it goes and when it ends."""

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

EVERY = 10.0            # seconds between lines at first; after minutes
PART = 1 / 20           # of the time that went by

Batch = TypeVar("Batch", bound=Sized)


class Progress:
    """Counts what is done of a total, and reports a line now and then, ever more rarely."""

    def __init__(
        self,
        what: str,                              # how a line begins, such as "packed"
        total: int,
        report: Callable[[str], None],
        done: int = 0,                          # before this work began
        unit: str = "images",
    ) -> None:
        self.what, self.total, self.report, self.unit = what, total, report, unit
        self.done = self.first = done
        self.began = self.told = time.monotonic()

    def skip(self, count: int) -> None:
        """`count` more are done, but were so before."""
        self.done, self.first = self.done + count, self.first + count

    def advance(self, count: int) -> None:
        """`count` more are done now."""
        self.done = min(self.done + count, self.total)
        now = time.monotonic()
        if self.done > self.first and now - self.told >= max(EVERY, PART * (now - self.began)):
            speed = (self.done - self.first) / (now - self.began)
            left = int((self.total - self.done) / speed)
            eta = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
            count_and_speed = f"{self.done:,} of {self.total:,} {self.unit}, {speed:,.1f} {self.unit}/s"
            self.report(f"{self.what} {count_and_speed}, ETA {eta}")
            self.told = now

    def over(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches, counted once they were dealt with."""
        for batch in batches:
            yield batch
            self.advance(len(batch))

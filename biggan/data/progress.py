"""Lines that say how far long work on many images is, and when it ends."""

import time
from collections.abc import Callable

EVERY = 5.0             # seconds between lines, and
PARTS = 50              # at most about so many of them


class Progress:
    """Counts images; reports a line with speed and ETA from time to time."""

    def __init__(self, verb: str, total: int, report: Callable[[str], None], done: int = 0) -> None:
        self.verb, self.total, self.report = verb, total, report
        self.done = self.first = self.shown = done
        self.began = self.told = time.monotonic()

    def advance(self, count: int) -> None:
        """`count` more images are done."""
        self.done += count
        now = time.monotonic()
        if now - self.told >= EVERY and self.done - self.shown >= self.total / PARTS:
            speed = (self.done - self.first) / (now - self.began)
            left = int((self.total - self.done) / speed)
            eta = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
            self.report(f"{self.verb} {self.done:,} of {self.total:,} images, {speed:,.0f} images/s, ETA {eta}")
            self.told, self.shown = now, self.done

"""One thread that draws, a bounded queue before it, and what it does when nobody waits.

Jobs are iterators of bytes. They take turns: after each part the next job has the thread, so that a
first image comes soon however long others' grids are. A job that is cancelled ends at its next turn.
Work in the background is measured out by itself: it calls back between its parts, and whoever waits
is served first.
"""

import asyncio
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator

from biggan.latents import LatentLaw

MOST_WAITING = 16
MOST_BACKGROUND = 4

log = logging.getLogger("biggan.web")

Breather = Callable[[], None]
Measured = tuple[int, LatentLaw]        # what a task in the background is for: a model and a law


class BusyError(Exception):
    """The queue is full; `retry_after` is a guess in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"{MOST_WAITING} drawings are waiting already; try again in {retry_after} s")
        self.retry_after = retry_after


class ClosingError(Exception):
    """Raised in background work when the worker ends."""


class Job:
    """Parts of an answer, made in the worker's thread and read in the event loop that submitted it."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self.parts = parts
        self.cancelled = False
        self.began = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._made: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    def cancel(self) -> None:
        """Nobody reads it any more."""
        self.cancelled = True

    def hand_over(self, part: bytes | Exception | None) -> None:
        """Give the reader a part, the reason why there are no more, or None for the end."""
        try:
            self._loop.call_soon_threadsafe(self._made.put_nowait, part)
        except RuntimeError:                # the loop is closed: the reader is gone
            self.cancel()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await self._made.get()) is not None:
            if isinstance(part, Exception):
                raise part
            yield part


class Worker:
    """The thread. `submit` is for the event loop; `later` is for jobs."""

    def __init__(self) -> None:
        self.jobs: deque[Job] = deque()
        self.background: OrderedDict[Measured, Callable[[Breather], None]] = OrderedDict()
        self.doing: Measured | None = None  # of the background
        self.job_seconds = 1.0              # of the recent ones, as they were waited for
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="biggan-studio", daemon=True)
        self._thread.start()

    def submit(self, parts: Iterator[bytes]) -> Job:
        """Queue a job. Raises BusyError if the queue is full."""
        with self._changed:
            if len(self.jobs) >= MOST_WAITING:
                raise BusyError(min(60, max(1, round(self.job_seconds))))
            job = Job(parts)
            self.jobs.append(job)
            self._changed.notify()
        return job

    def later(self, key: Measured, task: Callable[[Breather], None]) -> None:
        """Do a task when nobody waits, the newest key first; of too many the oldest is forgotten."""
        with self._changed:
            if key == self.doing:
                return
            self.background[key] = task
            self.background.move_to_end(key)
            if len(self.background) > MOST_BACKGROUND:
                self.background.popitem(last=False)
            self._changed.notify()

    def planned(self) -> list[Measured]:
        """The keys of the background's tasks, first the one that is being done."""
        with self._changed:
            return [key for key in (self.doing, *reversed(self.background)) if key is not None]

    def close(self) -> None:
        """End the thread after the part that it is making."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self.jobs or self.background)
                task = None
                if not self.jobs and not self._closing:
                    self.doing, task = self.background.popitem()
            if self._closing:
                return
            if task is None:
                self._turn()
                continue
            try:
                task(self._serve)
            except ClosingError:
                return
            except Exception:
                log.exception("work in the background failed")
            with self._changed:
                self.doing = None

    def _serve(self) -> None:
        """Whoever waits, to the end."""
        while self.jobs and not self._closing:
            self._turn()
        if self._closing:
            raise ClosingError

    def _turn(self) -> None:
        """One part of the job at the head, which then goes to the end of the queue."""
        job, more = self.jobs[0], False
        if not job.cancelled:
            try:
                job.hand_over(next(job.parts))
                more = True
            except StopIteration:
                job.hand_over(None)
            except Exception as error:
                log.exception("a drawing failed")
                job.hand_over(error)
        with self._changed:
            self.jobs.popleft()
            if more:
                self.jobs.append(job)
            else:
                self.job_seconds = 0.8 * self.job_seconds + 0.2 * (time.monotonic() - job.began)

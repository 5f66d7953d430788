"""Turns, cancelling, and what waits in the background."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from biggan.latents import LatentLaw
from biggan.web.worker import MOST_BACKGROUND, MOST_WAITING, Breather, BusyError, Job, Worker

LAWS = [LatentLaw("threshold", value / 10) for value in range(1, 9)]


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()
    assert not made._thread.is_alive()


async def read(job: Job) -> list[bytes]:
    return [part async for part in job]


def test_jobs_take_turns(worker: Worker) -> None:
    order: list[str] = []
    ready = threading.Event()

    def parts(name: str) -> Iterator[bytes]:
        ready.wait(5)
        for k in range(3):
            order.append(f"{name}{k}")
            yield name.encode()

    async def run() -> list[list[bytes]]:
        jobs = [worker.submit(parts(name)) for name in "abc"]
        ready.set()
        return await asyncio.gather(*map(read, jobs))

    assert asyncio.run(run()) == [[b"a"] * 3, [b"b"] * 3, [b"c"] * 3]
    assert order == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


def test_a_cancelled_job_ends_at_its_next_turn(worker: Worker) -> None:
    made: list[int] = []

    def endless() -> Iterator[bytes]:
        while True:
            made.append(1)
            yield b""
            time.sleep(0.002)

    async def run() -> None:
        job = worker.submit(endless())
        async for _ in job:
            job.cancel()
            break
        while worker.jobs:
            await asyncio.sleep(0.005)

    asyncio.run(run())
    count = len(made)
    time.sleep(0.05)
    assert len(made) == count


def test_a_job_whose_loop_is_gone_is_dropped(worker: Worker) -> None:
    gate = threading.Event()

    def endless() -> Iterator[bytes]:
        gate.wait(5)
        while True:
            yield b""

    async def leave() -> None:
        worker.submit(endless())

    asyncio.run(leave())
    gate.set()
    deadline = time.monotonic() + 5
    while worker.jobs and time.monotonic() < deadline:
        time.sleep(0.005)
    assert not worker.jobs


def test_the_queue_is_bounded_and_a_failure_reaches_its_reader(worker: Worker) -> None:
    gate = threading.Event()

    def failing() -> Iterator[bytes]:
        gate.wait(5)
        yield b"one"
        raise RuntimeError("broken")

    async def run() -> None:
        jobs = [worker.submit(failing()) for _ in range(MOST_WAITING)]
        with pytest.raises(BusyError):
            worker.submit(failing())
        gate.set()
        for job in jobs:
            with pytest.raises(RuntimeError, match="broken"):
                await read(job)

        def fine() -> Iterator[bytes]:
            yield b"two"

        assert await read(worker.submit(fine())) == [b"two"]

    asyncio.run(run())


def test_the_background_gives_way_and_forgets_the_oldest(worker: Worker) -> None:
    done: list[str] = []
    gate, started = threading.Event(), threading.Event()

    def task(name: str, breathe: Breather) -> None:
        started.set()
        gate.wait(5)
        breathe()
        done.append(name)

    def quick() -> Iterator[bytes]:
        done.append("job")
        yield b""

    async def run() -> None:
        worker.later((0, LAWS[0]), lambda breathe: task("first", breathe))
        started.wait(5)
        worker.later((0, LAWS[0]), lambda breathe: task("twice", breathe))      # it is being done
        for k in range(1, MOST_BACKGROUND + 2):
            worker.later((0, LAWS[k]), lambda breathe, k=k: task(str(k), breathe))
        assert worker.planned() == [(0, LAWS[k]) for k in (0, 5, 4, 3, 2)]
        job = worker.submit(quick())
        gate.set()
        await read(job)
        while worker.planned():
            await asyncio.sleep(0.005)

    asyncio.run(run())
    assert done == ["job", "first", "5", "4", "3", "2"]


def test_closing_ends_background_work_between_its_parts() -> None:
    worker, passes = Worker(), []

    def task(breathe: Breather) -> None:
        for k in range(100_000):
            passes.append(k)
            breathe()
            time.sleep(0.001)

    worker.later((0, LAWS[0]), task)
    while not passes:
        time.sleep(0.001)
    worker.close()
    assert not worker._thread.is_alive()
    assert len(passes) < 100_000

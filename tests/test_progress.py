"""Lines that say how far long work is."""

import itertools

import pytest

from biggan import progress
from biggan.progress import Progress


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is reported, on a clock that moves by four seconds at each look."""
    clock = itertools.count(0, 4)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    return []


def test_a_line_now_and_then_with_speed_and_eta(lines: list[str]) -> None:
    work = Progress("packed", 1000, lines.append, done=500)
    for _ in range(5):
        work.advance(100)
    assert lines == ["packed 800 of 1,000 images, 25.0 images/s, ETA 0:00:08"]


def test_what_was_done_before_does_not_count_as_speed(lines: list[str]) -> None:
    work = Progress("saw", 1000, lines.append, unit="passes")
    work.skip(900)
    for size in (0, 0, 0, 12):
        work.advance(size)
    assert lines == ["saw 912 of 1,000 passes, 0.8 passes/s, ETA 0:01:57"]


def test_lines_become_rarer(lines: list[str]) -> None:
    work = Progress("drew", 100_000, lines.append)
    assert list(map(len, work.over([[0]] * 1000))) == [1] * 1000
    told = [int(line.split()[1].replace(",", "")) for line in lines]
    assert told[1] - told[0] == 3
    assert told[-1] - told[-2] > 40
    assert len(lines) < 80

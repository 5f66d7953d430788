import pytest
import torch

from biggan import sampling


def test_drawing_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "REPORT_SECONDS", 0.0)
    lines: list[str] = []
    batches = [torch.zeros(3, 1, 2, 2), torch.zeros(2, 1, 2, 2)]
    assert list(map(len, sampling.counted(batches, 5, lines.append))) == [3, 2]
    assert lines[0].startswith("3 of 5 images, ")
    assert lines[-1].endswith(" 0 s left")

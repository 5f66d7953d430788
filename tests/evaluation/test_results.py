import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from test_evaluate import Patches

from biggan import BigGAN, BigGANConfig
from biggan.data import LabelledImages
from biggan.errors import UserError
from biggan.evaluation import compare, evaluate
from biggan.evaluation.results import LABELS, read_result, write_result


@pytest.fixture
def result(tiny: BigGANConfig, tiny_digits: LabelledImages) -> dict[str, Any]:
    return evaluate(BigGAN(tiny, tiny_digits.class_names), tiny_digits, num=100, extractor=Patches())


def test_two_models_measured_alike_are_ranked(
    result: dict[str, Any], tiny: BigGANConfig, tiny_digits: LabelledImages
) -> None:
    torch.manual_seed(1)
    model = BigGAN(tiny, tiny_digits.class_names, recipe={"images_seen": 5})
    other = evaluate(model, tiny_digits, num=100, seed=9, extractor=Patches())
    assert other["model"] != result["model"]
    assert compare(result, other)["fid"] == (result["metrics"]["fid"], other["metrics"]["fid"])


def test_any_field_of_the_protocol_that_matters_refuses(result: dict[str, Any]) -> None:
    for name in result["protocol"]:
        other = copy.deepcopy(result)
        other["protocol"][name] = "something else"
        if name in LABELS:
            assert compare(result, other)
            continue
        with pytest.raises(UserError, match=f"not measured alike.*{name}: .* / something else.*--ignoring {name}$"):
            compare(result, other)
        assert compare(result, other, ignoring=[name])
    newer = copy.deepcopy(result)
    newer["protocol"]["a_field_of_the_future"] = 1
    with pytest.raises(UserError, match="a_field_of_the_future: None / 1"):
        compare(result, newer)
    with pytest.raises(UserError, match="--ignoring: unknown field of the protocol 'nun'; did you mean 'num'"):
        compare(result, newer, ignoring=["nun"])


def test_results_are_files(result: dict[str, Any], tmp_path: Path) -> None:
    write_result(tmp_path / "a.json", result)
    assert read_result(tmp_path / "a.json") == result
    for content in ("{", "[]", '{"format": "biggan-export-1"}'):
        (tmp_path / "b.json").write_text(content)
        with pytest.raises(UserError, match=r"b\.json (cannot be read|is not a result)"):
            read_result(tmp_path / "b.json")
    with pytest.raises(UserError, match="cannot be read"):
        read_result(tmp_path / "c.json")

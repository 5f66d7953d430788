
import pytest
import torch
import world_size_worker
from processes import ROOT, run_processes
from safetensors.torch import load_file

from biggan import distributed
from biggan.state import new_state


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, dict[str, torch.Tensor]]]:
    """The whole state after three iterations, by number of processes and case."""
    found = {}
    for count in (1, 2, 4):
        folder = tmp_path_factory.mktemp(f"world{count}")
        for done in run_processes(count, ROOT / "tests" / "world_size_worker.py", folder):
            assert done.returncode == 0, done.stderr
        found[count] = {name: load_file(folder / f"{name}.safetensors") for name in world_size_worker.CASES}
    return found


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("case", world_size_worker.CASES)
def test_any_number_of_processes_gives_the_same_weights(
    weights: dict[int, dict[str, dict[str, torch.Tensor]]], case: str, count: int
) -> None:
    alone, together = weights[1][case], weights[count][case]
    assert alone.keys() == together.keys()
    for key, value in alone.items():
        torch.testing.assert_close(together[key], value, rtol=1e-9, atol=1e-9, msg=lambda m, k=key: f"{k}: {m}")


@pytest.mark.parametrize("count", [1, 2, 4])
def test_every_optimizer_step_is_really_taken(
    weights: dict[int, dict[str, dict[str, torch.Tensor]]], count: int
) -> None:
    initial = new_state(world_size_worker.NETWORK, 0, torch.device("cpu"), torch.float64).tensors()
    for name, tensors in weights[count].items():
        if name.startswith("frozen"):
            continue
        steps = {key: float(value) for key, value in tensors.items() if key.endswith(".step")}
        assert {value for key, value in steps.items() if key.startswith("g_")} == {3.0}
        assert {value for key, value in steps.items() if key.startswith("d_")} == {6.0}
        # The conditions' embedding of a class that was not drawn stands still; every tensor has moved.
        still = [k for k in tensors if k.startswith(("G.", "D.")) and torch.equal(tensors[k], initial[k])]
        assert [key for key in still if not key.endswith(".u") or tensors[key].numel() > 1] == []


@pytest.mark.parametrize("count", [1, 2])
def test_frozen_weights_stand_still_in_every_process(
    weights: dict[int, dict[str, dict[str, torch.Tensor]]], count: int
) -> None:
    initial = new_state(world_size_worker.NETWORK, 0, torch.device("cpu"), torch.float64).tensors()
    tensors = weights[count]["frozen-8"]
    for name, frozen in (("G.output_conv", True), ("D.blocks.0.conv1", True), ("G.linear", False), ("D.linear", False)):
        assert torch.equal(tensors[f"{name}.weight"], initial[f"{name}.weight"]) == frozen, name


def test_accumulation_changes_batch_statistics_and_says_so(
    weights: dict[int, dict[str, dict[str, torch.Tensor]]],
) -> None:
    a, b = weights[1]["plain-4"], weights[1]["plain-8"]
    assert not torch.allclose(a["G.output_bn.running_var"], b["G.output_bn.running_var"])


def test_in_one_process_nothing_happens() -> None:
    values, module = torch.arange(3.0), torch.nn.Linear(2, 2)
    assert (distributed.world_size(), distributed.rank(), distributed.is_first()) == (1, 0, True)
    assert torch.equal(distributed.mean(values), values)
    assert torch.equal(distributed.gather(values), values)
    assert distributed.any_of(True)
    assert not distributed.any_of(False)
    assert distributed.from_first("x") == "x"
    assert distributed.parallel(module) is module
    with distributed.process_group(torch.device("cpu")), distributed.synchronise(module, False):
        distributed.barrier()
    assert not distributed.lost_a_process(RuntimeError("gloo"))

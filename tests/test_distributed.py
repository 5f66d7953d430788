
import pytest
import torch
import torch.nn.functional as F
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


def test_our_batch_norm_is_pytorchs() -> None:
    x = torch.randn(5, 3, 4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    means, variances = torch.zeros(2, 3, dtype=torch.float64), torch.ones(2, 3, dtype=torch.float64)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours = distributed.batch_norm(a, means[0], variances[0], 0.1, 1e-5)
    theirs = F.batch_norm(b, means[1], variances[1], None, None, True, 0.1, 1e-5)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(means[0], means[1])
    torch.testing.assert_close(variances[0], variances[1])
    weight = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (ours * weight).sum().backward()
    (theirs * weight).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    low = distributed.batch_norm(x.bfloat16(), means[0].float(), variances[0].float(), 0.1, 1e-5)
    assert low.dtype == torch.bfloat16


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

import copy
import dataclasses

import pytest
import torch

from biggan import accelerate, machine
from biggan.cli.app import device_to_work_on
from biggan.config import BigGANConfig, TrainConfig
from biggan.errors import UserError
from biggan.plan import iteration
from biggan.state import new_state

CPU = torch.device("cpu")


def test_no_compiler_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import cpp_builder, exc

    def missing() -> str:
        raise exc.InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", missing)
    with pytest.raises(UserError, match="--compile needs a C\\+\\+ compiler"):
        accelerate.check_compiler(CPU)
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", lambda: "no-such-compiler")
    with pytest.raises(UserError, match="--compile"):
        accelerate.check_compiler(CPU)


@pytest.mark.parametrize("other", [{"r1": 0.1}, {"checkpoint_activations": True}])
def test_what_cannot_be_compiled_is_refused(other: dict[str, object]) -> None:
    with pytest.raises(UserError, match="--compile cannot be combined"):
        TrainConfig(compile=True, **other)


def test_freed_memory_is_kept_unless_the_user_tuned_malloc(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []

    class Library:
        @staticmethod
        def mallopt(name: int, value: int) -> None:
            calls.append((name, value))

    monkeypatch.setattr(machine.ctypes, "CDLL", lambda name: Library)
    monkeypatch.setattr(machine.platform, "libc_ver", lambda: ("glibc", "2.36"))
    for name in [name for name in machine.os.environ if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES"]:
        monkeypatch.delenv(name)
    machine.keep_freed_memory(torch.device("cuda"))
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    machine.keep_freed_memory(CPU)
    assert calls == []
    monkeypatch.delenv("MALLOC_ARENA_MAX")
    machine.keep_freed_memory(CPU)
    assert calls == [(machine.M_MMAP_MAX, 0), (machine.M_TRIM_THRESHOLD, machine.NEVER)]


def test_commands_that_work_and_end_keep_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[torch.device] = []
    monkeypatch.setattr(machine, "keep_freed_memory", kept.append)
    assert device_to_work_on("cpu") == CPU
    assert kept == [CPU]


@pytest.mark.slow
def test_a_compiled_iteration_is_the_plain_one_to_rounding(tiny: BigGANConfig) -> None:
    network = dataclasses.replace(tiny, g_attention=(8,), adam_eps=1e-3)
    config = TrainConfig(batch_size=4)
    plain = new_state(network, 0, CPU)
    compiled = copy.deepcopy(plain)
    accelerate.accelerate(compiled, dataclasses.replace(config, compile=True))
    for state in (plain, compiled):
        torch.manual_seed(0)
        iteration(state, config, 4, 1, bf16=False)
    for name, value in plain.tensors().items():
        torch.testing.assert_close(compiled.tensors()[name], value, rtol=1e-3, atol=1e-4)

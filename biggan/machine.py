"""What the machine can do: whether it multiplies bfloat16, how long work takes, what memory is left and is kept."""

import ctypes
import os
import platform
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from biggan.errors import UserError

ENVIRONMENT = "BIGGAN_MEMORY"
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4       # glibc's malloc.h
NEVER = 2**31 - 1
TIMED = 5                   # calls, after one to warm up
PATIENCE = 8.0              # seconds went by, no further call is begun


def has_bf16(device: torch.device) -> bool:
    """Whether the device's hardware multiplies bfloat16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def median_seconds(work: Callable[[], object], device: torch.device) -> float:
    """The median time of up to five calls after one to warm up, of fewer where they are long."""
    times: list[float] = []
    while len(times) < 2 or (len(times) < 1 + TIMED and sum(times) < PATIENCE):
        began = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def synchronize(device: torch.device) -> None:
    """Wait until the device did what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def available_memory(device: torch.device) -> int:
    """Bytes that can still be taken, of a GPU or of the host.

    On the host the least of what the system has free, what a container's limit leaves, and `BIGGAN_MEMORY` (such
    as 2G), which stands for a smaller machine.
    """
    wished = os.environ.get(ENVIRONMENT)
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        return min(free, parse_size(wished)) if wished else free
    mine = resident()
    left = [parse_size(wished) - mine] if wished else []
    limit = container_limit()
    left += [limit - mine] if limit else []
    return max(min([host_memory(), *left]), 0)


def parse_size(text: str) -> int:
    """Bytes of a text such as 2G, 1.5 GB or 800M; UserError if it is none."""
    match = re.fullmatch(r"\s*([\d.]+)\s*([kmgt]?)i?b?\s*", text.casefold())
    try:
        number = float(match.group(1)) if match else 0.0
    except ValueError:
        number = 0.0
    if match is None or number <= 0:
        raise UserError(f"{ENVIRONMENT}={text} is not a size such as 2G or 800M")
    return int(number * 1024 ** " kmgt".index(match.group(2) or " "))


def host_memory() -> int:
    """Bytes of memory that the system can give without swapping."""
    lines = _read(Path("/proc/meminfo")).splitlines()
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return found[0] if found else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def resident() -> int:
    """Bytes of memory that this process takes already."""
    words = _read(Path("/proc/self/statm")).split()
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE") if words else 0


def container_limit(root: Path = Path("/sys/fs/cgroup"), groups: str | None = None) -> int | None:
    """The least memory limit of this process's control groups (versions 1 and 2), in bytes; None if there is none."""
    limits = []
    for line in (_read(Path("/proc/self/cgroup")) if groups is None else groups).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        top, name = (root / "memory", "memory.limit_in_bytes") if controllers else (root, "memory.max")
        here = Path(path.lstrip("/"))
        limits += [_read(top / folder / name).strip() for folder in (here, *here.parents)]
    numbers = [int(text) for text in limits if text.isdigit()]
    return min((number for number in numbers if number < 2**60), default=None)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:                         # not this system's way
        return ""


def keep_freed_memory(device: torch.device) -> None:
    """On a CPU, let the process keep what it frees, as the allocator of a GPU does.

    glibc returns large blocks to the kernel, which clears each page anew when the next activation asks
    for it: 6 % of an iteration (docs/speed.md). Peak memory stays. Elsewhere this does nothing, and so
    it does where the user has tuned malloc by its environment variables.
    """
    tuned = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if device.type == "cpu" and platform.libc_ver()[0] == "glibc" and not tuned:
        malloc = ctypes.CDLL(None)
        malloc.mallopt(M_MMAP_MAX, 0)
        malloc.mallopt(M_TRIM_THRESHOLD, NEVER)

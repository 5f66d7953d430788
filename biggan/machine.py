"""What the machine can do: whether it multiplies bfloat16, how much memory is left, what malloc keeps."""

import ctypes
import os
import platform

import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4       # glibc's malloc.h
NEVER = 2**31 - 1


def has_bf16(device: torch.device) -> bool:
    """Whether the device's hardware multiplies bfloat16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def available_memory(device: torch.device) -> int:
    """Bytes that can be taken now: of the GPU, else of the host."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):           # not a Unix that tells
        return 4 * 2**30


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

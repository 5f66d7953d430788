"""How much faster is a convolution fused with its resampling than the textbook form?

The sides alternate in one process; medians of forward plus backward, channels-last. Upsampling has a third
exact form: four 2x2 convolutions, one for each phase of the result, interleaved.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from biggan.networks import resample

CASES = [(64, 16), (128, 16), (128, 32)]        # channels, low resolution
BATCH = 32


def phases_upsample_conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The phase form of `upsample_conv3x3`: one 2x2 convolution with four times the channels, interleaved."""
    def halves(w: Tensor, dim: int) -> Tensor:
        """Two taps for the even and two for the odd places along a dimension, the phases first."""
        a, b, c = w.unbind(dim)
        return torch.stack([torch.stack([a, b + c], dim), torch.stack([a + b, c], dim)])

    (B, _, H, W), out = x.shape, weight.shape[0]
    kernels = halves(halves(weight, 2), 4)                              # (2, 2, out, in, 2, 2): columns, rows
    y = F.conv2d(F.pad(x, (1, 1, 1, 1)), kernels.flatten(0, 2))         # (B, 4 out, H + 1, W + 1)
    phases = y.unflatten(1, (2, 2, out))
    rows = [[phases[:, j, i, :, i : i + H, j : j + W] for j in range(2)] for i in range(2)]
    made = torch.stack([torch.stack(row, -1) for row in rows], 3)       # (B, out, H, 2, W, 2)
    return made.reshape(B, out, 2 * H, 2 * W) + (0 if bias is None else bias[:, None, None])


def seconds(function: Callable[[Tensor, Tensor, None], Tensor], x: Tensor, weight: Tensor, dtype: torch.dtype) -> float:
    """One forward and backward pass."""
    device = x.device
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        y = function(x, weight, None)
    y.sum().backward()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> None:
    """Print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()} CPU"
    print(f"torch {torch.__version__}, {name}, {torch.get_num_threads()} threads, batch {BATCH}")
    print(f"{'operation':20s} {'C':>4s} {'px':>4s} {'dtype':9s} {'plain ms':>9s} {'fused ms':>9s}  ratio  phases ms")
    for operation in ("upsample_conv3x3", "conv3x3_downsample"):
        for channels, low in CASES:
            size = low if operation.startswith("up") else 2 * low
            for dtype in (torch.float32, torch.bfloat16):
                x = torch.randn(BATCH, channels, size, size, device=device, requires_grad=True)
                x = x.to(memory_format=torch.channels_last)
                weight = torch.randn(channels, channels, 3, 3, device=device, requires_grad=True)
                sides = {side: getattr(resample, side + operation) for side in ("plain_", "")}
                if operation.startswith("up"):
                    sides["phases"] = phases_upsample_conv3x3
                    wanted = resample.upsample_conv3x3(x.double(), weight.double(), None)
                    torch.testing.assert_close(phases_upsample_conv3x3(x.double(), weight.double(), None), wanted)
                times: dict[str, list[float]] = {side: [] for side in sides}
                for repeat in range(arguments.repeats + 3):
                    for side, function in sides.items():
                        taken = seconds(function, x, weight, dtype)
                        if repeat >= 3:
                            times[side].append(taken)
                plain, fused = (statistics.median(times[side]) * 1e3 for side in ("plain_", ""))
                case = f"{operation:20s} {channels:4d} {low:4d} {str(dtype).removeprefix('torch.'):9s}"
                phases = f"{statistics.median(times['phases']) * 1e3:10.2f}" if "phases" in times else ""
                print(f"{case} {plain:9.2f} {fused:9.2f} {plain / fused:6.2f} {phases}", flush=True)


if __name__ == "__main__":
    main()

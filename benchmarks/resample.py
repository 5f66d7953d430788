"""How much faster is a convolution fused with its resampling than the textbook form, and from which size on?

    python benchmarks/resample.py [--dtypes bfloat16 float32] [--repeats 15]

The sides alternate in one process; medians of forward plus backward, with a bias, channels-last. Upsampling has a third
exact form: four 2x2 convolutions, one for each phase of the result, interleaved; and the fused form is also timed with
the bias gradient that the library computes. The last column is the form that the networks take there.
"""

import argparse
import statistics

import torch
import torch.nn.functional as F
from timing import in_turn
from torch import Tensor

from biggan.bench import hardware
from biggan.networks import resample

CASES = [(256, 4), (512, 8), (256, 8), (64, 8), (256, 16), (128, 16), (64, 16), (128, 32)]    # channels, low resolution
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


def library_upsample_conv3x3(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The fused form, all of whose derivative is the library's."""
    kernel = resample.widen(weight, flipped=True).transpose(0, 1)
    return F.conv_transpose2d(x, kernel, bias, stride=2, padding=1)


def compare(operation: str, channels: int, low: int, dtype: torch.dtype, device: torch.device, repeats: int) -> str:
    """One row of the table."""
    up = operation.startswith("up")
    size = low if up else 2 * low
    x = torch.randn(BATCH, channels, size, size, device=device).to(dtype).to(memory_format=torch.channels_last)
    x.requires_grad_()
    weight = torch.randn(channels, channels, 3, 3, device=device, requires_grad=True)
    bias = torch.randn(channels, device=device, requires_grad=True)
    forms = {"textbook": getattr(resample, f"plain_{operation}"), "fused": getattr(resample, f"fused_{operation}")}
    if up:
        forms |= {"phases": phases_upsample_conv3x3, "library": library_upsample_conv3x3}
        exact = [form(x[:2].double(), weight.double(), bias.double()) for form in forms.values()]
        for other in exact[1:]:
            torch.testing.assert_close(exact[0], other)

    def both_passes(name: str) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            y = forms[name](x, weight, bias)
        torch.autograd.grad(y, (x, weight, bias), torch.ones_like(y))

    times = in_turn({name: lambda name=name: both_passes(name) for name in forms}, repeats)  # type: ignore[misc]
    ms = {name: statistics.median(values) * 1e3 for name, values in times.items()}
    used = "textbook" if resample.is_small(x, 1 if up else 4) else "fused"
    numbers = f"{ms['textbook']:9.2f} {ms['fused']:8.2f} {ms['textbook'] / ms['fused']:6.2f}"
    more = f"{ms['phases']:9.2f} {ms['library']:12.2f}" if up else " " * 22
    return f"{operation:20s} {channels:4d} {low:4d} {str(dtype).removeprefix('torch.'):9s} {numbers} {more}  {used}"


def main() -> None:
    """Print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--dtypes", nargs="*", default=["bfloat16", "float32"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    device = torch.device(given.device)
    print(hardware(device))
    names = f"{'textbook':>9s} {'fused ms':>8s}  ratio {'phases':>9s} {'library bias':>12s}  used"
    print(f"{'operation':20s} {'C':>4s} {'px':>4s} {'dtype':9s} {names}")
    for operation in ("upsample_conv3x3", "conv3x3_downsample"):
        for dtype in given.dtypes:
            for channels, low in CASES:
                print(compare(operation, channels, low, getattr(torch, dtype), device, given.repeats), flush=True)


if __name__ == "__main__":
    main()

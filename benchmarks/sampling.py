"""Is sampling faster than pytorch-pretrained-biggan's, with the same images?

    python benchmarks/sampling.py [--resolution 128] [--batch 8] [--repeats 7] [--width 128] [--files 64]
    python benchmarks/sampling.py --model fashion --batch 64 --files 10000

BigGAN-deep of full width with random weights: speed does not depend on them. That package's model and ours,
converted from it, draw the same latents in turn, each as its users call it: theirs in float32, ours as
`biggan sample` does. Then the difference of pixels, each side's peak memory in a process of its own, and how
busy the generator stays while PNG files are written; with `--model` that alone, of any model.
"""

import argparse
import ctypes
import gc
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytorch_pretrained_biggan as theirs
import torch
from timing import in_turn, ratio
from torch import Tensor

from biggan import BigGAN
from biggan.bench import hardware
from biggan.convert import huggingface
from biggan.latents import LatentLaw, latent_law
from biggan.machine import has_bf16
from biggan.sampling import bf16_is_close, save_files

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
WIDTHS = {128: (16, 16, 8, 4, 2, 1), 256: (16, 16, 8, 8, 4, 2, 1), 512: (16, 16, 8, 8, 4, 2, 1, 1)}
TRUNCATION = 0.5


def their_model(resolution: int, width: int) -> tuple[theirs.BigGAN, theirs.BigGANConfig]:
    """That package's model of a resolution, as its own configurations have it, with random weights."""
    rows: list[list[bool | int]] = []
    for before, after in itertools.pairwise(WIDTHS[resolution]):
        rows += [[False, before, before], [True, before, after]]
    config = theirs.BigGANConfig(
        output_dim=resolution, z_dim=128, class_embed_dim=128, channel_width=width, num_classes=1000, layers=rows,
        attention_layer_position=8, eps=1e-4, n_stats=51,
    )  # fmt: skip
    torch.manual_seed(0)
    model = theirs.BigGAN(config)
    with torch.no_grad():
        model.generator.layers[8].gamma.fill_(0.7)
        y = torch.eye(1000)[:2]
        model.train()(torch.randn(2, 128), y, TRUNCATION)               # u and v as after training
        model.generator.bn.weight.mul_(0.5 / model.eval()(torch.randn(2, 128), y, TRUNCATION).std())    # contrast
    return model, config


class Sides:
    """Both models and the latents they draw."""

    def __init__(self, resolution: int, width: int, batch: int) -> None:
        model, config = their_model(resolution, width)
        self.model, self.gan = model.to(DEVICE), huggingface.load(model.state_dict(), config).to(DEVICE)
        self.z = torch.randn(batch, 128, device=DEVICE)
        self.y = torch.randint(1000, (batch,), device=DEVICE)
        self.bf16 = bf16_is_close(self.gan)

    @torch.no_grad()
    def theirs(self) -> Tensor:
        """As its README does."""
        return self.model(self.z, torch.nn.functional.one_hot(self.y, 1000).float(), TRUNCATION)

    def ours(self) -> Tensor:
        """One batch inside `sample()`."""
        return self.gan.generate(self.y, self.z, law=LatentLaw("truncation", TRUNCATION), bf16=self.bf16)


def peak(side: str, given: argparse.Namespace, export: str) -> int:
    """Bytes of the largest resident set while one side draws three batches, in a fresh process."""
    command = [sys.executable, __file__, "--resolution", str(given.resolution), "--batch", str(given.batch)]
    command += ["--width", str(given.width), "--only", side, "--export", export]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


@torch.no_grad()
def only(side: str, given: argparse.Namespace) -> None:
    """Draw three batches of one side and print the peak of memory meanwhile, the weights included."""
    z, y = torch.randn(given.batch, 128, device=DEVICE), torch.randint(1000, (given.batch,), device=DEVICE)
    if side == "ours":
        gan = BigGAN.from_pretrained(given.export, DEVICE)
        bf16 = has_bf16(DEVICE)
        forget_peak()
        with gan.drawing(bf16):
            for _ in range(3):
                gan.generate(y, z, truncation=TRUNCATION, bf16=bf16)
    else:
        model = their_model(given.resolution, given.width)[0].to(DEVICE)
        forget_peak()
        for _ in range(3):
            model(z, torch.nn.functional.one_hot(y, 1000).float(), TRUNCATION)
    if DEVICE.type == "cuda":
        print(torch.cuda.max_memory_allocated())
    else:
        status = Path("/proc/self/status").read_text()
        print(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024)


def forget_peak() -> None:
    """Make the peak of memory what is held now; what construction freed goes back to the kernel first."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def busy(gan: BigGAN, batch: int, num: int) -> tuple[float, float]:
    """Images a second of drawing alone, and of drawing, encoding and writing PNG files."""
    law = latent_law(TRUNCATION, None)
    with gan.drawing(bf16=True):
        began = time.perf_counter()
        for start in range(0, num, batch):
            gan.generate(num=batch, seed=start, law=law, bf16=True)
        drawing = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        save_files(gan, law, None, num, 0, batch, Path(folder), precision="bf16")
        saving = time.perf_counter() - began
    return num / drawing, num / saving


def print_busy(gan: BigGAN, given: argparse.Namespace) -> None:
    """One line of `busy`."""
    drawing, saving = busy(gan, given.batch, given.files)
    share = f"{saving / drawing:.0%} busy"
    print(f"drawing alone {drawing:.2f} images/s, with {given.files:,} PNG files {saving:.2f}: {share}")


def main() -> None:
    """Print a line a question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, choices=sorted(WIDTHS), default=128)
    parser.add_argument("--width", type=int, default=128, help="the paper's ch")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--files", type=int, default=0, help="also write this many PNG files")
    parser.add_argument("--model", help="a run, an export or a model of the package, with --files and nothing else")
    parser.add_argument("--only", choices=("theirs", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--export", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        only(given.only, given)
        return
    print(hardware(DEVICE))
    if given.model:
        print_busy(BigGAN.from_pretrained(given.model, DEVICE), given)
        return
    sides = Sides(given.resolution, given.width, given.batch)
    print(f"BigGAN-deep-{given.resolution}, ch {given.width}, batch {given.batch}, ours in bf16: {sides.bf16}")
    with sides.gan.drawing(sides.bf16):
        difference = (sides.theirs() - sides.ours().to(sides.z.device)).abs().mean() / 2
        times = in_turn({"theirs": sides.theirs, "ours": sides.ours}, given.repeats)
    rates = {side: given.batch / statistics.median(values) for side, values in times.items()}
    faster = ratio(times, "theirs", "ours")
    print(f"theirs {rates['theirs']:.2f} images/s, ours {rates['ours']:.2f}, ratio {faster:.2f}")
    print(f"mean absolute difference of pixels: {float(difference) * 255:.3f} / 255")
    with tempfile.TemporaryDirectory() as export:
        sides.gan.save_pretrained(export)
        memory = {side: peak(side, given, export) / 2**20 for side in ("theirs", "ours")}
    print(f"peak memory: theirs {memory['theirs']:.0f} MiB, ours {memory['ours']:.0f} MiB")
    if given.files:
        print_busy(sides.gan, given)


if __name__ == "__main__":
    main()

"""Batches of images from a generator, standing statistics, and sheets to look at."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from biggan.errors import UserError
from biggan.files import atomic_write
from biggan.latents import LatentLaw, Stream, image_labels, image_latents, labels, latents
from biggan.machine import available_memory, has_bf16
from biggan.model import BigGAN, batch_statistics, evaluation_mode, set_batch_statistics
from biggan.networks import Generator, folded
from biggan.progress import Progress
from biggan.truncation import Statistics, TruncationTable

Precision = Literal["auto", "bf16", "fp32"]
BATCH_SIZE = 64             # images of a forward pass, where memory allows
PROBES = 4                  # images that decide whether bfloat16 is close enough
STATISTICS_BATCHES = 16
STATISTICS_BATCH_SIZE = 64
SHEET_CLASSES, SHEET_COLUMNS = 20, 10
HEADING = 20                # pixels above a sheet's columns, where they have headings


@torch.no_grad()
def standing_statistics(
    G: Generator,
    num_classes: int,
    z_dim: int,
    law: LatentLaw | None = None,
    *,
    batches: int = STATISTICS_BATCHES,
    batch_size: int = STATISTICS_BATCH_SIZE,
    seed: int = 0,
    after_pass: Callable[[], None] = lambda: None,
) -> Statistics:
    """Put the batch statistics of fresh latents of a law into G's buffers, and return them.

    Mean and variance are averaged over `batches` passes with uniform labels (Brock et al. 2019,
    appendix C); `after_pass` is called after each. The moving averages of training belong to other
    weights than the EMA's, and to untruncated latents. Only the batch norms run in training mode:
    weights, spectral norm's u and the networks' modes are as before afterwards.
    """
    device = G.linear.weight.device
    with evaluation_mode(G), folded(G):
        norms = [bn for _, bn in G.batch_norms()]
        before = [bn.momentum for bn in norms]
        for bn in norms:
            bn.reset_statistics()
            bn.momentum = None
            bn.training = True
        for batch in range(batches):
            z = latents(seed, Stream.STATISTICS, batch * batch_size, batch_size, z_dim, law)
            y = labels(seed, Stream.STATISTICS_LABEL, batch * batch_size, batch_size, num_classes)
            G(z.to(device, G.linear.weight.dtype), y.to(device))
            after_pass()
        for bn, momentum in zip(norms, before, strict=True):
            bn.momentum = momentum
    return batch_statistics(G)


def prepare_law(model: BigGAN, law: LatentLaw) -> None:
    """Give the model the standing statistics of a law that it has none for; N(0, 1)'s stand in its buffers."""
    if law.kind == "normal" or model.statistics_for(law) is not None:
        return
    model.statistics[law] = _measured(model, law)


def add_statistics(
    model: BigGAN,
    laws: Sequence[LatentLaw],
    *,
    batches: int = STATISTICS_BATCHES,
    batch_size: int = STATISTICS_BATCH_SIZE,
    seed: int = 0,
) -> None:
    """Measure standing statistics at each of these laws and keep them in the model, as TF-Hub's have them.

    They travel in its export. At values between two of them sampling interpolates, so take enough:
    TF-Hub has truncations 0.02 apart. A row that the model already has is measured anew.
    """
    rows: dict[str, dict[float, Statistics]] = {}
    for law in laws:
        if law.kind == "normal":
            raise UserError("the statistics of N(0, 1) are the model's own; give truncations or thresholds")
        known = model.truncation_tables.get(law.kind)
        rows.setdefault(law.kind, known.rows() if known is not None else {})
        rows[law.kind][law.value] = _measured(model, law, batches, batch_size, seed)
        model.statistics.pop(law, None)
    for kind, of_kind in rows.items():
        model.truncation_tables[kind] = TruncationTable.from_rows(of_kind)


def _measured(
    model: BigGAN,
    law: LatentLaw,
    batches: int = STATISTICS_BATCHES,
    batch_size: int = STATISTICS_BATCH_SIZE,
    seed: int = 0,
) -> Statistics:
    """The standing statistics of a law; those in G's buffers stay."""
    config, before = model.config, batch_statistics(model.G)
    try:
        return standing_statistics(
            model.G, config.num_classes, config.z_dim, law, batches=batches, batch_size=batch_size, seed=seed
        )
    finally:
        set_batch_statistics(model.G, before)


def sample(
    model: BigGAN,
    y: Tensor,
    seeds: Sequence[int],
    law: LatentLaw | None = None,
    *,
    batch_size: int = 64,
    precision: Precision = "fp32",
) -> Iterator[Tensor]:
    """Batches of uint8 images (B, C, H, W), one for each label and seed, with the law's own statistics.

    batch_size  images a forward pass; 0 for as many as memory allows
    precision   bf16, fp32, or auto: bf16 where that is fast and hardly seen (`bf16_is_close`)
    """
    law = law or LatentLaw()
    prepare_law(model, law)
    bf16 = precision == "bf16" or (precision == "auto" and bf16_is_close(model))
    batch_size = batch_size or fitting_batch_size(model)
    z = image_latents(seeds, model.config.z_dim, law)
    with model.drawing(bf16):
        for some_z, some_y in zip(z.split(batch_size), y.split(batch_size), strict=True):
            yield to_uint8(model.generate(some_y, some_z, law=law, bf16=bf16))


def bf16_is_close(model: BigGAN) -> bool:
    """Whether bfloat16 is fast here and changes pixels by at most 1/255 of their range, on average over probes.

    The probes are the same for whatever will be drawn, so the answer belongs to the model and the machine.
    """
    if not has_bf16(model.G.linear.weight.device):
        return False
    y = torch.arange(PROBES) * model.config.num_classes // PROBES
    exact, fast = (model.generate(y, seed=0, bf16=bf16) for bf16 in (False, True))
    return float((exact - fast).abs().mean()) / 2 <= 1 / 255


def fitting_batch_size(model: BigGAN) -> int:
    """How many images a forward pass may draw at once: at most 64, in a quarter of the memory that is left.

    A block holds about six maps of its output's size at once, and the widest of them sets the need.
    """
    config, weight = model.config, model.G.linear.weight
    height, width = config.image_shape
    sizes = zip(config.g_channels[1:], config.g_resolutions, strict=True)
    widest = max(channels * size**2 * width // height for channels, size in sizes)
    return max(1, min(BATCH_SIZE, available_memory(weight.device) // 4 // (6 * widest * weight.element_size())))


def save_files(
    model: BigGAN,
    law: LatentLaw,
    classes: Sequence[int] | None,
    num: int,
    seed: int,
    batch_size: int,
    folder: Path,
    report: Callable[[str], None] = lambda line: None,
    precision: Precision = "auto",
) -> None:
    """Write `num` PNG files named by class and seed. Image k has seed + k, and the k-th class in turn.

    Without classes each image's label is drawn uniformly by its seed. `report` hears how far it is.
    Threads encode and write while the generator draws on; they are never more than two batches behind.
    """
    seeds = range(seed, seed + num)
    if classes is None:
        y = image_labels(seeds, model.config.num_classes)
    else:
        y = torch.tensor([classes[k % len(classes)] for k in range(num)])
    batches = sample(model, y, seeds, law, batch_size=batch_size, precision=precision)
    written, pending = 0, deque[Future[None]]()
    with ThreadPoolExecutor(os.cpu_count()) as writers:
        try:
            for batch in Progress("drew", num, report).over(batches):
                while len(pending) > len(batch):
                    pending.popleft().result()
                for image in batch:
                    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in model.class_names[int(y[written])])
                    path = folder / f"{name}_seed{seeds[written]:06d}.png"
                    pending.append(writers.submit(save_image, to_pil(image), path, durable=False))
                    written += 1
            for writing in pending:
                writing.result()
        except BaseException:
            writers.shutdown(cancel_futures=True)
            raise


def sheet_of_classes(
    model: BigGAN,
    law: LatentLaw,
    classes: Sequence[int] | None,
    num: int | None,
    seed: int,
    batch_size: int,
    precision: Precision = "fp32",
) -> Image.Image:
    """A sheet with a row a class, of `num` images in all (10 a class by default).

    Without classes: all of them, or twenty spread over them where there are more.
    """
    if classes is None:
        classes = spread_classes(model.config.num_classes)
    columns = -(-num // len(classes)) if num else SHEET_COLUMNS
    y = torch.tensor(classes).repeat_interleave(columns)
    drawn = sample(model, y, range(seed, seed + len(y)), law, batch_size=batch_size, precision=precision)
    images = torch.cat(list(drawn))
    return sheet(images.split(columns), [model.class_names[i] for i in classes])


def spread_classes(num_classes: int, most: int = SHEET_CLASSES) -> list[int]:
    """All classes, or `most` spread over them where there are more."""
    shown = min(num_classes, most)
    return [i * num_classes // shown for i in range(shown)]


def sheet_of_laws(
    model: BigGAN,
    laws: Sequence[LatentLaw],
    classes: Sequence[int] | None,
    columns: int,
    seed: int,
    batch_size: int,
    precision: Precision = "fp32",
) -> Image.Image:
    """A sheet with a row a latent law; each column is one seed and class, the classes in turn.

    Latents come from one uniform variate each, so a column is one image as truncation changes.
    """
    shown = classes or [i * model.config.num_classes // columns for i in range(columns)]
    y = torch.tensor([shown[k % len(shown)] for k in range(columns)])
    seeds = range(seed, seed + columns)
    rows = [
        torch.cat(list(sample(model, y, seeds, law, batch_size=batch_size, precision=precision))) for law in laws
    ]
    return sheet(rows, [str(law) for law in laws])


def to_uint8(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8 on the CPU: -1 becomes 0 and 1 becomes 255, rounded."""
    return (images.float() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8).cpu()


def to_pil(image: Tensor) -> Image.Image:
    """One uint8 image (C, H, W) as a Pillow image."""
    pixels = image.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def sheet(
    rows: Sequence[Tensor],
    names: Sequence[str] = (),
    *,
    headings: Sequence[str] = (),
    corner: str = "",
    scale: int = 0,
) -> Image.Image:
    """One picture of rows of uint8 images (N, C, H, W), each row with its name at the left.

    `headings` stand above the columns, and `corner`, which says what they are, at their left.

    Images are enlarged `scale` times without smoothing; 0 chooses a scale that shows small images at
    64 pixels or more.
    """
    height, width = rows[0].shape[2:]
    scale = scale or max(1, -(-64 // min(height, width)))
    gap, font = max(2, scale), ImageFont.load_default(size=14)
    margin = max((int(font.getlength(name)) for name in (*names, corner)), default=0) + 16 if names else gap
    cell_w, cell_h = width * scale + gap, height * scale + gap
    columns = max(len(row) for row in rows)
    top = gap + (HEADING if headings else 0)
    canvas = Image.new("RGB", (margin + columns * cell_w, top + len(rows) * cell_h), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((8, top // 2), corner, fill="black", font=font, anchor="lm")
    for c, heading in enumerate(headings):
        draw.text((margin + c * cell_w + width * scale // 2, top // 2), heading, fill="black", font=font, anchor="mm")
    for r, row in enumerate(rows):
        if names:
            draw.text((8, top + r * cell_h + height * scale // 2), names[r], fill="black", font=font, anchor="lm")
        for c, image in enumerate(row):
            tile = to_pil(image).resize((width * scale, height * scale), Image.Resampling.NEAREST)
            canvas.paste(tile, (margin + c * cell_w, top + r * cell_h), tile if tile.mode == "RGBA" else None)
    return canvas


def save_image(image: Image.Image, path: Path, durable: bool = True) -> None:
    """Write a PNG atomically; `durable` as in `atomic_write`."""
    with atomic_write(path, durable) as temporary:
        image.save(temporary, format="PNG")

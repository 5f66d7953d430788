"""The loop.

    while images_seen < images: d_steps discriminator steps, a generator step, the moving average, the
    clock; then, if due, a log line, a preview, a checkpoint.

The run is a function of (configuration, seed, clock): every batch below is computed from the clock,
so there is no loader or generator state to save. SIGTERM and Ctrl-C finish the step, save and return.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
import yaml
from torch import Tensor

from biggan.checkpoint import checkpoint_files, load_newest, save_checkpoint
from biggan.config import NEUTRAL_FIELDS, BigGANConfig, TrainConfig, to_mapping
from biggan.data import LabelledImages, sample_indices, to_float
from biggan.ema import ramped_decay, update_ema
from biggan.errors import UserError
from biggan.files import exclusive, write_text
from biggan.latents import Stream, labels, latents, uniforms
from biggan.model import BigGAN
from biggan.sampling import sample, save_image, sheet, standing_statistics
from biggan.state import TrainState, new_state
from biggan.steps import DBatch, GBatch, discriminator_step, generator_step
from biggan.tracker import Tracker

PREVIEW_CLASSES, PREVIEW_COLUMNS = 10, 10


class Observer(Protocol):
    """Who watches a run: the command line's progress display, or a test."""

    def message(self, line: str) -> None:
        """Something the user should read."""

    def progress(self, images_seen: int, images: int, metrics: dict[str, float]) -> None:
        """After every step; `metrics` are those of the last log line."""


def train(network: BigGANConfig, config: TrainConfig, data: LabelledImages, run: Path, observer: Observer) -> bool:
    """Train in the folder `run`, from its newest checkpoint if it has one.

    Returns True if the run is complete and False if a signal ended it early; either way everything is
    saved. Raises UserError if `run` belongs to another configuration or is in use, if the device is not
    there, or if the losses stop being finite.
    """
    device = resolve_device(config.device)
    with exclusive(run), _stop_requests() as stopping:
        claim(run, network, config, data.fingerprint)
        state = new_state(network, config.seed, device)
        if load_newest(run, state, observer.message):
            observer.message(f"resuming {run} at {state.images_seen:,} images")
        loop(state, config, data, run, observer, stopping)
        return state.images_seen >= config.images


def loop(
    state: TrainState, config: TrainConfig, data: LabelledImages, run: Path, observer: Observer, stopping: "_Stop"
) -> None:
    """Advance `state` to the end of the run, or until a stop is requested."""
    bf16 = resolve_bf16(config.precision, state.G.linear.weight.device)
    tracker = Tracker(run / "log.jsonl", state.images_seen)
    metrics: dict[str, float] = {}
    began, began_at = time.monotonic(), state.images_seen
    ending = state.images_seen >= config.images
    while not ending:
        before = state.images_seen

        for d_step in range(config.d_steps):
            d_metrics = discriminator_step(state, discriminator_batches(state, config, data, d_step), bf16=bf16)
        g_metrics = generator_step(state, generator_batches(state, config), bf16=bf16)
        update_ema(state.G_ema, state.G, ema_decay(config, before))
        state.images_seen += config.batch_size

        ending = state.images_seen >= config.images or stopping.requested
        if _due(before, state.images_seen, config.log_every) or ending:
            metrics = read_metrics(d_metrics | g_metrics, state.images_seen)
            seconds = time.monotonic() - began
            metrics["images_per_second"] = round((state.images_seen - began_at) / seconds, 1)
            tracker.log(images_seen=state.images_seen, step=state.images_seen // config.batch_size, **metrics)
        if config.preview_every and (_due(before, state.images_seen, config.preview_every) or ending):
            refresh_statistics(state, config)
            save_preview(state, data, run)
        if _due(before, state.images_seen, config.checkpoint_every) or ending:
            read_metrics(d_metrics | g_metrics, state.images_seen)
            refresh_statistics(state, config)
            save_checkpoint(run, state, config.keep_checkpoints)
            ema_model(state, data, recipe(config, state.images_seen)).save_pretrained(run / "export")
        observer.progress(state.images_seen, config.images, metrics)


def ema_decay(config: TrainConfig, images_seen: int) -> float:
    """The decay of the average's update at a clock; 0, a plain copy, until averaging starts."""
    since = images_seen - config.ema_start
    return 0.0 if since < 0 else ramped_decay(config.ema_decay, config.batch_size, since, config.ema_rampup)


# ---- what a step is fed, computed from the clock ---------------------------------------------------


def discriminator_batches(state: TrainState, config: TrainConfig, data: LabelledImages, d_step: int) -> list[DBatch]:
    """The micro-batches of the d_step-th discriminator step at the state's clock."""
    device, seed = state.G.linear.weight.device, config.seed
    size = config.microbatch_size or config.batch_size
    first = state.images_seen * config.d_steps + d_step * config.batch_size
    batches = []
    for start in range(first, first + config.batch_size, size):
        x, y = data.batch(sample_indices(seed, start, size, len(data)))
        x = to_float(x.to(device, non_blocking=True))
        if config.flip:
            mirrored = uniforms(seed, Stream.FLIP, start, size, 1)[:, :, None, None] < 0.5
            x = torch.where(mirrored.to(device), x.flip(3), x)
        z = latents(seed, Stream.D_LATENT, start, size, state.config.z_dim)
        fake_y = labels(seed, Stream.D_LABEL, start, size, state.config.num_classes)
        batches.append(DBatch(x, y.to(device), z.to(device), fake_y.to(device)))
    return batches


def generator_batches(state: TrainState, config: TrainConfig) -> list[GBatch]:
    """The micro-batches of the generator step at the state's clock."""
    device, seed = state.G.linear.weight.device, config.seed
    size = config.microbatch_size or config.batch_size
    batches = []
    for start in range(state.images_seen, state.images_seen + config.batch_size, size):
        z = latents(seed, Stream.G_LATENT, start, size, state.config.z_dim)
        y = labels(seed, Stream.G_LABEL, start, size, state.config.num_classes)
        batches.append(GBatch(z.to(device), y.to(device)))
    return batches


# ---- what a run leaves behind ----------------------------------------------------------------------


def refresh_statistics(state: TrainState, config: TrainConfig) -> None:
    """Give G_ema batch statistics of its own; the raw network's do not belong to it."""
    standing_statistics(state.G_ema, state.config.num_classes, state.config.z_dim, seed=config.seed)


def ema_model(state: TrainState, data: LabelledImages, recipe: dict[str, Any] | None = None) -> BigGAN:
    """The EMA generator, shared with `state`, as a model that samples and saves."""
    with torch.device("meta"):
        model = BigGAN(state.config, data.class_names, recipe=recipe)
    model.G = state.G_ema
    return model


def recipe(config: TrainConfig, images_seen: int) -> dict[str, Any]:
    """What an export says of how it was made."""
    return {**to_mapping(config), "images_seen": images_seen}


def save_preview(state: TrainState, data: LabelledImages, run: Path) -> None:
    """A sheet of fixed latents: a row a class, of at most ten classes spread over all of them."""
    count = min(PREVIEW_CLASSES, len(data.class_names))
    classes = [i * len(data.class_names) // count for i in range(count)]
    model = ema_model(state, data)
    y = torch.tensor(classes).repeat_interleave(PREVIEW_COLUMNS)
    images = torch.cat(list(sample(model, y, range(len(y)))))
    picture = sheet(images.split(PREVIEW_COLUMNS), [data.class_names[i] for i in classes])
    save_image(picture, run / "previews" / f"{state.images_seen:012d}.png")


def claim(run: Path, network: BigGANConfig, config: TrainConfig, fingerprint: str) -> None:
    """Write the resolved configuration of a new run, or refuse one that began with another."""
    path = run / "config.yaml"
    wanted = {**to_mapping(network), **to_mapping(config)}
    if path.is_file():
        saved = read_yaml(path)
        saved = {**to_mapping(BigGANConfig()), **to_mapping(TrainConfig()), **saved}     # fields newer than the run
        differing = [name for name in wanted if name not in NEUTRAL_FIELDS and saved[name] != wanted[name]]
        if differing:
            changes = ", ".join(f"{name} {saved[name]} -> {wanted[name]}" for name in differing)
            raise UserError(f"{run} began with another configuration ({changes}); give the same flags or another --out")
        recorded = (run / "data.txt").read_text().strip() if (run / "data.txt").is_file() else fingerprint
        if recorded != fingerprint:
            raise UserError(f"the data of {run} changed since it began; restore it or give another --out")
    elif checkpoint_files(run):
        raise UserError(f"{run} has checkpoints but no config.yaml; give another --out")
    write_text(run / "data.txt", fingerprint + "\n")
    write_text(path, dump_yaml(network, config))


def dump_yaml(network: BigGANConfig, config: TrainConfig) -> str:
    """Both configurations as flat YAML, as `--config` reads it."""
    values = {**to_mapping(network), **to_mapping(config)}
    text = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=100)
    return "# The resolved configuration of a run; usable as --config.\n" + text


def read_yaml(path: Path) -> dict[str, Any]:
    """A flat mapping from a YAML file; UserError if it cannot be read or is something else."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} must hold lines of the form field: value")
    return {str(name).replace("-", "_"): value for name, value in values.items()}


# ---- the machine -----------------------------------------------------------------------------------


def resolve_device(name: str) -> torch.device:
    """The device of --device; auto takes CUDA, then MPS, then the CPU. UserError if it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name} is not available here; use auto, cpu, cuda or mps") from error
    return device


def resolve_bf16(precision: str, device: torch.device) -> bool:
    """Whether to train under bf16 autocast: always or never if asked, else where hardware multiplies bf16."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def read_metrics(metrics: dict[str, Tensor], images_seen: int) -> dict[str, float]:
    """Device scalars as numbers, in one transfer; UserError if one is not finite."""
    numbers = dict(zip(metrics, torch.stack(list(metrics.values())).tolist(), strict=True))
    for name, number in numbers.items():
        if number - number != 0:
            raise UserError(
                f"{name} is {number} at {images_seen:,} images: training diverged. "
                "The last checkpoint is intact; begin another run with lower --g-lr and --d-lr or --precision fp32"
            )
    return {name: round(number, 6) for name, number in numbers.items()}


def _due(before: int, after: int, every: int) -> bool:
    """Whether the clock passed a multiple of `every`."""
    return before // every != after // every


class _Stop:
    requested = False


@contextmanager
def _stop_requests() -> Iterator[_Stop]:
    """Turn SIGTERM and the first Ctrl-C into a request; the second Ctrl-C interrupts as usual."""
    stop = _Stop()

    def request(number: int, frame: FrameType | None) -> None:
        stop.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    try:
        before = {number: signal.signal(number, request) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:                  # not in the main thread: signals are somebody else's
        yield stop
        return
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""The loop.

    while images_seen < images: d_steps discriminator steps, a generator step, the moving average, the
    clock; then, if due, a log line, a look of the watchdog, a preview, a checkpoint.

The run is a function of (configuration, seed, clock): every batch is computed from the clock, so there
is no loader or generator state to save. SIGTERM and Ctrl-C finish the step, save and return. Of several
processes all take each step together, and the first one alone writes and speaks.
"""

import contextlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import yaml
from torch import Tensor

from biggan import distributed, finetuning
from biggan.accelerate import accelerate
from biggan.checkpoint import checkpoint_files, load_newest, sweep
from biggan.config import NEUTRAL_FIELDS, BigGANConfig, TrainConfig, to_mapping, with_new_names
from biggan.data import LabelledImages
from biggan.ema import ema_decay, update_ema
from biggan.errors import UserError
from biggan.feed import check_shares, discriminator_batches, generator_batches
from biggan.files import exclusive, write_text
from biggan.journal import Journal, Observer, changed, settings, share
from biggan.machine import has_bf16, keep_freed_memory
from biggan.state import TrainState, new_state
from biggan.steps import Metrics, discriminator_step, generator_step
from biggan.watchdog import Alarm, new_alarms, not_finite, read_signals, remember


def train(network: BigGANConfig, config: TrainConfig, data: LabelledImages, run: Path, observer: Observer) -> bool:
    """Train in the folder `run`, from its newest checkpoint if it has one.

    Returns True if the run is complete and False if a signal ended it early; either way everything is
    saved. Raises UserError if `run` belongs to another configuration or is in use, if the device is not
    there, if the watchdog ends the run or if another process of it is gone.
    """
    device = resolve_device(config.device)
    keep_freed_memory(device)
    check_shares(config)
    sharded = config.shard and distributed.world_size() > 1
    changed(network, config)                    # refuses wrong --rollback-changes before they are needed
    if config.init and not checkpoint_files(run):
        finetuning.check_networks(network, config, run)
    try:
        with _held(run), _stop_requests() as stopping:
            state = new_state(network, config.seed, torch.device("cpu") if sharded else device)
            if distributed.is_first():
                if config.init and not checkpoint_files(run):
                    finetuning.begin(state, config, data, observer.message)
                claim(run, network, config, data.fingerprint)
                sweep(run)
                if load_newest(run, state, observer.message):
                    observer.message(f"resuming {run} at {state.images_seen:,} images")
            share(state)
            if sharded:
                state.shard(device)
            finetuning.freeze(state, config)
            accelerate(state, config)
            state.parallelise()
            loop(state, config, data, run, observer, stopping)
            return state.images_seen >= config.images
    except RuntimeError as error:
        if distributed.lost_a_process(error):
            raise UserError(
                "another process of this run ended, and all end with it; its own message says why. "
                "The same command again continues from the last checkpoint"
            ) from error
        raise


def loop(
    state: TrainState, config: TrainConfig, data: LabelledImages, run: Path, observer: Observer, stopping: "_Stop"
) -> None:
    """Advance `state` to the end of the run, or until a stop is requested."""
    journal = Journal(state, config, data, run, observer)
    config = settings(state, config)
    journal.open()
    metrics: dict[str, float] = {}
    ending = state.images_seen >= config.images
    while not ending:
        before = state.images_seen
        step_metrics = iterate(state, config, data)
        ending = state.images_seen >= config.images or distributed.any_of(stopping.requested)

        log, preview, checkpoint, evaluation = (
            every > 0 and (ending or _due(before, state.images_seen, every))
            for every in (config.log_every, config.preview_every, config.checkpoint_every, config.evaluate_images)
        )
        checkpoint = checkpoint or evaluation       # the weights of the best numbers are there to be kept
        watch = _due(before, state.images_seen, config.watch_images)
        if log or watch or checkpoint:
            numbers = read_metrics(step_metrics)
            alarms = look(state, data, numbers, config, watch)
            if watch:
                journal.looked()
            if alarms and journal.react(alarms, config):
                config, ending = settings(state, config), False
                continue
        if log:
            metrics = journal.log(numbers)
        if preview or checkpoint:
            journal.show(preview, checkpoint, evaluation)
        observer.progress(state.images_seen, config.images, metrics)


def iterate(state: TrainState, config: TrainConfig, data: LabelledImages) -> Metrics:
    """One iteration: the discriminator's steps, the generator's, the moving average and the clock."""
    bf16 = resolve_bf16(config.precision, state.device)
    for d_step in range(config.d_steps):
        d_batches = discriminator_batches(state, config, data, d_step)
        d_metrics = discriminator_step(state, d_batches, config, d_step=d_step, bf16=bf16)
    g_metrics = generator_step(state, generator_batches(state, config, data), config, bf16=bf16)
    state.images_seen += config.batch_size
    update_average(state, config)
    return d_metrics | g_metrics


def update_average(state: TrainState, config: TrainConfig) -> None:
    """Move G_ema by the law of the configuration at the clock after a step."""
    law = (config.ema_decay, config.ema_start, config.ema_half_life, config.ema_ramp_up)
    decay = ema_decay(state.images_seen, config.batch_size, *law)
    update_ema(state.G_ema, state.G, decay, config.ema_buffers)


def look(
    state: TrainState, data: LabelledImages, numbers: dict[str, float], config: TrainConfig, due: bool
) -> list[Alarm]:
    """What is wrong at this clock, in the first process's eyes: infinite numbers always, the rest where due.

    Of sharded networks all processes look, because none alone can.
    """
    alarms = not_finite(numbers)
    if due and not alarms and config.watch != "off":
        signals = read_signals(state, data, numbers) if distributed.is_first() or state.sharded else None
        remember(state, distributed.from_first(signals))
        alarms = new_alarms(state.signals, config)
    return alarms


# ---- a run's identity --------------------------------------------------------------------------------


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
    return with_new_names({str(name).replace("-", "_"): value for name, value in values.items()})


# ---- the machine -----------------------------------------------------------------------------------


def resolve_device(name: str) -> torch.device:
    """The device of --device; auto takes CUDA, then MPS, then the CPU. UserError if it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cuda" and distributed.asked_for() > 1:
        name = f"cuda:{distributed.local_rank()}"
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
    return has_bf16(device)


def read_metrics(metrics: dict[str, Tensor]) -> dict[str, float]:
    """Means over micro-batches and processes as numbers, in one transfer."""
    means = distributed.mean(torch.stack([values.float().mean() for values in metrics.values()]))
    return dict(zip(metrics, means.tolist(), strict=True))


def _due(before: int, after: int, every: int) -> bool:
    """Whether the clock passed a multiple of `every`."""
    return before // every != after // every


def _held(run: Path) -> contextlib.AbstractContextManager[None]:
    """The run's folder, locked by the first process for all."""
    return exclusive(run) if distributed.is_first() else contextlib.nullcontext()


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

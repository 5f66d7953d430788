"""What a run leaves behind: log lines, previews, checkpoints, exports, and the way back after an alarm.

Of several processes the first one writes and speaks; the others take part where weights are shared and where
images are drawn to be measured.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
import yaml

from biggan import distributed
from biggan.checkpoint import (
    Retention,
    best_checkpoint,
    checkpoint_files,
    clock_of,
    discard_after,
    load_newest,
    save_checkpoint,
)
from biggan.config import BigGANConfig, TrainConfig, to_mapping
from biggan.data import LabelledImages
from biggan.errors import UserError
from biggan.evaluation import evaluate
from biggan.evaluation.protocol import named
from biggan.evaluation.sides import open_held_out
from biggan.files import write_text
from biggan.model import BigGAN, batch_statistics, set_batch_statistics
from biggan.networks import Generator
from biggan.presets import with_overrides
from biggan.report import write_report
from biggan.sampling import sample, save_image, sheet, standing_statistics
from biggan.sharding import send_from_first, whole
from biggan.state import TrainState, new_state
from biggan.tracker import Tracker, open_sinks
from biggan.watchdog import Alarm, inspect_labels

PREVIEW_CLASSES, PREVIEW_COLUMNS = 10, 10
WATCHED = ("diversity", "least_diversity", "embedding_spread")


class Observer(Protocol):
    """Who watches a run: the command line's progress display, or a test."""

    def message(self, line: str) -> None:
        """Something the user should read."""

    def progress(self, images_seen: int, images: int, metrics: dict[str, float]) -> None:
        """After every step; `metrics` are those of the last log line."""


class Journal:
    """What the first process writes and says while a run goes on; the others are silent."""

    def __init__(
        self, state: TrainState, config: TrainConfig, data: LabelledImages, run: Path, observer: Observer
    ) -> None:
        self.state, self.config, self.data, self.run, self.observer = state, config, data, run, observer
        self.writes = distributed.is_first()
        self.sinks = open_sinks(config.track, run, state.images_seen) if self.writes else []
        self.protocol = named(config.evaluate_protocol).changed(num=config.evaluate_num or None)
        self.held_out: LabelledImages | None = None
        self.restart()

    def open(self) -> None:
        """Count the classes, look at labels and held-out images, and save the weights to go back to."""
        if self.writes:
            counts = dict(zip(self.data.class_names, map(int, self.data.class_counts()), strict=True))
            write_text(self.run / "classes.json", json.dumps(counts, ensure_ascii=False) + "\n")
        if self.config.evaluates and self.protocol.split == "test":
            c, fit = self.state.config, self.config.fit
            self.held_out = open_held_out(self.config.data, c, fit, self.observer.message)
        alarms = inspect_labels(self.data) if self.config.watch != "off" else []
        for alarm in alarms:
            self.tell(alarm)
        if alarms and self.config.watch != "warn":
            raise UserError(f"{alarms[0].text}. The run ends; {kept(self.run, self.config)}")
        if self.config.watch == "rollback" and distributed.from_first(not checkpoint_files(self.run)):
            self.checkpoint()

    def restart(self) -> None:
        """Begin, or go on after the clock was set back: the log forgets what lies after it."""
        self.tracker = Tracker(self.run / "log.jsonl", self.state.images_seen, self.sinks) if self.writes else None
        self.signals = Tracker(self.run / "signals.jsonl", self.state.images_seen) if self.writes else None
        self.began, self.began_at = time.monotonic(), self.state.images_seen
        self.logged, self.loading = self.began, self.data.loading.seconds

    def line(self, **values: object) -> None:
        """A line of the log."""
        if self.tracker is not None:
            self.tracker.log(images_seen=self.state.images_seen, **values)

    def log(self, numbers: dict[str, float]) -> dict[str, float]:
        """Write a step's numbers; the same with the speed and the share of the time that reading images took."""
        now, loading = time.monotonic(), self.data.loading.seconds
        speed = round((self.state.images_seen - self.began_at) / (now - self.began), 1)
        share = round((loading - self.loading) / (now - self.logged), 4)
        self.logged, self.loading = now, loading
        rounded = {name: round(number, 6) for name, number in numbers.items()}
        metrics = rounded | {"images_per_second": speed, "data_share": share}
        self.line(step=self.state.images_seen // self.config.batch_size, **metrics)
        return metrics

    def looked(self) -> None:
        """Write what the watchdog saw, as far as it stands in no other line."""
        if self.signals is not None and self.state.signals:
            seen = self.state.signals[-1]
            kept = {name: round(value, 5) for name, value in seen.items() if name.endswith(".s0") or name in WATCHED}
            self.signals.log(images_seen=self.state.images_seen, **kept)

    def tell(self, alarm: Alarm) -> None:
        """A diagnosis, to the log and to the user."""
        self.line(alarm=alarm.kind, diagnosis=alarm.text)
        if self.writes:
            self.observer.message(f"watchdog, at {self.state.images_seen:,} images: {alarm.text}")

    def show(self, preview: bool, checkpoint: bool, evaluation: bool) -> None:
        """A preview, an evaluation and a checkpoint, whichever is due. All processes draw what is measured."""
        average, metrics = whole_average(self.state), {}
        if self.writes or evaluation:
            model = ema_model(average, self.data, recipe(self.config, self.state.images_seen))
            with standing(average, self.config):
                if preview and self.writes:
                    save_preview(model, self.run, self.state.images_seen)
                if evaluation:
                    metrics = self.evaluated(model)
                if checkpoint and self.writes:
                    model.save_pretrained(self.run / "export")
        if checkpoint:
            self.checkpoint(metrics)
        if self.writes:
            write_report(self.run)

    def checkpoint(self, metrics: dict[str, float] | None = None) -> None:
        """All that resuming needs."""
        if self.writes or self.state.sharded:
            save_checkpoint(self.run, self.state, retention(self.config), metrics)

    def evaluated(self, model: BigGAN) -> dict[str, float]:
        """The metrics of a model, in the log too."""
        result = evaluate(
            model, self.data, protocol=self.protocol, held_out=self.held_out, report=self.observer.message
        )
        metrics = {name: round(float(value), 6) for name, value in result["metrics"].items()}
        self.line(protocol=self.protocol.name, **metrics)
        return metrics

    def react(self, alarms: list[Alarm], config: TrainConfig) -> bool:
        """Do what --watch says. True if the run went back and goes on; UserError if it ends."""
        for alarm in alarms:
            self.tell(alarm)
        if config.watch in ("off", "warn") and alarms[0].kind != "not-finite":
            return False
        diagnosis = f"at {self.state.images_seen:,} images {alarms[0].text}"
        if config.watch == "rollback":
            diagnosis += f". {self.go_back(alarms[0], config)}"
            if config.rollback_changes and len(self.state.rollbacks) <= config.rollback_limit:
                return True
        raise UserError(f"{diagnosis}. The run ends; {kept(self.run, self.config)}")

    def go_back(self, alarm: Alarm, config: TrainConfig) -> str:
        """Restore weights from before the trouble, in all processes; a sentence that says so.

        The same run from the same clock would end in the same way, so it goes on only with changes.
        """
        state, at = self.state, self.state.images_seen
        target = max(at - (config.rollback_images or min(10 * config.watch_images, at // 2)), 0)
        done = state.rollbacks
        read = new_state(state.config, 0, torch.device("cpu")) if state.sharded else state
        if self.writes:
            oldest = clock_of(checkpoint_files(self.run)[0])
            load_newest(self.run, read, self.observer.message, before=max(target, oldest))
        share(state, read)
        state.rollbacks = [*done, {"from": at, "to": state.images_seen, "kind": alarm.kind, "diagnosis": alarm.text}]
        self.restart()
        self.line(alarm=alarm.kind, diagnosis=alarm.text, rolled_back_from=at)
        if self.writes:
            discard_after(self.run, state.images_seen)
        self.show(preview=True, checkpoint=True, evaluation=config.evaluates)
        sentence = f"Went back from {at:,} to {state.images_seen:,} images"
        if self.writes:
            changes = " ".join(config.rollback_changes) or "none, so the run would end in the same way"
            self.observer.message(f"{sentence}; changes: {changes}")
        return sentence


def settings(state: TrainState, config: TrainConfig) -> TrainConfig:
    """The configuration in force, and its rates in the optimizers: once a run went back, with the user's changes."""
    network, config = changed(state.config, config) if state.rollbacks else (state.config, config)
    state.set_rates(network)
    return config


def changed(network: BigGANConfig, config: TrainConfig) -> tuple[BigGANConfig, TrainConfig]:
    """Both configurations with --rollback-changes made."""
    values: dict[str, object] = {}
    for change in config.rollback_changes:
        name, _, text = change.partition("=")
        several = isinstance(getattr(config, name, None), tuple)
        values[name] = tuple(filter(None, text.split(","))) if several else yaml.safe_load(text)
    return with_overrides((network, config), values)


def kept(run: Path, config: TrainConfig) -> str:
    """Where the weights to go on from are, in words."""
    best = best_checkpoint(run, config.best_metric) if config.evaluates else None
    files = checkpoint_files(run)
    if best is not None:
        return f"the best checkpoint by {config.best_metric} is {best}"
    return f"the last checkpoint is {files[-1]}" if files else "it had no checkpoint yet"


def retention(config: TrainConfig) -> Retention:
    """Which checkpoints stay."""
    metric = config.best_metric if config.evaluates else ""
    return Retention(config.keep_checkpoints, config.span_images, config.keep_ring, metric)


def share(state: TrainState, read: TrainState | None = None) -> None:
    """Give the first process's state, or the whole one that it read, to all."""
    given = read or state
    send_from_first(state.tensors(), given.tensors())
    state.images_seen, notes = distributed.from_first((given.images_seen, given.notes()))
    state.load_notes(notes)


def whole_average(state: TrainState) -> Generator:
    """G_ema itself or, of a sharded state, a whole copy; then all processes must ask for it."""
    if not state.sharded:
        return state.G_ema
    tensors = {key: whole(value).detach().clone() for key, value in state.G_ema.state_dict().items()}
    with torch.device("meta"):
        average = Generator(state.config).requires_grad_(False)
    average.load_state_dict(tensors, assign=True)
    return average


@contextmanager
def standing(average: Generator, config: TrainConfig) -> Iterator[None]:
    """Within the block G_ema has batch statistics of its own; the raw network's do not belong to it."""
    before = batch_statistics(average)
    standing_statistics(average, average.config.num_classes, average.config.z_dim, seed=config.seed)
    try:
        yield
    finally:
        set_batch_statistics(average, before)


def ema_model(average: Generator, data: LabelledImages, recipe: dict[str, Any]) -> BigGAN:
    """The EMA generator, shared with the state, as a model that samples and saves."""
    with torch.device("meta"):
        model = BigGAN(average.config, data.class_names, recipe=recipe)
    model.G = average
    return model


def recipe(config: TrainConfig, images_seen: int) -> dict[str, Any]:
    """What an export says of how it was made."""
    return {**to_mapping(config), "images_seen": images_seen}


def save_preview(model: BigGAN, run: Path, images_seen: int) -> None:
    """A sheet of fixed latents: a row a class, of at most ten classes spread over all of them."""
    count = min(PREVIEW_CLASSES, len(model.class_names))
    classes = [i * len(model.class_names) // count for i in range(count)]
    y = torch.tensor(classes).repeat_interleave(PREVIEW_COLUMNS)
    images = torch.cat(list(sample(model, y, range(len(y)))))
    picture = sheet(images.split(PREVIEW_COLUMNS), [model.class_names[i] for i in classes])
    save_image(picture, run / "previews" / f"{images_seen:012d}.png")

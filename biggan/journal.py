"""What a run leaves behind: log lines, previews, checkpoints, exports, and the way back after an alarm.

Of several processes the first one writes and speaks; the others take part where weights are shared and where
images are drawn to be measured.
"""

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
from biggan.model import BigGAN, batch_statistics, set_batch_statistics
from biggan.presets import with_overrides
from biggan.sampling import sample, save_image, sheet, standing_statistics
from biggan.state import TrainState
from biggan.tracker import Tracker
from biggan.watchdog import Alarm, inspect_labels

PREVIEW_CLASSES, PREVIEW_COLUMNS = 10, 10


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
        self.protocol = named(config.evaluate_protocol).changed(num=config.evaluate_num or None)
        self.held_out: LabelledImages | None = None
        self.restart()

    def open(self) -> None:
        """Look at labels and held-out images, and save the weights to go back to before there are any others."""
        if self.config.evaluates and self.protocol.split == "test":
            c, fit = self.state.config, self.config.fit
            self.held_out = open_held_out(self.config.data, c, fit, self.observer.message)
        alarms = inspect_labels(self.data) if self.config.watch != "off" else []
        for alarm in alarms:
            self.tell(alarm)
        if alarms and self.config.watch != "warn":
            raise UserError(f"{alarms[0].text}. The run ends; {kept(self.run, self.config)}")
        if self.writes and self.config.watch == "rollback" and not checkpoint_files(self.run):
            self.checkpoint()

    def restart(self) -> None:
        """Begin, or go on after the clock was set back: the log forgets what lies after it."""
        self.tracker = Tracker(self.run / "log.jsonl", self.state.images_seen) if self.writes else None
        self.began, self.began_at = time.monotonic(), self.state.images_seen

    def line(self, **values: object) -> None:
        """A line of the log."""
        if self.tracker is not None:
            self.tracker.log(images_seen=self.state.images_seen, **values)

    def log(self, numbers: dict[str, float]) -> dict[str, float]:
        """Write a step's numbers; the same with the speed."""
        seconds = time.monotonic() - self.began
        speed = round((self.state.images_seen - self.began_at) / seconds, 1)
        metrics = {name: round(number, 6) for name, number in numbers.items()} | {"images_per_second": speed}
        self.line(step=self.state.images_seen // self.config.batch_size, **metrics)
        return metrics

    def tell(self, alarm: Alarm) -> None:
        """A diagnosis, to the log and to the user."""
        self.line(alarm=alarm.kind, diagnosis=alarm.text)
        if self.writes:
            self.observer.message(f"watchdog, at {self.state.images_seen:,} images: {alarm.text}")

    def show(self, preview: bool, checkpoint: bool, evaluation: bool) -> None:
        """A preview, an evaluation and a checkpoint, whichever is due. All processes draw what is measured."""
        if not (self.writes or evaluation):
            return
        metrics: dict[str, float] = {}
        with standing(self.state, self.config):
            if preview and self.writes:
                save_preview(self.state, self.data, self.run)
            model = ema_model(self.state, self.data, recipe(self.config, self.state.images_seen))
            if evaluation:
                metrics = self.evaluated(model)
            if checkpoint and self.writes:
                model.save_pretrained(self.run / "export")
        if checkpoint:
            self.checkpoint(metrics)

    def checkpoint(self, metrics: dict[str, float] | None = None) -> None:
        """All that resuming needs."""
        if self.writes:
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
        target = max(at - (config.rollback_images or 10 * config.watch_images), 0)
        done = state.rollbacks
        if self.writes:
            oldest = clock_of(checkpoint_files(self.run)[0])
            load_newest(self.run, state, self.observer.message, before=max(target, oldest))
        share(state)
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


def share(state: TrainState) -> None:
    """Give the first process's state to all."""
    distributed.send_from_first(state.tensors())
    state.images_seen, notes = distributed.from_first((state.images_seen, state.notes()))
    state.load_notes(notes)


@contextmanager
def standing(state: TrainState, config: TrainConfig) -> Iterator[None]:
    """Within the block G_ema has batch statistics of its own; the raw network's do not belong to it."""
    before = batch_statistics(state.G_ema)
    standing_statistics(state.G_ema, state.config.num_classes, state.config.z_dim, seed=config.seed)
    try:
        yield
    finally:
        set_batch_statistics(state.G_ema, before)


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

"""Metrics over truncation and over training: CSV, PNG, and every result with its protocol as JSON.

After each point all is written, and a point that the JSON file has from exactly this measurement isn't
measured again: so an interrupted curve continues, and a longer run adds to it.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from biggan import distributed
from biggan.checkpoint import UNREADABLE, checkpoint_files, load_checkpoint
from biggan.config import BigGANConfig, TrainConfig
from biggan.data import LabelledImages
from biggan.errors import UserError
from biggan.evaluation import evaluate
from biggan.files import atomic_write, read_json, write_text
from biggan.journal import ema_model, recipe, standing
from biggan.latents import LatentLaw
from biggan.model import BigGAN
from biggan.presets import with_overrides
from biggan.state import new_state
from biggan.training import read_yaml

FORMAT = "biggan-curve-1"
Point = tuple[float, dict[str, Any]]            # a place on the horizontal axis, and a result


def laws_of(truncations: str | None, thresholds: str | None) -> list[LatentLaw]:
    """The laws of --truncations or --thresholds."""
    kind, text = ("truncation", truncations) if truncations else ("threshold", thresholds or "")
    return [LatentLaw(kind, value) for value in values_of(text, f"--{kind}s")]


def values_of(text: str, flag: str) -> list[float]:
    """The numbers of FIRST:LAST:STEP, both ends included, or of A,B,C; UserError if it is neither."""
    try:
        if ":" not in text:
            return [float(part) for part in text.split(",")]
        first, last, step = (float(part) for part in text.split(":"))
        count = int((last - first) / step + 1e-6) + 1
        values = [round(first + k * step, 9) for k in range(count)]
    except (ValueError, ZeroDivisionError):
        values = []
    if not values:
        raise UserError(f"{flag} {text} must be of the form 0.1:2.0:0.1 (first:last:step) or 0.5,1,2")
    return values


def law_curve(
    model: BigGAN, data: LabelledImages, laws: Sequence[LatentLaw], target: Path, options: Mapping[str, Any]
) -> list[Path]:
    """Measure a model under each law, with standing statistics of each; the files written beside `target`.

    `options` are those of `evaluate`.
    """
    curve = _Curve(target, laws[0].kind, options["report"])
    for law in laws:
        curve.report(f"{law} ({len(curve.points) + 1} of {len(laws)})")
        curve.add(law.value, evaluate(model, data, law=law, known=curve.known, **options))
    return curve.finish(draw_laws)


def checkpoint_curve(
    run: Path, data: LabelledImages, target: Path, device: torch.device, options: Mapping[str, Any]
) -> list[Path]:
    """Measure the moving average of every checkpoint of a run, with standing statistics of each.

    Raises UserError if the run has no checkpoint; one that is damaged is named and left out.
    """
    files = checkpoint_files(run)
    if not files or not (run / "config.yaml").is_file():
        raise UserError(f"{run} has no checkpoints; --all-checkpoints is for the folder of a run")
    network, config = with_overrides((BigGANConfig(), TrainConfig()), read_yaml(run / "config.yaml"))
    state = new_state(network, config.seed, device)
    curve = _Curve(target, "images_seen", options["report"])
    for path in files:
        try:
            load_checkpoint(path, state)
        except UNREADABLE as error:
            curve.report(f"{path} is damaged and was left out ({' '.join(str(error).split())[:200]})")
            continue
        curve.report(f"{path.name} ({len(curve.points) + 1} of {len(files)})")
        with standing(state.G_ema, config):
            model = ema_model(state.G_ema, data, recipe(config, state.images_seen))
            curve.add(state.images_seen, evaluate(model, data, known=curve.known, **options))
    return curve.finish(draw_training)


class _Curve:
    """The points of a curve, on the disk after each."""

    def __init__(self, target: Path, axis: str, report: Callable[[str], None]) -> None:
        self.target, self.axis, self.report = target, axis, report
        self.points: list[Point] = []
        self.known: list[dict[str, Any]] = []
        if target.is_file():
            content = read_json(target, "remove it or give another --out")
            if content.get("format") != FORMAT or not isinstance(content.get("results"), list):
                raise UserError(f"{target} holds something else than a curve; give another --out")
            self.known = content["results"]

    def add(self, place: float, result: dict[str, Any]) -> None:
        """One more point."""
        self.points.append((place, result))
        if distributed.is_first():
            results = [known for _, known in self.points]
            later = [old for old in self.known if old not in results]       # not reached yet, this time
            write_text(self.target, json.dumps({"format": FORMAT, "results": results + later}, indent=2) + "\n")
            write_text(self.target.with_suffix(".csv"), table(self.axis, self.points))

    def finish(self, draw: Callable[[Sequence[Point], Path], None]) -> list[Path]:
        """Draw it; the files of the curve."""
        if not self.points:
            raise UserError("none of the checkpoints can be read")
        written = [self.target, self.target.with_suffix(".csv")]
        if not distributed.is_first():
            return written
        try:
            draw(self.points, self.target.with_suffix(".png"))
        except ImportError:
            self.report("the picture needs matplotlib: pip install 'biggan-torch[plots]', and the same command again")
            return written
        return [*written, self.target.with_suffix(".png")]


def table(axis: str, points: Sequence[Point]) -> str:
    """The points as CSV: a line each, a column a metric."""
    names = list(dict.fromkeys(name for _, result in points for name in result["metrics"]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([axis, *names])
    for place, result in points:
        writer.writerow([f"{place:g}" if place < 1000 else int(place), *(result["metrics"].get(n, "") for n in names)])
    return text.getvalue()


# ---- pictures ----------------------------------------------------------------------------------------


def draw_laws(points: Sequence[Point], path: Path) -> None:
    """Variety against fidelity: FID by IS, and precision by recall. ImportError without matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    with_scores = all("is_mean" in result["metrics"] for _, result in points)
    for axes, x, y in ((left, "is_mean" if with_scores else "", "fid"), (right, "recall", "precision")):
        places = [result["metrics"][x] if x else place for place, result in points]
        heights = [result["metrics"][y] for _, result in points]
        axes.plot(places, heights, marker="o", markersize=4)
        every = max(1, len(points) // 8)
        for k in range(0, len(points), every):
            axes.annotate(f"{points[k][0]:g}", (places[k], heights[k]), textcoords="offset points", xytext=(5, 5))
        axes.set_xlabel({"is_mean": "inception score", "": "value"}.get(x, x))
        axes.set_ylabel("FID" if y == "fid" else y)
        axes.margins(0.1)
        axes.grid(alpha=0.3)
    kind = points[0][1]["protocol"]["latent_law"].partition(" ")[0]
    figure.suptitle(f"{caption(points[0][1])}; the numbers at the points are the {kind}", fontsize=9)
    save(figure, path)


def draw_training(points: Sequence[Point], path: Path) -> None:
    """Metrics over images seen: FID, KID with its interval, and the shares. ImportError without matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.2), layout="constrained")
    panels = figure.subplots(1, 3)
    clock = [place for place, _ in points]

    def series(name: str) -> list[float]:
        return [result["metrics"][name] for _, result in points]

    panels[0].plot(clock, series("fid"), marker="o", markersize=4)
    panels[0].set_ylabel("FID")
    panels[1].plot(clock, series("kid"), marker="o", markersize=4)
    panels[1].fill_between(clock, series("kid_low"), series("kid_high"), alpha=0.2)
    panels[1].set_ylabel("KID, with its 95 % interval")
    for name in ("precision", "recall", "coverage", "label_accuracy"):
        if all(name in result["metrics"] for _, result in points):
            panels[2].plot(clock, series(name), marker="o", markersize=4, label=name.replace("_", " "))
    panels[2].set_ylim(0, 1.02)
    panels[2].legend(fontsize=8)
    for axes in panels:
        axes.set_xlabel("images seen")
        axes.grid(alpha=0.3)
    figure.suptitle(caption(points[0][1]), fontsize=9)
    save(figure, path)


def caption(result: Mapping[str, Any]) -> str:
    """What was measured, for the head of a picture."""
    p = result["protocol"]
    real = f"{p['reference_size']:,} real ({p['reference_split']})"
    return f"{p['name']}: {p['num']:,} generated against {real} images, {p['extractor']} features"


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG, atomically."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)

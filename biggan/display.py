"""What the user sees while a command works, and the table at its end."""

import contextlib
import os
import sys
import time
from collections.abc import Collection, Iterator
from typing import Any


class PlainObserver:
    """Progress as lines, where nobody sits at a terminal: one whenever there are new numbers."""

    def __init__(self) -> None:
        self.shown: dict[str, float] = {}

    def message(self, line: str) -> None:
        """Print one line."""
        print(line, flush=True)

    def progress(self, images_seen: int, images: int, metrics: dict[str, float]) -> None:
        """Print the numbers of a new log line, with the time that is left."""
        if not metrics or metrics is self.shown:
            return
        self.shown = metrics
        left = (images - images_seen) / metrics["images_per_second"] if metrics["images_per_second"] else 0
        print(f"{images_seen:,}/{images:,} images  {describe(metrics)}  ETA {clock(left)}", flush=True)


class SilentObserver:
    """What all processes but the first show: nothing."""

    def message(self, line: str) -> None:
        """Nothing."""

    def progress(self, images_seen: int, images: int, metrics: dict[str, float]) -> None:
        """Nothing."""


class RichObserver:
    """Progress as one live line at a terminal."""

    def __init__(self, progress: Any) -> None:
        self.bar = progress
        self.task: Any = None

    def message(self, line: str) -> None:
        """Print one line above the live one."""
        self.bar.console.print(line, highlight=False, soft_wrap=True)

    def progress(self, images_seen: int, images: int, metrics: dict[str, float]) -> None:
        """Move the bar."""
        if self.task is None:
            self.task = self.bar.add_task("training", total=images, completed=images_seen, numbers="")
        self.bar.update(self.task, completed=images_seen, numbers=describe(metrics) if metrics else "")


@contextlib.contextmanager
def display() -> Iterator[PlainObserver | SilentObserver | RichObserver]:
    """A live line at a terminal, plain lines elsewhere, and nothing from all processes but the first."""
    if os.environ.get("RANK", "0") != "0":
        yield SilentObserver()
        return
    if not sys.stdout.isatty():
        yield PlainObserver()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    numbers, eta = TextColumn("{task.fields[numbers]}"), TextColumn("ETA")
    columns = (BarColumn(24), MofNCompleteColumn(), numbers, eta, TimeRemainingColumn())
    with Progress(*columns) as progress:
        yield RichObserver(progress)


def describe(metrics: dict[str, float]) -> str:
    """A log line's numbers for a person."""
    names = ("d_loss", "g_loss", "real_logits", "fake_logits")
    speed = f"{metrics['images_per_second']:.0f} images/s"
    share = f"data {metrics['data_share']:.1%}"
    return "  ".join([speed, share, *(f"{name} {metrics[name]:.3f}" for name in names)])


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    return f"{int(seconds) // 3600}:{time.strftime('%M:%S', time.gmtime(seconds))}"


def show_metrics(result: dict[str, Any]) -> None:
    """The numbers as tables, under the protocol that made them."""
    from rich.console import Console
    from rich.table import Table

    p = result["protocol"]
    real = f"{p['reference_size']:,} of {p['reference']} ({p['reference_split']})"
    print(f"{p['name']}: {p['num']:,} images against {real}, labels {p['labels']}")
    print(f"in {p['extractor']} features, latent law {p['latent_law']}")
    floor = result.get("floor", {})
    table = Table("metric", "value", *([f"{floor['num']:,} real images"] if floor else []))
    for name, value in result["metrics"].items():
        beside = [f"{floor[name]:.4f}" if name in floor else ""] if floor else []
        table.add_row(name, f"{value:.4f}", *beside)
    Console().print(table)
    if "classes" in result:
        Console().print(class_table(result["classes"]))
    if "memorisation" in result:
        show_memorisation(result["memorisation"])


def class_table(classes: list[dict[str, Any]]) -> Any:
    """A row a class; what was withheld is a dash."""
    from rich.table import Table

    table = Table(*classes[0])
    for row in classes:
        table.add_row(*("-" if v is None else f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()))
    return table


def show_memorisation(found: dict[str, Any]) -> None:
    """What the search for copies says, in two lines."""
    print(
        f"nearer to a training image than to a held-out one: {found['nearer']:.1%} (chance: 50 %); as near as one new "
        f"image in a hundred: {found['copies']:.1%} (chance: 1 %)"
    )
    flagged = ", ".join(found["flagged"]) or "none"
    print(f"classes beyond chance: {flagged}")


def show_comparison(names: list[str], metrics: dict[str, tuple[float, float]], lower: Collection[str]) -> None:
    """Two results side by side; the better value of each metric that has a better has a star."""
    from rich.console import Console
    from rich.table import Table

    table = Table("metric", *names)
    for name, (a, b) in metrics.items():
        ranked = not name.endswith(("_std", "_low", "_high")) and not name.startswith("memorised")
        best = min(a, b) if name in lower or name.endswith("fid") else max(a, b)
        table.add_row(name, *(f"{v:.4f}{' *' if ranked and a != b and v == best else ''}" for v in (a, b)))
    Console().print(table)
    print("* the better one. How much of it is chance, the seeds and KID's interval (kid_low, kid_high) tell")

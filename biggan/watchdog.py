"""Is this run healthy? The signals of training collapse, and what they mean in plain words.

Notable:
- Signals are those that Brock et al. (2019, section 4) found to tell: the largest singular values of each
  weight and their growth, D's logits and losses, and what the images themselves show: pixels at the
  limits, images of one class that are all alike, class embeddings that blow up.
- There is no threshold of a singular value at which collapse begins, so growth is judged, not size; and
  no single look raises an alarm of something that may pass: two in a row do.
- `diagnose` is a pure function of the history of signals, which checkpoints keep.

Deliberately absent: a cure. None is known that both averts collapse and goes on improving; the policies
stop, or go back and continue with the changes that the user chose.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from biggan.config import TrainConfig
from biggan.data import LabelledImages, to_float
from biggan.latents import Stream, latents, uniforms
from biggan.model import evaluation_mode
from biggan.sharding import whole
from biggan.state import TrainState

Signals = dict[str, float]

HISTORY = 50                        # looks that are remembered
CLASSES, IMAGES = 8, 8              # images that are drawn at each look
SKETCH = 16                         # vectors in the estimate of singular values


# ---- reading ---------------------------------------------------------------------------------------


@torch.no_grad()
def read_signals(state: TrainState, data: LabelledImages, metrics: dict[str, float]) -> Signals:
    """One look at a run: the numbers of its last step and those of its weights and images."""
    signals = {"images_seen": float(state.images_seen), **metrics}
    for name, weight in weights(state):
        first, second, _ = top_singular_values(weight)
        signals |= {f"{name}.s0": first, f"{name}.s0/s1": first / max(second, 1e-30)}
    signals |= dict(zip(("diversity", "least_diversity"), diversity(state, data), strict=True))
    signals["embedding_spread"] = embedding_spread(state)
    return signals


def weights(state: TrainState) -> Iterator[tuple[str, Tensor]]:
    """The spectrally normalised weights of both networks, by name."""
    for prefix, network in (("G", state.G), ("D", state.D)):
        for name, module in network.named_modules():
            if hasattr(module, "normalized_weight"):
                yield f"{prefix}.{name}", whole(module.weight)


def top_singular_values(weight: Tensor, count: int = 3, iterations: int = 4) -> tuple[float, ...]:
    """The `count` largest singular values of a weight flattened to (out, -1), missing ones as 0.

    Subspace iteration (Halko et al. 2011, algorithm 4.4): exact up to 16 rows or columns, else estimates
    from below that err by a few per cent at most.
    """
    W = weight.detach().flatten(1).float()                                      # (out, in)
    W = W.cpu() if W.device.type == "mps" else W                                # which has no QR
    if not bool(torch.isfinite(W).all()):
        return (float("nan"),) * count
    width = min(SKETCH, *W.shape)
    start = torch.special.ndtri(uniforms(0, Stream.WATCH, 0, W.shape[1], width)).to(W.device, W.dtype)
    basis = torch.linalg.qr(W @ start).Q                                        # (out, width)
    for _ in range(iterations):
        basis = torch.linalg.qr(W @ torch.linalg.qr(W.T @ basis).Q).Q
    values = torch.linalg.svdvals(basis.T @ W).tolist()[:count]
    return (*values, *[0.0] * (count - len(values)))


def diversity(state: TrainState, data: LabelledImages) -> tuple[float, float]:
    """How much images of one class differ, as a part of how much real ones do: mean and least over classes.

    The difference is the root mean square over pixels, averaged over pairs of eight images of a class.
    """
    real_counts = data.class_counts()
    known = [c for c in range(len(real_counts)) if real_counts[c] >= 2]
    classes = [known[i * len(known) // min(CLASSES, len(known))] for i in range(min(CLASSES, len(known)))]
    if not classes:
        return 1.0, 1.0
    z = latents(0, Stream.WATCH, 0, len(classes) * IMAGES, state.config.z_dim).to(state.device)
    y = torch.tensor(classes, device=state.device).repeat_interleave(IMAGES)
    with evaluation_mode(state.G):
        fakes = state.G(z.to(next(state.G.parameters()).dtype), y).float().cpu()
    parts = []
    for c, fake in zip(classes, fakes.split(IMAGES), strict=True):
        rows = (data.labels == c).nonzero()[0][:IMAGES]
        real = to_float(data.batch(rows)[0])
        parts.append(mean_distance(fake) / max(mean_distance(real), 1e-6))
    return sum(parts) / len(parts), min(parts)


def mean_distance(images: Tensor) -> float:
    """The mean over pairs of the root mean square difference of images (N, C, H, W)."""
    flat = images.flatten(1)
    return float(torch.nn.functional.pdist(flat).mean() / flat.shape[1] ** 0.5)


def embedding_spread(state: TrainState) -> float:
    """The largest norm of G's class embeddings over their median; 1 where there is no such table."""
    table = getattr(state.G, "shared_embedding", None)
    if not isinstance(table, nn.Embedding):
        return 1.0
    norms = whole(table.weight).detach().float().norm(dim=1)
    return float(norms.max() / norms.median().clamp(min=1e-12))


# ---- judging ---------------------------------------------------------------------------------------

WINDOW = 5                          # looks over which growth is judged


class Alarm(NamedTuple):
    """Something that is wrong: what kind, and a sentence for a person."""

    kind: str
    text: str


def diagnose(history: Sequence[Signals], config: TrainConfig) -> list[Alarm]:
    """The alarms of the last look, worst first. What might pass has to be there at the look before too."""
    if not history:
        return []
    broken = not_finite(history[-1])
    if broken:
        return broken
    found = symptoms(history, config)
    before = {alarm.kind for alarm in symptoms(history[:-1], config)}
    return [alarm for alarm in found if alarm.kind in before]


def new_alarms(history: Sequence[Signals], config: TrainConfig) -> list[Alarm]:
    """The alarms of the last look that the look before did not raise."""
    known = {alarm.kind for alarm in diagnose(history[:-1], config)}
    return [alarm for alarm in diagnose(history, config) if alarm.kind not in known]


def not_finite(signals: Mapping[str, float]) -> list[Alarm]:
    """An alarm if any number is infinite or none at all."""
    names = [name for name, value in signals.items() if not math.isfinite(value)]
    if not names:
        return []
    text = f"{names[0]} is {signals[names[0]]}: training diverged"
    return [Alarm("not-finite", f"{text}. Lower --g-lr and --d-lr, or train in --precision fp32")]


def symptoms(history: Sequence[Signals], config: TrainConfig) -> list[Alarm]:
    """What the last look of a history shows, worst first, each with what it usually means."""
    if not history:
        return []
    now = history[-1]
    checks = [exploding_weights(history, config), blind_discriminator(now, config), winning_discriminator(now, config)]
    # An untrained generator draws one gray for all; what its images show counts once they have been others.
    if len(history) > WINDOW:
        checks += [saturated_images(now, config), one_image_a_class(now, config), exploding_embedding(now, config)]
    return [alarm for alarm in checks if alarm is not None]


def exploding_weights(history: Sequence[Signals], config: TrainConfig) -> Alarm | None:
    """A weight whose largest singular value multiplied: the sign that comes before collapse."""
    now, then = history[-1], history[-WINDOW:][0]
    growth = {k: now[k] / max(then[k], 1e-12) for k in now if k.endswith(".s0") and k in then}
    name = max(growth, key=lambda k: growth[k], default="")
    if not name or growth[name] <= config.watch_growth:
        return None
    layer = name.removesuffix(".s0")
    text = (
        f"the largest singular value of {layer} grew {growth[name]:.1f} times, from {then[name]:.2f} to "
        f"{now[name]:.2f}, since {then['images_seen']:,.0f} images: this weight explodes, as before a collapse. "
        f"Usually the learning rates are too high; lower --{layer[0].lower()}-lr in another run, or go back"
    )
    return Alarm("weights", text)


def blind_discriminator(now: Signals, config: TrainConfig) -> Alarm | None:
    """D gives reals and fakes one logit: G learns nothing from it any more."""
    gap = abs(now["real_logits"] - now["fake_logits"])
    size = max(abs(now["real_logits"]), abs(now["fake_logits"]), 1.0)
    if gap >= config.watch_gap * size:
        return None
    text = (
        f"D no longer tells real from generated images: their mean logits are {now['real_logits']:.3f} and "
        f"{now['fake_logits']:.3f}. Either D broke down (its learning rate is too high) or its regularization is "
        "too strong"
    )
    return Alarm("blind", text)


def winning_discriminator(now: Signals, config: TrainConfig) -> Alarm | None:
    """Logits far beyond any margin: D wins with certainty, and G's gradient points nowhere."""
    size = max(abs(now["real_logits"]), abs(now["fake_logits"]))
    if size <= config.watch_logits:
        return None
    text = (
        f"D's logits exploded: {now['real_logits']:.1f} on real and {now['fake_logits']:.1f} on generated images. "
        "The two networks lost their balance; lower both learning rates, or go back. Check too that the labels "
        "of the data are right"
    )
    return Alarm("logits", text)


def saturated_images(now: Signals, config: TrainConfig) -> Alarm | None:
    """Nearly all pixels at -1 or 1."""
    if now["saturation"] <= config.watch_saturation:
        return None
    share = f"{100 * now['saturation']:.0f} % of the generated pixels are at the limits of their range"
    return Alarm("saturation", f"{share}: G's output is saturated and learns no more. G's learning rate is too high")


def one_image_a_class(now: Signals, config: TrainConfig) -> Alarm | None:
    """Images of one class that are all alike: mode collapse."""
    if now["diversity"] >= config.watch_diversity:
        return None
    text = (
        f"images of one class differ only {now['diversity']:.3f} times as much as real ones: G collapsed to about one "
        "image a class. Go back; lower --g-lr, or give D less of an advantage with --augment or --lecam"
    )
    return Alarm("diversity", text)


def exploding_embedding(now: Signals, config: TrainConfig) -> Alarm | None:
    """A class embedding far larger than the others: that class is collapsing."""
    if now["embedding_spread"] <= config.watch_embedding:
        return None
    text = f"the largest class embedding has {now['embedding_spread']:.1f} times the median's norm: its class collapses"
    return Alarm("embedding", f"{text}. Look at that class's images, and at how many the data has of it")


def inspect_labels(data: LabelledImages) -> list[Alarm]:
    """An alarm if the real images are not spread over their classes at all: what looks like collapse and is not."""
    present = [c for c, count in enumerate(data.class_counts()) if count]
    if len(present) > 1:
        return []
    name = data.class_names[present[0]]
    text = (
        f"every one of the {len(data):,} real images has the label {name!r}, though there are {len(data.class_names)} "
        "classes: the labels were read wrongly, and the other classes can't be learnt. Check the folders of the data"
    )
    return [Alarm("labels", text)]


def remember(state: TrainState, signals: Signals) -> None:
    """Add a look to the history that the state keeps; of old ones only the newest."""
    state.signals = [*state.signals, signals][-HISTORY:]

"""What was measured, in words and numbers: named protocols, and the manifest beside a result.

Published FIDs of one model differ by a factor of two for reasons of protocol alone. So every result says all
that its numbers depend on, and two results are ranked only where that is the same.
"""

import dataclasses
import importlib.metadata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from biggan.config import unknown_name
from biggan.data import LabelledImages
from biggan.errors import UserError
from biggan.latents import LatentLaw
from biggan.metrics import inception_score, kid, prdc
from biggan.metrics.extractor import Extractor, weights_fingerprint
from biggan.model import BigGAN
from biggan.sampling import STATISTICS_BATCH_SIZE, STATISTICS_BATCHES

FORMAT = "biggan-evaluation-1"
MANIFOLD_MAX = 10_000           # images of each side in precision, recall, density and coverage
EXTRAS = ("per-class", "gan-test", "gan-train", "memorisation", "floor")
WITH_HELD_OUT = ("memorisation", "floor")       # extras that look at images which the model has not seen


@dataclass(frozen=True)
class Protocol:
    """What a number depends on beside the model, its latents and the data."""

    name: str                                       # "custom" unless all is as the name says
    extractor: str                                  # classifier, efficientnet, inception[:layer] or module:callable
    split: Literal["train", "test"]                 # the real images compared with
    num: int                                        # generated images
    labels: Literal["uniform", "data"] = "data"     # of generated images: equally many, or the data's proportions
    least: int = 0                                  # the protocol's name promises so many real images

    def changed(self, **changes: Any) -> "Protocol":
        """The protocol with the changes that are not None; it is "custom" if one of them changes anything."""
        wanted = {name: value for name, value in changes.items() if value is not None}
        if all(getattr(self, name) == value for name, value in wanted.items()):
            return self
        return dataclasses.replace(self, **wanted, name="custom", least=0)

    @property
    def kept(self) -> int:
        """Real images whose features stay in memory; the others are in the moments only."""
        return max(self.num, MANIFOLD_MAX)


# The default first. What Inception protocols are called elsewhere is in docs/evaluation.md.
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("classifier10k-train", "classifier", "train", 10_000),
        Protocol("classifier10k-test", "classifier", "test", 10_000),
        Protocol("efficientnet10k-train", "efficientnet", "train", 10_000),
        Protocol("fid50k-train", "inception", "train", 50_000, least=50_000),
        Protocol("fid50k-test", "inception", "test", 50_000),
        Protocol("fid10k-train", "inception", "train", 10_000, least=10_000),
        Protocol("fid10k-test", "inception", "test", 10_000, least=10_000),
    )
}
DEFAULT = next(iter(PROTOCOLS.values()))


def named(protocol: str | Protocol | None) -> Protocol:
    """The protocol of a name, or the default; UserError if there is none of that name."""
    if isinstance(protocol, Protocol):
        return protocol
    if protocol and protocol not in PROTOCOLS:
        raise UserError(unknown_name(protocol, PROTOCOLS, "protocol"))
    return PROTOCOLS[protocol] if protocol else DEFAULT


# ---- the manifest ------------------------------------------------------------------------------------


def manifest(
    model: BigGAN,
    reference: LabelledImages,
    protocol: Protocol,
    extractor: Extractor,
    law: LatentLaw,
    seed: int,
    extras: Collection[str] = (),
) -> dict[str, Any]:
    """All that the numbers depend on, as JSON values: {"format", "protocol", "model", "versions"}.

    Two results may be ranked if "protocol" is the same (`results.compare`). "model" and "versions" say what was
    measured and with what.
    """
    c = model.config
    channels, height, width = reference.images.shape[1:]
    return {
        "format": FORMAT,
        "protocol": {
            "name": protocol.name,
            "extractor": extractor.name,
            "extractor_layer": extractor.layer,
            "extractor_fingerprint": extractor.fingerprint,
            "resizer": extractor.resizer,
            "images": f"{width} x {height}, {channels} channel{'s' if channels > 1 else ''}, uint8",
            "reference": reference.source,
            "reference_fingerprint": reference.fingerprint,
            "reference_split": protocol.split,
            "reference_size": len(reference),
            "num": protocol.num,
            "labels": protocol.labels,
            "latent_law": str(law),
            "statistics": describe_statistics(model, law),
            "manifold_size": [min(len(reference), MANIFOLD_MAX), min(protocol.num, MANIFOLD_MAX)],
            "pr_nearest": prdc.PR_NEAREST,
            "dc_nearest": prdc.DC_NEAREST,
            "is_splits": inception_score.SPLITS,
            "kid_subsets": [kid.SUBSETS, min(kid.SUBSET_SIZE, protocol.num, len(reference))],
            "extras": sorted(extras),
            "seed": seed,
        },
        "model": {
            "fingerprint": weights_fingerprint(model.G),
            "weights": f"converted from {model.recipe['converted_from']}" if converted(model) else "ema",
            "architecture": c.architecture,
            "images_seen": model.recipe.get("images_seen"),
        },
        "versions": {name: importlib.metadata.version(name) for name in ("biggan-torch", "torch")},
    }


def converted(model: BigGAN) -> bool:
    """Whether the weights are another implementation's."""
    return "converted_from" in model.recipe


def describe_statistics(model: BigGAN, law: LatentLaw) -> str:
    """Which batch statistics G uses under a law: what came with the weights, or standing ones."""
    if law.kind == "normal" and converted(model):
        return f"as stored in the weights converted from {model.recipe['converted_from']}"
    if model.statistics_for(law) is not None and law not in model.statistics:
        return "from the export's table for this kind of law"
    return f"standing, {STATISTICS_BATCHES} x {STATISTICS_BATCH_SIZE} images of the same law"

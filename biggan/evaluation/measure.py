"""`evaluate`: draw, look, measure, and say what was measured."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from biggan import distributed
from biggan.data import LabelledImages
from biggan.data.dataset import fingerprint
from biggan.errors import UserError
from biggan.evaluation.chunks import Eyes, Seen, held, in_chunks
from biggan.evaluation.drawing import BATCH_SIZE, draw, labels_of
from biggan.evaluation.extractors import cached_classifier, open_extractor
from biggan.evaluation.gan_train import accuracy, gan_train
from biggan.evaluation.memorisation import TRAIN_MOST, report_memorisation
from biggan.evaluation.protocol import EXTRAS, MANIFOLD_MAX, WITH_HELD_OUT, Protocol, manifest, named
from biggan.evaluation.reference import Reference, look_at_reference
from biggan.files import cache_folder
from biggan.latents import LatentLaw
from biggan.metrics.classifier import Classifier
from biggan.metrics.extractor import Extractor
from biggan.metrics.fid import Moments, frechet_distance
from biggan.metrics.inception_score import SPLITS, inception_score
from biggan.metrics.kid import BLOCKS, kid
from biggan.metrics.per_class import intra_class_fid, label_accuracy, per_class
from biggan.metrics.prdc import DC_NEAREST, prdc
from biggan.model import BigGAN
from biggan.sampling import prepare_law

Report = Callable[[str], None]


def evaluate(
    model: BigGAN,
    data: LabelledImages,
    *,
    protocol: str | Protocol | None = None,
    num: int | None = None,
    seed: int = 0,
    law: LatentLaw | None = None,
    held_out: LabelledImages | None = None,
    extractor: str | nn.Module | Extractor | None = None,
    extras: Collection[str] = (),
    inception_weights: Path | None = None,
    known: Sequence[Mapping[str, Any]] = (),
    report: Report = lambda line: None,
) -> dict[str, Any]:
    """Draw images and measure them against real ones.

    data        what the model was trained on; also what the classifier learns from
    protocol    one of PROTOCOLS by name, or a `Protocol`; by default the first
    num         generated images, if not as many as the protocol says
    seed        image k has seed + k
    law         the latents' law; N(0, 1) by default
    held_out    real images that the model was not trained on, for test protocols and some of the extras
    extractor   another one than the protocol's: a name, or any `nn.Module` (`ModuleExtractor`)
    extras      of EXTRAS: more than the metrics of every evaluation
    inception_weights   the standard file, where it is neither cached nor to be downloaded
    known       earlier results: one of exactly this measurement is returned as it is

    Returns {"format", "protocol", "model", "versions", "metrics"} and, with extras, "classes", "memorisation" and
    "floor": JSON values, the same in every process. Raises UserError if model and data don't belong together, if there
    are too few images to measure, or if the model or the extractor gives numbers that aren't finite.
    """
    law = law or LatentLaw()
    plan = named(protocol).changed(num=num, extractor=extractor if isinstance(extractor, str) else None)
    reference = pick_reference(plan, data, held_out)
    check(model, data, reference, held_out, plan, extras, report)
    device = model.G.linear.weight.device
    wanted: str | nn.Module | Extractor = plan.extractor if extractor is None else extractor
    sight = open_extractor(wanted, data, inception_weights=inception_weights, device=device, report=report)
    plan = plan.changed(extractor=sight.name) if not isinstance(wanted, str) else plan
    check_widths(sight, reference, plan, report)
    prepare_law(model, law)
    described = manifest(model, reference, plan, sight, law, seed, extras)
    found = distributed.from_first(next((dict(old) for old in known if old.items() >= described.items()), None))
    if found is not None:
        return dict(found)

    classifier = classifier_for(sight, data, extras, device, report)
    y = labels_of(reference, plan.labels, plan.num, model.config.num_classes)
    train_kept = max(plan.kept, TRAIN_MOST) if "memorisation" in extras else plan.kept
    real = look_at_reference(reference, sight, train_kept if reference is data else plan.kept, report)
    report(f"drawing {plan.num:,} images")
    folder = chunk_folder(described, y, classifier)
    with held(folder):
        fake = look_at_generated(model, Eyes(sight, classifier), y, seed, law, folder, report)
        numbers: dict[str, Any] = {}
        if distributed.is_first():
            report("measuring")
            numbers["metrics"] = measure(real, fake, y, plan.kept)
            if "per-class" in extras:
                numbers |= by_class(numbers["metrics"], reference, real, fake, y, model.class_names, plan)
        if "memorisation" in extras and held_out is not None:
            searched = real if reference is data else look_at_reference(data, sight, train_kept, report)
            new = real if reference is held_out else look_at_reference(held_out, sight, TRAIN_MOST, report)
            if distributed.is_first():
                copies = report_memorisation(fake.features, y, searched, new, model.class_names, seed)
                numbers["metrics"] |= {"memorised_nearer": copies["nearer"], "memorised_copies": copies["copies"]}
                numbers["memorisation"] = copies
        if "floor" in extras and held_out is not None:
            new = look_at_reference(held_out, sight, plan.num, report)
            if distributed.is_first():
                numbers["floor"] = floor(real, new, held_out, classifier, plan)
        if "gan-train" in extras and distributed.is_first():
            numbers["metrics"]["gan_train"] = gan_train(model, data, reference, law, seed, report)
            if reference is not data:
                numbers["metrics"]["real_train"] = accuracy(cached_classifier(data, report), reference)
    return described | dict(distributed.from_first(numbers))


# ---- before --------------------------------------------------------------------------------------------


def pick_reference(plan: Protocol, data: LabelledImages, held_out: LabelledImages | None) -> LabelledImages:
    """The real images that a protocol compares with."""
    if plan.split == "train":
        return data
    if held_out is None:
        raise UserError(f"{plan.name} compares with images that were held out; give --held-out DATA")
    return held_out


def check(
    model: BigGAN, data: LabelledImages, reference: LabelledImages, held_out: LabelledImages | None,
    plan: Protocol, extras: Collection[str], report: Report,
) -> None:  # fmt: skip
    """UserError unless model, data and protocol belong together; a line where their sizes are unusual."""
    for name in extras:
        if name not in EXTRAS:
            raise UserError(f"{name} is no extra of an evaluation; there are {', '.join(EXTRAS)}")
    for images in (data, held_out) if held_out is not None else (data,):
        check_images(model, images)
    if held_out is not None and held_out.fingerprint == data.fingerprint:
        raise UserError(f"{held_out.source} as held-out images is the training data; give others as --held-out")
    for name in WITH_HELD_OUT:
        if name in extras and held_out is None:
            raise UserError(f"--{name} looks at images that the model has not seen; give --held-out DATA")
    if "floor" in extras and reference is held_out:
        raise UserError("--floor compares images that the model has not seen with the others: take a train protocol")
    if len(reference) < plan.least:
        raise UserError(
            f"{plan.name} is {plan.num:,} images against {plan.least:,} or more real ones, and {reference.source} has "
            f"{len(reference):,}; give --num {len(reference)}, or another --protocol"
        )
    least = max(model.config.num_classes, 2 * SPLITS, 2 * BLOCKS, DC_NEAREST + 1)
    if plan.num < least:
        raise UserError(f"--num {plan.num} is too few to measure; give at least {least}")
    least = max(2 * BLOCKS, DC_NEAREST + 1)
    if len(reference) < least:
        raise UserError(f"{reference.source} has {len(reference)} images; at least {least} are needed")
    if plan.num > len(reference):
        report(f"note: {plan.num:,} generated images against {len(reference):,} real ones; FID favours equal numbers")


def check_images(model: BigGAN, images: LabelledImages) -> None:
    """UserError unless real images have the model's classes and its size."""
    c = model.config
    if len(images.class_names) != c.num_classes:
        counts = f"the model has {c.num_classes} classes and {images.source} has {len(images.class_names)}"
        raise UserError(f"{counts}; give the data it was trained on")
    shape = (c.image_channels, *c.image_shape)
    if images.images.shape[1:] != shape:
        raise UserError(f"{images.source} was opened at {images.images.shape[1:]}, the model draws {shape}")


def check_widths(extractor: Extractor, reference: LabelledImages, plan: Protocol, report: Report) -> None:
    """UserError if the generated images are too few for a covariance; a line if the real ones are."""
    width = extractor(torch.from_numpy(reference.images[:1].copy())).features.shape[1]
    if plan.num <= width:
        raise UserError(
            f"--num {plan.num} is too few for the covariance of {width:,} {extractor.name} features; "
            f"give at least {width + 1}"
        )
    if len(reference) <= width:
        report(
            f"note: {len(reference):,} real images are too few for the covariance of {width:,} features; FID compares "
            "only with results on the same images. KID has no such limit"
        )


def classifier_for(
    sight: Extractor, data: LabelledImages, extras: Collection[str], device: torch.device, report: Report
) -> Extractor | None:
    """What predicts the labels of generated images: the extractor, if it is the classifier, or one where asked for."""
    if isinstance(sight, Classifier):
        return sight
    return open_extractor("classifier", data, device=device, report=report) if "gan-test" in extras else None


def chunk_folder(described: dict[str, Any], y: Tensor, classifier: Extractor | None) -> Path:
    """Where chunks of exactly these images, seen by exactly these eyes, are kept until the evaluation is done."""
    protocol = described["protocol"]
    same = ("extractor", "extractor_layer", "extractor_fingerprint", "latent_law", "statistics", "seed")
    predicts = classifier.fingerprint if classifier is not None else ""
    key = fingerprint(described["model"], [protocol[name] for name in same], y.numpy().tobytes(), predicts)
    return cache_folder() / "evaluations" / key


# ---- during --------------------------------------------------------------------------------------------


def look_at_generated(
    model: BigGAN, eyes: Eyes, y: Tensor, seed: int, law: LatentLaw, folder: Path, report: Report
) -> Seen:
    """What all generated images look like, in the first process; the others help."""

    def source(first: int, stop: int) -> Iterator[Tensor]:
        return draw(model, y[first:stop], seed, law, first=first)

    parts = [seen for seen in in_chunks(eyes, source, len(y), folder, report) if distributed.is_first()]
    if not parts:
        return Seen(torch.zeros(0, 0), torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64))
    return Seen(*(torch.cat(values) for values in zip(*parts, strict=True)))


def measure(real: Reference, fake: Seen, y: Tensor, kept: int) -> dict[str, float]:
    """The metrics of every evaluation: FID with all real images, the others with `kept` of them at most."""
    metrics = {"fid": frechet_distance(real.moments, Moments.of(fake.features))}
    metrics |= kid(real.features[:kept], fake.features)._asdict()
    if fake.logits.shape[1]:
        metrics["is_mean"], metrics["is_std"] = inception_score(fake.logits)
    metrics |= prdc(real.features[:MANIFOLD_MAX], fake.features[:MANIFOLD_MAX])._asdict()
    if len(fake.predicted):
        metrics["label_accuracy"] = label_accuracy(fake.predicted, y)
    return metrics


def floor(
    real: Reference, new: Reference, held_out: LabelledImages, classifier: Extractor | None, plan: Protocol
) -> dict[str, float]:
    """The metrics of real images that the model has not seen: what the best of generators would reach.

    They are as many as generated images, or all that there are; "num" says how many. FID falls as that number grows.
    """
    features, rows = new.features[: plan.num], new.rows[: plan.num]
    images = torch.from_numpy(held_out.images[rows.numpy()])
    predicted = [classifier(some).logits.argmax(dim=1) for some in images.split(BATCH_SIZE)] if classifier else []
    seen = Seen(features, torch.zeros(len(rows), 0), torch.cat([torch.zeros(0, dtype=torch.int64), *predicted]))
    return {"num": len(rows), **measure(real, seen, torch.from_numpy(held_out.labels)[rows], plan.kept)}


def by_class(
    metrics: dict[str, float], reference: LabelledImages, real: Reference, fake: Seen, y: Tensor,
    class_names: tuple[str, ...], plan: Protocol,
) -> dict[str, Any]:  # fmt: skip
    """The table of classes, and the mean of their FIDs among the metrics."""
    features, labels = real.features[: plan.kept], torch.from_numpy(reference.labels)[real.rows[: plan.kept]]
    rows = per_class(features, labels, fake.features, y, fake.predicted, len(class_names))
    mean = intra_class_fid(rows)
    if mean is not None:
        metrics = {**metrics, "intra_fid": mean}
    table = [{"class": name, **row._asdict()} for name, row in zip(class_names, rows, strict=True)]
    return {"metrics": metrics, "classes": table}

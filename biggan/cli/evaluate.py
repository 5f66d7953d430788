"""`biggan evaluate` and `biggan protocols`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from biggan.cli.app import SEVERAL, THRESHOLD_HELP, TRUNCATION_HELP, Model, app, beside, device_to_work_on
from biggan.display import display, show_comparison, show_metrics
from biggan.errors import UserError

WHAT = Group("What is measured", sort_key=1)
MORE = Group("More than the usual metrics", sort_key=2)
CURVES = Group("Curves", sort_key=3)
TWO = Group("Comparing", sort_key=4)
RANGE_HELP = "several values as FIRST:LAST:STEP or A,B,C: the curves of {}"


@app.command
def evaluate(
    model: Model | None = None,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="file for the numbers; default: MODEL/metrics.json")] = None,
    device: Annotated[str, Parameter(help="auto, cpu, cuda or mps")] = "auto",
    protocol: Annotated[str | None, Parameter(help="by name; `biggan protocols` lists them", group=WHAT)] = None,
    num: Annotated[int | None, Parameter(help="generated images, if not the protocol's", group=WHAT)] = None,
    extractor: Annotated[
        str | None,
        Parameter(
            help="classifier, efficientnet, inception[:LAYER], MODULE:CALLABLE; if not the protocol's", group=WHAT
        ),
    ] = None,
    split: Annotated[
        Literal["train", "test"] | None, Parameter(help="real images, if not the protocol's", group=WHAT)
    ] = None,
    labels: Annotated[
        Literal["uniform", "data"] | None,
        Parameter(help="of generated images: as many of each, or as the data has them", group=WHAT),
    ] = None,
    data: Annotated[
        str | None, Parameter(help="real images; by default those the model was trained on", group=WHAT)
    ] = None,
    held_out: Annotated[
        str | None, Parameter(help="real images it was not trained on; by default the data's test split", group=WHAT)
    ] = None,
    truncation: Annotated[float | None, Parameter(help=TRUNCATION_HELP, group=WHAT)] = None,
    threshold: Annotated[float | None, Parameter(help=THRESHOLD_HELP, group=WHAT)] = None,
    seed: Annotated[int, Parameter(help="image k has seed + k", group=WHAT)] = 0,
    inception_weights: Annotated[
        Path | None, Parameter(help="the standard weight file, where it can't be downloaded", group=WHAT)
    ] = None,
    per_class: Annotated[
        bool, Parameter(help="a table of classes, and intra-class FID", negative=(), group=MORE)
    ] = False,
    gan_test: Annotated[
        bool, Parameter(help="label accuracy also with another extractor than the classifier", negative=(), group=MORE)
    ] = False,
    gan_train: Annotated[
        bool, Parameter(help="train a classifier on generated images, test it on real ones", negative=(), group=MORE)
    ] = False,
    memorisation: Annotated[
        bool, Parameter(help="search for copies of training images, with a picture", negative=(), group=MORE)
    ] = False,
    floor: Annotated[
        bool, Parameter(help="the same of unseen real images: the best there is", negative=(), group=MORE)
    ] = False,
    truncations: Annotated[str | None, Parameter(help=RANGE_HELP.format("truncation"), group=CURVES)] = None,
    thresholds: Annotated[str | None, Parameter(help=RANGE_HELP.format("threshold"), group=CURVES)] = None,
    all_checkpoints: Annotated[
        bool, Parameter(help="the curves of training, from all checkpoints of a run", negative=(), group=CURVES)
    ] = False,
    compare: Annotated[
        list[Path] | None, SEVERAL, Parameter(help="two files of numbers to rank, instead of a model", group=TWO)
    ] = None,
    ignoring: Annotated[
        list[str] | None, SEVERAL, Parameter(help="fields of the protocol that may differ", group=TWO)
    ] = None,
) -> None:
    """Measure FID, KID, IS, precision, recall, density, coverage and label accuracy against real images."""
    if compare is not None:
        compare_files(compare, ignoring or [])
        return
    if model is None:
        raise UserError("give a model, or --compare with two files of numbers")
    if sum(map(bool, (truncations, thresholds, all_checkpoints))) > 1:
        raise UserError("--truncations, --thresholds and --all-checkpoints are curves of their own; give one of them")
    from biggan import distributed
    from biggan.curves import checkpoint_curve, law_curve, laws_of
    from biggan.evaluation import evaluate as run_evaluation
    from biggan.evaluation.memorisation import picture
    from biggan.evaluation.protocol import named
    from biggan.evaluation.results import write_result
    from biggan.evaluation.sides import open_sides
    from biggan.latents import latent_law
    from biggan.opening import open_model
    from biggan.sampling import save_image

    plan = named(protocol).changed(num=num, extractor=extractor, split=split, labels=labels)
    flags = {
        "per-class": per_class, "gan-test": gan_test, "gan-train": gan_train,
        "memorisation": memorisation, "floor": floor,
    }  # fmt: skip
    extras = [name for name, wanted in flags.items() if wanted]
    law = latent_law(truncation, threshold)
    where = device_to_work_on(device)
    with distributed.process_group(where), display() as observer:
        gan = open_model(model, where, observer.message)
        sides = open_sides(gan, plan, extras, data, held_out, observer.message)
        options: dict[str, Any] = {
            "protocol": plan, "seed": seed, "held_out": sides[1], "extras": extras,
            "inception_weights": inception_weights, "report": observer.message,
        }  # fmt: skip
        if truncations or thresholds or all_checkpoints:
            if truncation or threshold:
                raise UserError("a curve has its own laws; leave --truncation and --threshold out")
            if all_checkpoints:
                written = checkpoint_curve(model, sides[0], out or model / "checkpoints.json", where, options)
            else:
                laws = laws_of(truncations, thresholds)
                written = law_curve(gan, sides[0], laws, out or beside(model, f"{laws[0].kind}s.json"), options)
            observer.message(f"wrote {', '.join(map(str, written))}")
            return
        result = run_evaluation(gan, sides[0], law=law, **options)
        if not distributed.is_first():
            return
        target = out or beside(model, "metrics.json")
        write_result(target, result)
        show_metrics(result)
        written = [target]
        if "memorisation" in result and sides[1] is not None:
            written.append(target.with_name(f"{target.stem}-closest.png"))
            save_image(picture(gan, law, sides[0], sides[1], result["memorisation"]), written[-1])
        observer.message(f"wrote {', '.join(map(str, written))}")


@app.command
def protocols() -> None:
    """List what is measured under which name."""
    from biggan.evaluation import PROTOCOLS

    print(f"{'name':20s} {'extractor':12s} {'generated':>10s}   real images      labels")
    for p in PROTOCOLS.values():
        real = f"{p.split}, all" + (f" (>= {p.least:,})" if p.least else "")
        print(f"{p.name:20s} {p.extractor:12s} {p.num:10,d}   {real:24s} {p.labels}")


def compare_files(paths: list[Path], ignoring: list[str]) -> None:
    """Rank two results; UserError if they were not measured alike."""
    from biggan.checkpoint import LOWER_IS_BETTER
    from biggan.evaluation.results import compare, read_result

    if len(paths) != 2:
        raise UserError(f"--compare takes two files of numbers, not {len(paths)}")
    both = compare(read_result(paths[0]), read_result(paths[1]), ignoring)
    show_comparison([str(path) for path in paths], both, LOWER_IS_BETTER)

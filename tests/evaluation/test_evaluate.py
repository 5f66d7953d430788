import copy
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_folder
from torch import Tensor, nn

from biggan import BigGAN, BigGANConfig
from biggan.data import LabelledImages, open_dataset
from biggan.errors import UserError
from biggan.evaluation import Protocol, cached_classifier, evaluate
from biggan.latents import LatentLaw
from biggan.metrics import classifier

METRICS = {
    "fid", "kid", "kid_std", "kid_low", "kid_high", "is_mean", "is_std", "precision", "recall", "density", "coverage",
    "label_accuracy",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "FEWEST", 5_000)
    monkeypatch.setattr(classifier, "MOST", 5_000)


class Patches(nn.Module):
    """Sixteen features of an image, and nothing else."""

    resizer = "none"

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images.float(), 4).flatten(1)


def halves(data: LabelledImages) -> tuple[LabelledImages, LabelledImages]:
    import dataclasses

    return tuple(  # type: ignore[return-value]
        dataclasses.replace(
            data, images=data.images[k::2], labels=data.labels[k::2], fingerprint=f"half-{k}", source=f"half {k}"
        )
        for k in range(2)
    )


@pytest.fixture
def replay(tiny_digits: LabelledImages, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole path but the generator: it draws the data's own images, under their labels."""
    by_class = [tiny_digits.images[tiny_digits.labels == c] for c in range(10)]

    def draw(model: object, y: Tensor, seed: int, law: object, *, first: int = 0) -> Iterator[Tensor]:
        rows = [by_class[int(c)][(seed + first + k) // 10 % len(by_class[int(c)])] for k, c in enumerate(y)]
        yield torch.from_numpy(np.stack(rows))

    monkeypatch.setattr("biggan.evaluation.measure.draw", draw)
    monkeypatch.setattr("biggan.evaluation.memorisation.draw", draw)


def test_the_numbers_and_their_protocol(tiny: BigGANConfig, tiny_digits: LabelledImages) -> None:
    model = BigGAN(tiny, tiny_digits.class_names, recipe={"images_seen": 0})
    lines: list[str] = []
    result = evaluate(model, tiny_digits, num=600, report=lines.append)
    assert result["metrics"].keys() == METRICS
    assert all(isinstance(value, float) for value in result["metrics"].values())
    protocol = result["protocol"]
    assert (protocol["name"], protocol["num"], protocol["reference_size"]) == ("custom", 600, 1797)
    assert (protocol["latent_law"], protocol["labels"], protocol["pr_nearest"]) == ("normal", "data", 3)
    assert protocol["reference_fingerprint"] == tiny_digits.fingerprint
    assert protocol["statistics"] == "standing, 16 x 64 images of the same law"
    assert json.loads(json.dumps(result)) == result
    assert any("training a classifier" in line for line in lines)
    lines.clear()
    assert evaluate(model, tiny_digits, num=600, report=lines.append) == result
    assert not any("training a classifier" in line or "looking at" in line for line in lines)
    assert list((Path(os.environ["BIGGAN_CACHE"]) / "evaluations").iterdir()) == []


def test_real_images_as_a_generator_would_score_perfectly(
    tiny: BigGANConfig, tiny_digits: LabelledImages, replay: None
) -> None:
    model = BigGAN(tiny, tiny_digits.class_names)
    result = evaluate(model, tiny_digits, protocol=Protocol("mine", "classifier", "train", 1740, "uniform"))
    metrics = result["metrics"]
    assert metrics["precision"] == 1
    assert metrics["recall"] > 0.9
    assert metrics["coverage"] > 0.9
    assert metrics["label_accuracy"] > 0.7          # of a classifier trained for a second
    assert metrics["fid"] < 2
    assert metrics["kid"] < 0.1                     # without bias, so below 0 where every image is there twice


def test_labels_have_the_datas_proportions_or_are_uniform(tiny: BigGANConfig, tiny_digits: LabelledImages) -> None:
    from biggan.evaluation.drawing import labels_of

    drawn = labels_of(tiny_digits, "data", 2 * 1797, 10)
    assert torch.bincount(drawn).tolist() == (2 * tiny_digits.class_counts()).tolist()
    assert torch.equal(labels_of(tiny_digits, "data", 100, 10), drawn[:100])
    assert torch.bincount(labels_of(tiny_digits, "uniform", 100, 10)).tolist() == [10] * 10


def test_any_module_measures_and_has_no_inception_score(tiny: BigGANConfig, tiny_digits: LabelledImages) -> None:
    model = BigGAN(tiny, tiny_digits.class_names)
    result = evaluate(model, tiny_digits, num=300, extractor=Patches())
    assert result["metrics"].keys() == METRICS - {"is_mean", "is_std", "label_accuracy"}
    assert (result["protocol"]["extractor"], result["protocol"]["resizer"]) == ("Patches", "none")
    both = evaluate(model, tiny_digits, num=300, extractor=Patches(), extras=["gan-test"])
    assert both["metrics"].items() >= result["metrics"].items()
    assert 0 <= both["metrics"]["label_accuracy"] <= 1


def test_an_extractor_by_name_is_imported_from_the_working_folder(
    tiny: BigGANConfig, tiny_digits: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_features.py").write_text(
        "from torch import nn\n"
        "class Mean(nn.Module):\n"
        "    fingerprint = 'mean-1'\n"
        "    def forward(self, images):\n"
        "        return images.float().mean(dim=3).flatten(1)\n"
        "number = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    model = BigGAN(tiny, tiny_digits.class_names)
    result = evaluate(model, tiny_digits, num=300, extractor="my_features:Mean")
    assert result["protocol"]["extractor"] == "my_features:Mean"
    assert result["protocol"]["extractor_fingerprint"] == "mean-1"
    for name, line in (
        ("my_features:Median", "cannot be imported"),
        ("their_features:Mean", "cannot be imported"),
        ("incepton", "is unknown; use classifier, inception, efficientnet or module:callable"),
        ("collections:OrderedDict", "gives OrderedDict; a torch.nn.Module is due"),
    ):
        with pytest.raises(UserError, match=line):
            evaluate(model, tiny_digits, num=300, extractor=name)


def test_classes_have_numbers_of_their_own(tiny: BigGANConfig, tiny_digits: LabelledImages, replay: None) -> None:
    model = BigGAN(tiny, [f"digit {k}" for k in range(10)])
    result = evaluate(model, tiny_digits, num=1700, extractor=Patches(), extras=["per-class"])
    assert [row["class"] for row in result["classes"]] == [f"digit {k}" for k in range(10)]
    assert [row["real"] for row in result["classes"]] == tiny_digits.class_counts().tolist()
    assert sum(row["generated"] for row in result["classes"]) == 1700
    fids = [row["fid"] for row in result["classes"]]
    assert result["metrics"]["intra_fid"] == pytest.approx(sum(fids) / 10)
    assert all(row["precision"] == 1 for row in result["classes"])
    assert all(row["label_accuracy"] is None for row in result["classes"])
    few = evaluate(model, tiny_digits, num=130, extractor=Patches(), extras=["per-class"])
    assert any(row["fid"] is None for row in few["classes"])        # 13 of a class for 16 features
    assert "intra_fid" not in few["metrics"]


def test_gan_train_learns_from_generated_images(
    tiny: BigGANConfig, tiny_digits: LabelledImages, replay: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = halves(tiny_digits)
    by_class = [train.images[train.labels == c] for c in range(10)]

    def draw(model: object, y: Tensor, seed: int, law: object) -> Iterator[Tensor]:
        yield torch.from_numpy(np.stack([by_class[int(c)][k % 80] for k, c in enumerate(y)]))

    monkeypatch.setattr("biggan.evaluation.gan_train.draw", draw)
    model = BigGAN(tiny, tiny_digits.class_names)
    plan = Protocol("mine", "classifier", "test", 300)
    good = evaluate(model, train, protocol=plan, held_out=test, extras=["gan-train"])["metrics"]
    assert good["gan_train"] > 0.7
    assert good["gan_train"] == pytest.approx(good["real_train"], abs=0.15)
    monkeypatch.undo()
    monkeypatch.setattr(classifier, "FEWEST", 5_000)
    monkeypatch.setattr(classifier, "MOST", 5_000)
    noise = evaluate(model, tiny_digits, num=300, extras=["gan-train"])["metrics"]
    assert noise["gan_train"] < 0.4


def test_copies_of_training_images_are_reported(
    tiny: BigGANConfig, tiny_digits: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    from biggan.evaluation.memorisation import picture

    train, test = halves(tiny_digits)

    def copy(model: object, y: Tensor, seed: int, law: object, *, first: int = 0) -> Iterator[Tensor]:
        """Class 3 is a copy of a training image, the others are images from nowhere near."""
        images = torch.from_numpy(255 - train.images[(seed + first + np.arange(len(y))) % len(train)])
        images[y == 3] = torch.from_numpy(train.images[train.labels == 3][0])
        yield images

    monkeypatch.setattr("biggan.evaluation.measure.draw", copy)
    monkeypatch.setattr("biggan.evaluation.memorisation.draw", copy)
    model = BigGAN(tiny, tiny_digits.class_names)
    result = evaluate(model, train, num=800, extractor=Patches(), held_out=test, extras=["memorisation"])
    found = result["memorisation"]
    assert "3" in found["flagged"]
    rows = {row["class"]: row for row in found["classes"]}
    assert rows["3"]["copies"] == 1
    assert rows["5"]["copies"] == 0
    assert all(one["label"] == 3 and one["train_distance"] == 0 for one in found["closest"])
    assert result["metrics"]["memorised_copies"] == pytest.approx(found["copies"])
    assert (found["train_searched"], found["held_out_searched"]) == (len(train), len(test))
    sheet = picture(model, LatentLaw(), train, test, found)
    assert sheet.height > 3 * 64
    column = np.asarray(sheet)[:, -40:]             # the last one: a sample above its training image
    third = sheet.height // 3
    assert np.abs(column[10 : third - 10].astype(int) - column[third + 8 : 2 * third - 12].astype(int)).mean() < 40


def test_the_floor_is_what_real_images_reach(
    tiny: BigGANConfig, tiny_digits: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = halves(tiny_digits)

    def held_out(model: object, y: Tensor, seed: int, law: object, *, first: int = 0) -> Iterator[Tensor]:
        """The held-out images in their order: a generator that the floor must agree with."""
        yield torch.from_numpy(test.images[(first + np.arange(len(y))) % len(test)])

    monkeypatch.setattr("biggan.evaluation.measure.draw", held_out)
    model = BigGAN(tiny, tiny_digits.class_names)
    result = evaluate(model, train, num=len(test), extractor=Patches(), held_out=test, extras=["floor", "gan-test"])
    floor, drawn = result["floor"], result["metrics"]
    assert floor["num"] == len(test)
    for name in ("fid", "precision", "recall", "density", "coverage"):
        assert floor[name] == pytest.approx(drawn[name], rel=1e-6), name
    assert floor["label_accuracy"] > 0.5 > drawn["label_accuracy"]          # those labels are not the images'
    with pytest.raises(UserError, match="--floor looks at images that the model has not seen"):
        evaluate(model, train, num=200, extras=["floor"])
    with pytest.raises(UserError, match="take a train protocol"):
        evaluate(model, train, protocol="classifier10k-test", num=200, held_out=test, extras=["floor"])


def test_an_interrupted_evaluation_goes_on_where_it_stopped(
    tiny: BigGANConfig, tiny_digits: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    import biggan.evaluation.measure as measure

    model = BigGAN(tiny, tiny_digits.class_names)
    whole = evaluate(model, tiny_digits, num=1700, extractor=Patches())
    draw, drawn = measure.draw, [0]

    def interrupted(*arguments: Any, first: int) -> Iterator[Tensor]:
        for batch in draw(*arguments, first=first):
            if drawn[0] == 1200:
                raise KeyboardInterrupt
            drawn[0] += len(batch)
            yield batch

    monkeypatch.setattr(measure, "draw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, tiny_digits, num=1700, extractor=Patches())
    kept = list((Path(os.environ["BIGGAN_CACHE"]) / "evaluations").rglob("*.safetensors"))
    assert len(kept) == 2                           # 1,200 images were drawn: two whole chunks
    kept[0].write_bytes(kept[0].read_bytes()[:50])  # and one of them is damaged
    lines: list[str] = []
    drawn[0] = -10_000
    again = evaluate(model, tiny_digits, num=1700, extractor=Patches(), report=lines.append)
    assert drawn[0] == -10_000 + 1200               # 500 were not drawn again
    assert any("going on where" in line for line in lines)
    assert again == whole


def test_a_known_result_of_this_measurement_is_returned(
    tiny: BigGANConfig, tiny_digits: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = BigGAN(tiny, tiny_digits.class_names)
    result = evaluate(model, tiny_digits, num=300, extractor=Patches())
    monkeypatch.setattr("biggan.evaluation.measure.draw", lambda *a, **k: pytest.fail("it is known"))
    assert evaluate(model, tiny_digits, num=300, extractor=Patches(), known=[result]) == result
    monkeypatch.undo()
    with torch.no_grad():
        model.G.linear.weight[0, 0] += 1
    assert evaluate(model, tiny_digits, num=300, extractor=Patches(), known=[result]) != result


def test_a_damaged_cache_is_made_again(tiny_digits: LabelledImages, tiny: BigGANConfig) -> None:
    first = cached_classifier(tiny_digits, lambda line: None)
    cached = next(Path(os.environ["BIGGAN_CACHE"]).glob("classifiers/*.safetensors"))
    cached.write_bytes(cached.read_bytes()[:100])
    lines: list[str] = []
    again = cached_classifier(tiny_digits, lines.append)
    assert "is damaged" in lines[0]
    assert torch.equal(first.head.weight, again.head.weight)
    model = BigGAN(tiny, tiny_digits.class_names)
    before = evaluate(model, tiny_digits, num=300, extractor=Patches())
    (features,) = Path(os.environ["BIGGAN_CACHE"]).glob("features/*.safetensors")
    features.write_bytes(features.read_bytes()[:100])
    assert evaluate(model, tiny_digits, num=300, extractor=Patches(), report=lines.append) == before
    assert any(f"{features} is damaged" in line for line in lines)


def test_what_cannot_be_measured_is_one_line(tiny: BigGANConfig, tiny_digits: LabelledImages, tmp_path: Path) -> None:
    model = BigGAN(tiny, tiny_digits.class_names)
    other = open_dataset(str(make_folder(tmp_path / "set", {"a": 3, "b": 3})), resolution=8, channels=1)
    larger = open_dataset("digits", resolution=16, channels=1)
    for line, data, options in (
        ("--num 5 is too few to measure; give at least 20", tiny_digits, {"num": 5}),
        ("--num 128 is too few for the covariance of 128 classifier features; give at least 129", tiny_digits,
         {"num": 128}),
        (r"the model has 10 classes and .* has 2", other, {"num": 200}),
        ("was opened at", larger, {"num": 200}),
        ("fid50k-train is 50,000 images against 50,000 or more real ones, and digits has 1,797", tiny_digits,
         {"protocol": "fid50k-train"}),
        ("unknown protocol 'fid5k-train'; did you mean", tiny_digits, {"protocol": "fid5k-train"}),
        ("fid10k-test compares with images that were held out", tiny_digits, {"protocol": "fid10k-test"}),
        ("as held-out images is the training data", tiny_digits, {"num": 200, "held_out": tiny_digits}),
        ("--memorisation looks at images that the model has not seen", tiny_digits,
         {"num": 200, "extras": ["memorisation"]}),
        ("fun is no extra", tiny_digits, {"num": 200, "extras": ["fun"]}),
    ):  # fmt: skip
        with pytest.raises(UserError, match=line):
            evaluate(model, data, **options)  # type: ignore[arg-type]


def test_unusual_sizes_are_a_note(tiny: BigGANConfig, tiny_digits: LabelledImages) -> None:
    import dataclasses

    lines: list[str] = []
    few = dataclasses.replace(tiny_digits, images=tiny_digits.images[:60], labels=tiny_digits.labels[:60])

    class Wide(Patches):
        def forward(self, images: Tensor) -> Tensor:
            return images.float().flatten(1)

    model = BigGAN(tiny, tiny_digits.class_names)
    result = evaluate(model, few, num=100, extractor=Wide(), report=lines.append)
    assert result["metrics"]["fid"] > 0
    assert any("100 generated images against 60 real ones" in line for line in lines)
    assert any("60 real images are too few for the covariance of 64 features" in line for line in lines)


def test_a_model_that_draws_no_numbers_is_one_line(tiny: BigGANConfig, tiny_digits: LabelledImages) -> None:
    model = BigGAN(tiny, tiny_digits.class_names)
    with torch.no_grad():
        model.G.linear.weight.fill_(float("nan"))
    with pytest.raises(UserError, match=r"draws images that are not finite \(NaN\), as of class '\d' with seed 7"):
        evaluate(model, tiny_digits, num=300, seed=7, extractor=Patches())


def test_the_protocols_name_is_kept_only_if_all_is_as_it_says() -> None:
    from biggan.evaluation.protocol import PROTOCOLS, named

    plan = named("fid50k-train")
    assert plan.changed(num=50_000, extractor=None) is plan
    changed = plan.changed(num=5_000)
    assert (changed.name, changed.num, changed.least) == ("custom", 5_000, 0)
    assert named(None).name == "classifier10k-train"
    assert all(name == protocol.name for name, protocol in PROTOCOLS.items())


def test_two_evaluations_of_the_same_at_the_same_time_look_once(
    tiny: BigGANConfig, tiny_digits: LabelledImages
) -> None:
    model, looked = BigGAN(tiny, tiny_digits.class_names), [0]

    class Slow(Patches):
        def forward(self, images: Tensor) -> Tensor:
            looked[0] += len(images)
            time.sleep(0.01)
            return super().forward(images)

    with ThreadPoolExecutor() as pool:
        models = (model, copy.deepcopy(model))
        a, b = pool.map(lambda model: evaluate(model, tiny_digits, num=600, extractor=Slow()), models)
    assert a["metrics"] == b["metrics"]
    assert looked[0] < 2 * 600 + 2 * len(tiny_digits)          # the real images once, and a look at one for its width
    cache = Path(os.environ["BIGGAN_CACHE"])
    assert list((cache / "evaluations").iterdir()) == []
    assert [path.suffix for path in (cache / "features").iterdir()] == [".safetensors"]

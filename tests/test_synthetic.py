import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from biggan import BigGAN, synthetic
from biggan.config import BigGANConfig
from biggan.data import LabelledImages, open_dataset
from biggan.errors import UserError
from biggan.latents import LatentLaw
from biggan.metrics import classifier
from biggan.sampling import save_files, standing_statistics
from biggan.synthetic import Judge, Wish, folder_names, judge_by, make_set

LAW = LatentLaw("threshold", 1.0)


@pytest.fixture
def model(tiny: BigGANConfig) -> BigGAN:
    made = BigGAN(dataclasses.replace(tiny, num_classes=3), ["cat", "dog", "a/b"])
    standing_statistics(made.G, 3, tiny.z_dim, batches=2)
    return made.eval()


@pytest.fixture
def real() -> LabelledImages:
    pixels = np.random.default_rng(0).integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
    return LabelledImages(pixels, np.arange(60) % 3, ("cat", "dog", "a/b"), "noise", "noise")


class Brightness(classifier.Classifier):
    """A stand-in whose features are pixels, and which is the surer the brighter the first pixel."""

    def forward(self, images: torch.Tensor) -> classifier.Features:
        features = images.flatten(1).float()
        logits = torch.stack([features[:, 0] / 255 * 6 - 3] + [torch.zeros(len(features))] * 2, dim=1)
        return classifier.Features(features, logits)


@pytest.fixture
def judge(real: LabelledImages) -> Judge:
    made = Brightness(1, 3, "brightness")
    made.accuracy = 0.9
    return Judge(made, real)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.suffix}


def test_a_set_is_a_data_set_with_a_manifest(model: BigGAN, tmp_path: Path) -> None:
    out = tmp_path / "set"
    manifest = make_set(model, LAW, Wish(4, seed=7), out, name="runs/x")
    assert json.loads((out / "manifest.json").read_text()) == manifest
    assert manifest["images"] == {"cat": 4, "dog": 4, "a_b": 4}
    assert (manifest["model"], manifest["latent_law"], manifest["seed"]) == ("runs/x", "threshold 1", 7)
    assert (manifest["min_confidence"], manifest["classifier"]) == (0, None)
    data = open_dataset(str(out), resolution=8, channels=1)
    assert data.class_names == ("a_b", "cat", "dog")
    assert data.class_counts().tolist() == [4, 4, 4]


def test_every_image_can_be_drawn_again_by_its_seed(model: BigGAN, tmp_path: Path) -> None:
    make_set(model, LAW, Wish(5, seed=7), tmp_path / "set", name="x", batch_size=2)
    lines = [json.loads(line) for line in (tmp_path / "set/images.jsonl").read_text().splitlines()]
    assert len({line["seed"] for line in lines}) == 15
    for line in lines[::4]:
        label = model.class_names.index(line["class"])
        save_files(model, LAW, [label], 1, line["seed"], 1, tmp_path / "again")
        (again,) = (tmp_path / "again").iterdir()
        assert np.array_equal(np.array(Image.open(again)), np.array(Image.open(tmp_path / "set" / line["file"])))
        again.unlink()


def test_a_filter_keeps_what_is_sure_and_unlike_the_others(model: BigGAN, judge: Judge, tmp_path: Path) -> None:
    plain = Wish(30, min_confidence=0.05, min_distance=1e-9)
    make_set(model, LAW, plain, tmp_path / "plain", name="x", judge=judge, classes=[0])
    lines = [json.loads(line) for line in (tmp_path / "plain/images.jsonl").read_text().splitlines()]
    confidence = float(np.median([line["confidence"] for line in lines]))
    distance = float(np.median([line["distance"] for line in lines[1:]]))
    assert lines[0]["distance"] is None
    strict = Wish(10, min_confidence=confidence, min_distance=distance, tries=100)
    manifest = make_set(model, LAW, strict, tmp_path / "strict", name="x", judge=judge, classes=[0])
    kept = [json.loads(line) for line in (tmp_path / "strict/images.jsonl").read_text().splitlines()]
    assert (manifest["classifier"], manifest["classifier_held_out_accuracy"]) == ("brightness", 0.9)
    assert len(kept) == 10
    assert all(line["confidence"] >= confidence for line in kept)
    assert all(line["distance"] >= distance for line in kept[1:])
    pixels = torch.stack([synthetic._pixels(tmp_path / "strict" / line["file"])[0] for line in kept]).flatten(1)
    found = torch.cdist(pixels.float(), pixels.float()) / judge.scale(0) + torch.eye(10) * 1e9
    assert float(found.min()) >= distance - 1e-4
    assert kept[-1]["seed"] > lines[9]["seed"]              # something was passed over


@pytest.mark.parametrize("filtered", [False, True])
def test_an_interrupted_set_goes_on_and_ends_the_same(
    model: BigGAN, judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filtered: bool
) -> None:
    wish = Wish(9, min_confidence=0.1, min_distance=0.2, tries=100) if filtered else Wish(9)

    def make(out: Path, some: Wish) -> None:
        make_set(model, LAW, some, out, name="x", judge=judge, classes=[0, 2], batch_size=4)

    make(tmp_path / "whole", wish)
    saved, save = 0, synthetic.save_image

    def failing(image: Image.Image, path: Path) -> None:
        nonlocal saved
        saved += 1
        if saved == 12:
            raise KeyboardInterrupt
        save(image, path)

    monkeypatch.setattr(synthetic, "save_image", failing)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "parts", wish)
    with (tmp_path / "parts/images.jsonl").open("a") as handle:
        handle.write('{"file": "cat/see')                   # a line cut short
    monkeypatch.setattr(synthetic, "save_image", save)
    make(tmp_path / "parts", wish)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    make(tmp_path / "parts", dataclasses.replace(wish, per_class=11))       # and it can grow
    assert len(list((tmp_path / "parts/cat").iterdir())) == 11


def test_a_filter_that_rejects_too_much_says_so(model: BigGAN, judge: Judge, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        make_set(model, LAW, Wish(10, min_confidence=0.999), tmp_path / "set", name="x", judge=judge)
    assert "class cat: 0 of 10 images after 200 tries; --min-confidence 0.999 rejected 200" in str(error.value)
    assert "the median confidence is 0." in str(error.value)
    with pytest.raises(UserError, match=r"--min-distance 1000 rejected 199\. Ask for less"):
        make_set(model, LAW, Wish(10, min_distance=1000), tmp_path / "far", name="x", judge=judge)
    assert len(list((tmp_path / "far/cat").iterdir())) == 1


def test_another_set_or_a_full_folder_is_refused(model: BigGAN, tmp_path: Path) -> None:
    make_set(model, LAW, Wish(1), tmp_path / "set", name="x")
    before = contents(tmp_path / "set")
    with pytest.raises(UserError, match=r"holds another set \(latent_law threshold 1 -> normal\)"):
        make_set(model, LatentLaw(), Wish(1), tmp_path / "set", name="x")
    with pytest.raises(UserError, match=r"holds another set \(seed 0 -> 3\)"):
        make_set(model, LAW, Wish(1, seed=3), tmp_path / "set", name="x")
    assert contents(tmp_path / "set") == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty and not a set of generated images"):
        make_set(model, LAW, Wish(1), tmp_path / "full", name="x")


def test_the_judge_is_a_classifier_of_the_real_images(
    tiny: BigGANConfig, tiny_digits: LabelledImages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(classifier, "FEWEST", 5_000)
    monkeypatch.setattr(classifier, "MOST", 5_000)
    model = BigGAN(tiny, tiny_digits.class_names)
    judge = judge_by(model, tiny_digits, lambda line: None)
    rows = tiny_digits.rows_by_class[4][:50]
    confidences, features = judge.look(tiny_digits.batch(rows)[0], 4)
    assert float(np.median(confidences)) > 0.8
    assert judge.distance(features[0], [features[0], features[1]], 4) == 0
    assert judge.distance(features[0], [features[1]], 4) > 0
    with pytest.raises(UserError, match="the model has 3 classes"):
        judge_by(BigGAN(dataclasses.replace(tiny, num_classes=3)), tiny_digits, lambda line: None)


def test_folder_names_are_all_different_and_harmless() -> None:
    names = folder_names(["cat", "Cat", "a/b", "a_b", "..", "été", ""])
    assert names == ["cat", "Cat_1", "a_b", "a_b_3", "__", "été", "class"]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"per_class": 0}, "--per-class 0 must be at least 1"),
        ({"min_confidence": 1}, "--min-confidence 1 must be at least 0 and below 1"),
        ({"min_distance": -1}, "--min-distance must be at least 0"),
    ],
)
def test_a_wish_that_makes_no_sense(fields: dict[str, float], line: str) -> None:
    with pytest.raises(UserError, match=line):
        Wish(**{"per_class": 1, **fields})  # type: ignore[arg-type]

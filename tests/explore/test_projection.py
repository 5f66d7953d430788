import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image

from biggan import BigGAN, BigGANConfig, UserError
from biggan.explore import discriminator_maps, project
from biggan.explore.projection import into_ball_, open_target, perceptual_distance
from biggan.latents import LatentLaw
from biggan.metrics.classifier import Classifier
from biggan.pictures import Picture, draw, latents_of
from biggan.sampling import to_pil


@pytest.fixture
def model(tiny: BigGANConfig) -> BigGAN:
    torch.manual_seed(0)
    return BigGAN(dataclasses.replace(tiny, g_ch=8), discriminator=True).eval()


@pytest.mark.parametrize("law", [LatentLaw(), LatentLaw("threshold", 0.5)], ids=str)
def test_the_latent_of_an_own_image_is_found(model: BigGAN, law: LatentLaw) -> None:
    own = Picture(1000, {3: 1.0})
    (target,) = draw(model, [own], law)
    found = project(model, target, {3: 1.0}, law, restarts=2, steps=80)
    begun = draw(model, [Picture(one.picture.seed, {3: 1.0}) for one in found], law).double()
    before = (begun - target.double()).square().flatten(1).mean(1).sqrt()
    assert found[0].loss <= found[1].loss
    assert found[0].pixels < 1.5
    assert found[0].pixels < 0.2 * float(before.min())
    assert torch.equal(draw(model, [found[0].picture], law)[0], found[0].image)


def test_the_classes_of_an_own_mixture_are_found(model: BigGAN) -> None:
    (target,) = draw(model, [Picture(1000, {2: 0.7, 5: 0.3})])
    fixed = project(model, target, {2: 1.0}, restarts=1, steps=80)[0]
    free = project(model, target, {2: 1.0}, restarts=1, steps=80, free_classes=True)[0]
    assert fixed.picture.classes == {2: 1.0}
    assert next(iter(free.picture.classes)) == 2
    assert sum(free.picture.classes.values()) == pytest.approx(1, abs=0.01)
    assert free.loss < 0.5 * fixed.loss


def test_features_are_compared_and_results_repeat(model: BigGAN) -> None:
    target = torch.randint(0, 256, (1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    judge = Classifier(1, 10, "random").eval()
    for maps in (judge.feature_maps, discriminator_maps(model.D)):
        first, again = (project(model, target, {0: 1.0}, features=maps, restarts=2, steps=10) for _ in range(2))
        pixels = project(model, target, {0: 1.0}, restarts=2, steps=10)
        assert [one.picture for one in first] == [one.picture for one in again]
        assert first[0].loss > pixels[0].loss
        assert first[0].picture.values != pixels[0].picture.values
    assert all(parameter.grad is None for parameter in [*model.parameters(), *judge.parameters()])


def test_latents_stay_plausible(model: BigGAN) -> None:
    target = torch.full((1, 8, 8), 255, dtype=torch.uint8)                      # nothing that G could draw
    law = LatentLaw("truncation", 0.5)
    found = project(model, target, {0: 1.0}, law, restarts=2, steps=40)
    z = latents_of([one.picture for one in found], model.config.z_dim, law)
    assert float(z.abs().max()) <= 1.0
    assert max(sum(v * v for v in one.picture.values) for one in found) < 21     # chi-squared of 8: 20.09 at 0.99


def test_the_ball_holds_99_of_100_latents() -> None:
    g = torch.randn(20_000, 60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before = g.clone()
    into_ball_(g)
    assert float((g != before).any(1).double().mean()) == pytest.approx(0.01, abs=0.003)
    assert torch.allclose(g, before * (g.norm(dim=1) / before.norm(dim=1))[:, None])


def test_perceptual_distance_is_that_of_directions() -> None:
    a = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(perceptual_distance([a, a], [a, 2 * a]), torch.zeros(3), atol=1e-6)
    assert torch.allclose(perceptual_distance([a, a], [-a, a]), torch.full((3,), 4.0))


def test_targets_are_prepared_as_the_data_were(model: BigGAN, tmp_path: Path) -> None:
    (drawn,) = draw(model, [Picture(0)])
    to_pil(drawn).convert("RGB").save(tmp_path / "own.png")
    assert torch.equal(open_target(model, tmp_path / "own.png"), drawn)
    Image.new("RGB", (30, 20)).save(tmp_path / "other.jpg")
    assert open_target(model, tmp_path / "other.jpg").shape == (1, 8, 8)
    (tmp_path / "no.png").write_text("no image")
    with pytest.raises(UserError, match=r"no\.png cannot be read: is no image that Pillow knows"):
        open_target(model, tmp_path / "no.png")
    with pytest.raises(UserError, match=r"missing\.png cannot be read: No such file"):
        open_target(model, tmp_path / "missing.png")


def test_wrong_requests_are_named(model: BigGAN) -> None:
    with pytest.raises(UserError, match=r"has shape \(3, 8, 8\); this model draws \(1, 8, 8\)"):
        project(model, torch.zeros(3, 8, 8, dtype=torch.uint8), {0: 1.0})
    with pytest.raises(UserError, match="at least one restart"):
        project(model, torch.zeros(1, 8, 8, dtype=torch.uint8), {0: 1.0}, restarts=0)

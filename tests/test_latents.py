import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biggan.errors import UserError
from biggan.latents import LatentLaw, Stream, image_labels, image_latents, labels, latent_law, latents, uniforms


@given(st.integers(0, 2**40), st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_an_item_does_not_depend_on_the_batch_it_is_drawn_in(seed: int, start: int, count: int, width: int) -> None:
    whole = uniforms(seed, Stream.D_LATENT, start, count, width)
    single = torch.cat([uniforms(seed, Stream.D_LATENT, start + i, 1, width) for i in range(count)])
    assert torch.equal(whole, single)
    assert bool(((whole > 0) & (whole < 1)).all())


def test_streams_and_seeds_are_independent() -> None:
    drawn = [
        uniforms(seed, stream, 0, 500, 1)[:, 0].numpy()
        for seed in (0, 1)
        for stream in (Stream.D_LATENT, Stream.G_LATENT)
    ]
    correlation = np.corrcoef(np.stack(drawn)) - np.eye(4)
    assert np.abs(correlation).max() < 0.15


@pytest.mark.parametrize(
    ("law", "distribution"),
    [
        (LatentLaw(), scipy.stats.norm()),
        (LatentLaw("threshold", 0.5), scipy.stats.truncnorm(-0.5, 0.5)),
        (LatentLaw("threshold", 2.0), scipy.stats.truncnorm(-2, 2)),
        (LatentLaw("truncation", 0.5), scipy.stats.truncnorm(-2, 2, scale=0.5)),
    ],
)
def test_the_laws_are_scipys(law: LatentLaw, distribution: object) -> None:
    z = latents(7, Stream.IMAGE, 0, 200, 50, law).flatten().double().numpy()
    assert scipy.stats.kstest(z, distribution.cdf).pvalue > 0.01  # type: ignore[attr-defined]


def test_the_two_truncations_are_different_laws() -> None:
    z = {kind: latents(1, Stream.IMAGE, 0, 1000, 40, LatentLaw(kind, 0.5)) for kind in ("threshold", "truncation")}
    assert float(z["threshold"].abs().max()) <= 0.5
    assert 0.5 < float(z["truncation"].abs().max()) <= 1.0
    assert float(z["threshold"].std()) == pytest.approx(0.284, abs=0.005)
    assert float(z["truncation"].std()) == pytest.approx(0.440, abs=0.005)


def test_a_seed_is_one_image_at_every_truncation() -> None:
    wide, narrow = (image_latents([5], 64, LatentLaw("threshold", t)) for t in (2.0, 0.1))
    assert torch.equal(wide.sign(), narrow.sign())
    assert torch.equal(wide.argsort(), narrow.argsort())


def test_labels_are_uniform_and_in_range() -> None:
    y = labels(3, Stream.D_LABEL, 0, 10_000, 7)
    assert y.dtype == torch.int64
    assert scipy.stats.chisquare(np.bincount(y.numpy(), minlength=7)).pvalue > 0.01
    assert torch.equal(image_labels(range(5, 9), 7), torch.cat([image_labels([s], 7) for s in range(5, 9)]))


def test_two_laws_at_once_and_a_nonsense_law_are_refused() -> None:
    with pytest.raises(UserError, match="two different laws"):
        latent_law(0.5, 0.5)
    with pytest.raises(UserError, match="--threshold 0 must be greater than 0"):
        latent_law(threshold=0.0)
    with pytest.raises(UserError, match="--truncation nan must be greater than 0"):
        latent_law(truncation=float("nan"))

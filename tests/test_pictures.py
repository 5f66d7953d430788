import io
import math
from collections.abc import Callable

import pytest
import torch
from PIL import Image

from biggan import BigGAN, BigGANConfig, UserError
from biggan.latents import LatentLaw, image_latents
from biggan.pictures import BATCH, Between, Picture, animation, draw, latents_of, path, slerp, step
from biggan.sampling import sample

LAWS = [LatentLaw(), LatentLaw("threshold", 0.5), LatentLaw("truncation", 0.4)]


@pytest.fixture
def model(tiny: BigGANConfig) -> BigGAN:
    torch.manual_seed(0)
    return BigGAN(tiny, [*"abcdefghij"]).eval()


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_a_plain_picture_is_the_sample_of_its_seed(model: BigGAN, law: LatentLaw) -> None:
    pictures = [Picture(seed, {k % 3: 1.0}) for k, seed in enumerate(range(5, 5 + 2 * BATCH))]
    y = torch.tensor([k % 3 for k in range(2 * BATCH)])
    sampled = torch.cat(list(sample(model, y, range(5, 5 + 2 * BATCH), law, batch_size=BATCH)))
    assert torch.equal(draw(model, pictures, law), sampled)


def test_a_picture_has_the_same_pixels_wherever_it_stands(model: BigGAN) -> None:
    pictures = [Picture(seed, {seed % 4: 0.5, "j": 0.3}, ((seed, 0.5),)) for seed in range(11)]
    together = draw(model, pictures)
    alone = torch.cat([draw(model, [picture]) for picture in pictures])
    assert torch.equal(together, alone)


def test_a_mixture_is_the_weighted_mean_of_embeddings(model: BigGAN) -> None:
    rows = model.G.embed(torch.tensor([1, 4]))
    assert torch.allclose(Picture(0, {"b": 1, "e": 3}).embedding(model), 0.25 * rows[0] + 0.75 * rows[1])
    for wrong in ({}, {0: 0.0}, {0: -1.0, 1: 2.0}, {0: math.nan}):
        with pytest.raises(UserError, match="weights"):
            Picture(0, wrong).embedding(model)


def test_steps_leave_the_distribution_and_grow_with_their_size() -> None:
    g, noise = torch.randn(2, 200_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for size, correlation in ((0.1, 0.995), (1.0, 0.7071), (3.0, 0.3162)):
        there = step(g, noise, size)
        assert abs(float(there.var()) - 1) < 0.02
        assert abs(float(torch.corrcoef(torch.stack([g, there]))[0, 1]) - correlation) < 0.01


@pytest.mark.parametrize("law", LAWS[1:], ids=str)
def test_a_step_stays_within_the_law(law: LatentLaw) -> None:
    z = latents_of([Picture(0, steps=((k, 1.0), (k + 1, 2.0))) for k in range(50)], 40, law)
    bound = law.value if law.kind == "threshold" else 2 * law.value
    assert float(z.abs().max()) <= bound
    assert float(z.std()) == pytest.approx(float(image_latents(range(50), 40, law).std()), rel=0.05)


def test_slerp_keeps_the_norm_and_has_exact_ends() -> None:
    a, b = torch.randn(2, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    b = b * a.norm() / b.norm()
    assert torch.equal(slerp(a, b, 0.0), a)
    assert torch.equal(slerp(a, b, 1.0), b)
    assert float(slerp(a, b, 0.3).norm()) == pytest.approx(float(a.norm()))
    assert torch.allclose(slerp(a, a, 0.5), a)


def test_a_path_moves_what_it_says(model: BigGAN) -> None:
    start, end = Picture(1, {"a": 1}), Picture(2, {"b": 1})
    images = {moving: draw(model, path(start, end, frames=3, moving=moving)) for moving in ("both", "z", "class")}
    corners = draw(model, [start, Picture(2, {"a": 1}), Picture(1, {"b": 1}), end])
    assert all(torch.equal(some[0], corners[0]) for some in images.values())
    assert torch.equal(images["z"][-1], corners[1])
    assert torch.equal(images["class"][-1], corners[2])
    assert torch.equal(images["both"][-1], corners[3])
    assert Between(start, end, 0.5) == path(start, end, frames=3)[1]
    with pytest.raises(UserError, match="at least 2"):
        path(start, end, frames=1)


@pytest.mark.parametrize("kind", ["gif", "webp"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_animation_goes_there_and_back_for_ever(kind: str, channels: int) -> None:
    images = torch.arange(5)[:, None, None, None].expand(5, channels, 8, 8).mul(50).to(torch.uint8).contiguous()
    opened = Image.open(io.BytesIO(animation(images, kind, fps=10)))
    assert (opened.format, opened.n_frames, opened.info["loop"]) == (kind.upper(), 8, 0)
    assert opened.size == (128, 128)
    shades = []
    for k in range(8):
        opened.seek(k)
        shades.append(opened.convert("RGB").getpixel((3, 3))[0])
    expected = [0, 50, 100, 150, 200, 150, 100, 50]
    if channels < 4:                        # the first of four channels' frames are all but transparent
        assert shades == expected


@pytest.mark.parametrize("frames", [1, 2])
def test_short_animations(frames: int) -> None:
    images: Callable[[], torch.Tensor] = lambda: torch.randint(0, 255, (frames, 3, 8, 8), dtype=torch.uint8)  # noqa: E731
    assert Image.open(io.BytesIO(animation(images(), "webp"))).n_frames == frames

import dataclasses
import re

import pytest
import torch

from biggan import BigGAN
from biggan.config import BigGANConfig
from biggan.errors import UserError
from biggan.sampling import standing_statistics
from biggan.surgery import edited, mean_class, mixture, with_classes

VARIANTS: dict[str, dict[str, object]] = {
    "shared": {},
    "stored u and v": {"sn_evaluation": "stored"},
    "tables": {"conditioning": "per_class", "skip_z": "none"},
    "tables and embedding": {"conditioning": "per_class", "skip_z": "none", "linear_input": "z+class"},
    "deep": {"architecture": "biggan-deep", "skip_z": "whole", "linear_input": "z+class"},
    "no class in D": {"d_projection": False},
}


@pytest.fixture(params=VARIANTS)
def model(tiny: BigGANConfig, request: pytest.FixtureRequest) -> BigGAN:
    config = dataclasses.replace(tiny, num_classes=4, **VARIANTS[request.param])
    made = BigGAN(config, "abcd", discriminator=True)
    standing_statistics(made.G, 4, config.z_dim, batches=2)
    return made.eval()


def test_kept_classes_draw_the_images_they_drew(model: BigGAN) -> None:
    made = edited(model, keep=["d", "b"])
    assert made.class_names == ("d", "b")
    assert made.config.num_classes == 2
    for name in "db":
        assert torch.equal(made.generate(name, num=1, seed=3), model.generate(name, num=1, seed=3))
    assert edited(model, drop=["a"]).class_names == ("b", "c", "d")


def test_a_new_class_begins_as_old_ones(model: BigGAN) -> None:
    made = edited(model, add=["e=a", "f=a+b", "g"])
    assert made.class_names == tuple("abcdefg")
    assert torch.equal(made.generate("e", num=1, seed=3), model.generate("a", num=1, seed=3))
    old, new = (m.G.embed(torch.arange(m.config.num_classes)) for m in (model, made))
    if model.config.conditioning == "shared":
        torch.testing.assert_close(new[5], (old[0] + old[1]) / 2)
        torch.testing.assert_close(new[6].norm(), old.norm(dim=1).median())
        assert not any(torch.equal(new[6], row) for row in old)
    images = [made.generate(name, num=1, seed=3) for name in "abfg"]
    assert all(bool(torch.isfinite(image).all()) for image in images)
    assert not torch.equal(images[3], images[0])


def test_d_judges_the_new_classes_by_the_spectral_norm_of_their_own_table(model: BigGAN) -> None:
    made = edited(model, keep=["c", "a"], add=["e=b+c"])
    assert made.D is not None
    x = torch.rand(3, 1, 8, 8)
    assert made.D(x, torch.tensor([0, 1, 2])).shape == (3,)
    if made.D.class_projection is not None:
        sigma = made.D.class_projection.singular().sigma
        torch.testing.assert_close(sigma, torch.linalg.svdvals(made.D.class_projection.weight)[0], rtol=1e-3, atol=0)
        assert made.D.class_projection.weight.shape[0] == 3


def test_the_old_model_stays_as_it_was(model: BigGAN) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    edited(model, keep=["c", "a"], add=["e=b+c", "f"])
    assert model.class_names == tuple("abcd")
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_class_at_random_is_the_same_for_the_same_seed(tiny: BigGANConfig) -> None:
    model = BigGAN(tiny)
    mix = torch.zeros(2, 10, dtype=torch.float64)
    a, b, c = (with_classes(model, "xy", mix, seed).G.shared_embedding.weight for seed in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_mixtures_by_name_and_number(tiny: BigGANConfig) -> None:
    model = BigGAN(tiny, ["a+b", *"abcdefghi"])
    assert mixture(model, "a+b").nonzero().flatten().tolist() == [0]            # a name, before a sum
    assert mixture(model, "c+4+c").tolist()[3:5] == pytest.approx([2 / 3, 1 / 3])
    assert float(mean_class(model).sum()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"keep": ["1"], "drop": ["2"]}, "two ways to say one thing"),
        ({"keep": ["cat"]}, "unknown class 'cat'"),
        ({"add": ["new=cat"]}, "unknown class 'cat'"),
        ({"add": ["3=1"]}, "there would be two classes of the name '3'"),
        ({"keep": ["1"]}, "1 class would be left"),
    ],
)
def test_wrong_surgery_is_one_line(tiny: BigGANConfig, changes: dict[str, list[str]], line: str) -> None:
    with pytest.raises(UserError, match=re.escape(line)):
        edited(BigGAN(tiny), **changes)

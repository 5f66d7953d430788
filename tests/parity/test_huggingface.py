"""Live parity with the PyPI package pytorch-pretrained-biggan: random weights, nothing is downloaded."""

import itertools

import pytest
import torch

from biggan.convert import huggingface
from biggan.latents import LatentLaw

pytorch_pretrained_biggan = pytest.importorskip("pytorch_pretrained_biggan")

# Stage widths in units of the channel width, first map first; that package's three layouts.
WIDTHS = {
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
    512: (16, 16, 8, 8, 4, 2, 1, 1),
}


def layers(widths):
    rows = []
    for width_in, width_out in itertools.pairwise(widths):
        rows += [[False, width_in, width_in], [True, width_in, width_out]]
    return rows


def reference(resolution, channel_width, num_classes, z_dim, dtype, attention=8, n_stats=51):
    torch.manual_seed(resolution)
    config = pytorch_pretrained_biggan.BigGANConfig(
        output_dim=resolution, z_dim=z_dim, class_embed_dim=z_dim, channel_width=channel_width,
        num_classes=num_classes, layers=layers(WIDTHS[resolution]), attention_layer_position=attention,
        n_stats=n_stats,
    )  # fmt: skip
    model = pytorch_pretrained_biggan.BigGAN(config).to(dtype)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith(("gamma", "bn.weight")):
                tensor.fill_(0.7)
            elif name.endswith("bn.bias"):
                tensor.normal_(0, 0.3)
            elif "running_means" in name:
                tensor.normal_(0, 0.2)
            elif "running_vars" in name:
                tensor.uniform_(0.5, 1.5)
        model.train()           # bring u and v near the singular vectors, as training did
        for _ in range(2):
            model(torch.randn(2, z_dim, dtype=dtype), torch.eye(num_classes, dtype=dtype)[:2], 1.0)
    return model.eval(), config


def error(ours, theirs):
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def compare(model, theirs, truncation, dtype, count=2, exact=False):
    classes = model.config.num_classes
    z = torch.randn(count, model.config.z_dim, dtype=dtype)
    y = torch.randint(classes, (count,))
    with torch.no_grad():
        wanted = theirs(z, torch.nn.functional.one_hot(y, classes).to(dtype), truncation)
    return error(model.generate(y, z, truncation=truncation, exact_huggingface=exact), wanted)


@pytest.mark.parametrize("resolution", [128, 256, 512])
def test_layouts_and_truncations(resolution):
    theirs, config = reference(resolution, 8, 5, 6, torch.float64)
    model = huggingface.load(theirs.state_dict(), config)
    assert model.config.resolution == resolution
    assert model.config.g_attention == (64,)
    for truncation in (0.02, 0.4, 1.0):
        assert compare(model, theirs, truncation, torch.float64, count=1) <= 1e-8


def test_the_mapping_in_config_json_does_as_well_and_attention_may_stand_elsewhere():
    theirs, config = reference(128, 8, 5, 6, torch.float64, attention=4)
    model = huggingface.load(theirs.state_dict(), config.to_dict())
    assert model.config.g_attention == (16,)
    assert compare(model, theirs, 0.5, torch.float64) <= 1e-8


@pytest.fixture(scope="module")
def pair():
    theirs, config = reference(128, 8, 3, 4, torch.float64)
    return theirs, huggingface.load(theirs.state_dict(), config)


@pytest.mark.parametrize("truncation", [0.449, 0.995, 0.14, 0.28, 0.58, 0.94])
def test_its_interpolation_can_be_had_exactly_and_is_not_the_default(pair, truncation):
    theirs, model = pair
    assert compare(model, theirs, truncation, torch.float64, count=1, exact=True) <= 1e-8
    assert compare(model, theirs, truncation, torch.float64, count=1) > 1e-4


def test_interpolation_is_between_the_right_rows(pair):
    theirs, model = pair
    table = model.truncation_tables["truncation"]
    mean = theirs.state_dict()["generator.bn.running_means"]
    ours = model.statistics_for(LatentLaw("truncation", 0.995))["output_bn"][0]
    torch.testing.assert_close(ours, mean[49] * 0.25 + mean[50] * 0.75)
    for row in (1, 7, 14, 28, 29, 47, 50):
        assert torch.equal(table.at(row * 0.02)["output_bn"][0], mean[row])


@pytest.mark.slow
def test_full_width_128_in_single_precision():
    theirs, config = reference(128, 128, 1000, 128, torch.float32)
    model = huggingface.load(theirs.state_dict(), config)
    assert sum(parameter.numel() for parameter in model.G.parameters()) == 50_388_609
    assert compare(model, theirs, 0.4, torch.float32) <= 1e-4

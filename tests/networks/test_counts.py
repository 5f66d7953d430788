"""Exact parameter counts of the paper's models and of the TF-Hub graphs, on the meta device."""

import pytest
import torch

from biggan.config import BigGANConfig
from biggan.networks import Discriminator, Generator
from biggan.presets import preset


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "g_count", "d_count"),
    [
        ("biggan-128", 70_433_988, 87_982_370),
        ("biggan-256", 82_097_604, 99_225_890),
        ("biggan-512", 82_468_068, 99_401_282),
        ("biggan-deep-128", 50_244_484, 34_590_210),
        ("biggan-deep-256", 55_736_708, 38_247_426),
    ],
)
def test_presets(name, g_count, d_count):
    config, _ = preset(name)
    with torch.device("meta"):
        assert count(Generator(config)) == g_count
        assert count(Discriminator(config)) == d_count


@pytest.mark.parametrize(
    ("resolution", "g_count"), [(128, 50_388_609), (256, 55_880_833), (512, 56_163_905)]
)
def test_deep_with_tf_hubs_wide_rgb_convolution(resolution, g_count):
    config = BigGANConfig(
        architecture="biggan-deep", resolution=resolution, g_ch=128, z_dim=128,
        skip_z="whole", linear_input="z+class", output_channels=128,
    )  # fmt: skip
    with torch.device("meta"):
        assert count(Generator(config)) == g_count


@pytest.mark.parametrize(
    ("resolution", "ch", "z_dim", "deep", "g_count", "d_count"),
    [
        (64, 96, 120, False, 70_193_027, 45_500_449),
        (64, 128, 128, True, 49_501_955, 20_869_633),
        (32, 128, 128, True, 7_561_987, 3_088_129),
    ],
)
def test_small_tables(resolution, ch, z_dim, deep, g_count, d_count):
    z = {"architecture": "biggan-deep", "skip_z": "whole", "linear_input": "z+class"} if deep else {}
    config = BigGANConfig(
        resolution=resolution, g_ch=ch, d_ch=ch, z_dim=z_dim, g_attention=(), d_attention=(), **z
    )
    with torch.device("meta"):
        assert (count(Generator(config)), count(Discriminator(config))) == (g_count, d_count)

import dataclasses
import re

import pytest
import torch

from biggan.config import BigGANConfig, TrainConfig, from_mapping, to_mapping
from biggan.errors import UserError
from biggan.networks import Discriminator, Generator


@pytest.mark.parametrize(
    ("resolution", "z_dim", "g_attention", "g_parameters", "d_parameters"),
    [
        (128, 120, (64,), 70_433_988, 87_982_370),
        (256, 140, (128,), 82_097_604, 99_225_890),
        (512, 160, (64,), 82_468_068, 99_401_282),
    ],
)
def test_parameter_counts_are_those_of_the_paper(
    resolution: int, z_dim: int, g_attention: tuple[int, ...], g_parameters: int, d_parameters: int
) -> None:
    # 70.4M, 82.1M and 82.5M with D of 88.0M: compare_gan counts the same for G-128/256/512 and D-128.
    config = BigGANConfig(resolution=resolution, z_dim=z_dim, g_attention=g_attention)
    with torch.device("meta"):
        G, D = Generator(config), Discriminator(config)
    assert sum(p.numel() for p in G.parameters()) == g_parameters
    assert sum(p.numel() for p in D.parameters()) == d_parameters


def test_the_default_is_the_papers_128_model() -> None:
    config = BigGANConfig()
    assert (config.resolution, config.z_dim, config.g_ch, config.d_ch) == (128, 120, 96, 96)
    assert config.g_channels == tuple(96 * m for m in (16, 16, 8, 4, 2, 1))
    assert config.d_channels == tuple(96 * m for m in (1, 2, 4, 8, 16, 16))
    assert config.g_resolutions == (8, 16, 32, 64, 128)
    assert config.d_resolutions == (64, 32, 16, 8, 4, 4)


@pytest.mark.parametrize(("resolution", "last"), [(8, 4), (16, 4), (32, 8), (64, 4)])
def test_d_ends_at_a_small_map(resolution: int, last: int) -> None:
    config = BigGANConfig(resolution=resolution, z_dim=60, g_attention=(), d_attention=())
    assert config.d_resolutions[-1] == last


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"resolution": 100}, "--resolution 100 is not 4 x 2^n with n from 1 to 7; the nearest are 64 and 128"),
        ({"resolution": 1024}, "the nearest are 256 and 512"),
        ({"z_dim": 128}, "--z-dim 128 does not divide into 6 skip-z chunks; use 126 or 132"),
        ({"z_dim": 3}, "--z-dim 3 does not divide into 6 skip-z chunks; use 6"),
        ({"g_attention": (48,)}, "--g-attention 48 is not a resolution of this network; it has 8 16 32 64 128"),
        ({"d_attention": (128,)}, "--d-attention 128 is not a resolution of this network; it has 4 8 16 32 64"),
        ({"image_channels": 2}, "--image-channels 2 must be 1, 3 or 4"),
        ({"g_lr": -1}, "--g-lr -1 must be greater than 0"),
        ({"g_lr": float("nan")}, "--g-lr nan must be greater than 0"),
        ({"g_lr": "fast"}, "--g-lr 'fast' is not a number"),
        ({"g_ch": 1.5}, "--g-ch 1.5 is not a whole number"),
        ({"g_ch": float("inf")}, "--g-ch inf is not a whole number"),
        ({"g_ch": True}, "--g-ch True is not a whole number"),
        ({"d_beta2": 1}, "--d-beta2 1 must be at least 0 and below 1"),
        ({"g_channel_multipliers": (1, 2)}, "--g-channel-multipliers needs 6 numbers at 128 px, got 2"),
        ({"d_channel_multipliers": (1, 2)}, "--d-channel-multipliers needs at least 5 numbers at 128 px, got 2"),
        ({"g_attention": 64}, "--g-attention 64 is not a list of whole numbers"),
        ({"num_clases": 3}, "unknown field 'num_clases'; did you mean 'num_classes'?"),
    ],
)
def test_a_wrong_network_field_is_named(fields: dict[str, object], line: str) -> None:
    with pytest.raises(UserError) as error:
        from_mapping(BigGANConfig, fields)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"batch_size": 0}, "--batch-size 0 must be at least 1"),
        ({"microbatch_size": 48}, "--microbatch-size 48 does not divide --batch-size 64"),
        ({"precision": "fp8"}, "--precision 'fp8' is not one of auto, bf16, fp32"),
        ({"ema_decay": 1}, "--ema-decay 1 must be at least 0 and below 1"),
        ({"flip": "yes"}, "--flip 'yes' is not true or false"),
        ({"seed": -1}, "--seed -1 must be at least 0"),
    ],
)
def test_a_wrong_run_field_is_named(fields: dict[str, object], line: str) -> None:
    with pytest.raises(UserError) as error:
        from_mapping(TrainConfig, fields)
    assert line in str(error.value)


def test_configurations_survive_plain_values() -> None:
    network = BigGANConfig(resolution=32, z_dim=80, g_attention=(16,), d_attention=(), g_lr=3e-4)
    assert from_mapping(BigGANConfig, to_mapping(network)) == network
    train = TrainConfig(class_names=("a", "b"), flip=True)
    assert from_mapping(TrainConfig, to_mapping(train)) == train


def test_fields_of_older_files_are_known() -> None:
    assert from_mapping(BigGANConfig, {"init": "xavier"}).weight_init == "xavier"
    with pytest.raises(UserError, match="unknown field 'init'"):
        from_mapping(BigGANConfig, {"init": "runs/mine"})


def test_yaml_numbers_without_a_dot_are_numbers() -> None:
    assert from_mapping(BigGANConfig, {"g_lr": "1e-4"}).g_lr == 1e-4


def test_the_two_configurations_share_no_field_name() -> None:
    network = {f.name for f in dataclasses.fields(BigGANConfig)}
    assert not network & {f.name for f in dataclasses.fields(TrainConfig)}


def test_every_field_has_a_help_text() -> None:
    for kind in (BigGANConfig, TrainConfig):
        assert all(f.metadata["help"] for f in dataclasses.fields(kind))


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"hinge_margin": 2, "objective": "wasserstein"}, "--hinge-margin is of no use to --objective wasserstein"),
        ({"label_smoothing": 0.1}, "--label-smoothing needs --objective non-saturating or minimax"),
        ({"label_smoothing": 1.5, "objective": "minimax"}, "--label-smoothing 1.5 must be from 0 to 1"),
        ({"objective": "hinges"}, "--objective 'hinges' is not one of hinge, non-saturating"),
        ({"top_k": 0}, "--top-k 0 must be greater than 0"),
        ({"top_k_images": 10}, "give --top-k too"),
        ({"consistency_real": 1, "consistency_augment": ()}, "--consistency-augment is empty"),
        ({"augment": ("colour",)}, "--augment 'colour' is not one of color, translation, cutout, flip"),
        ({"augment": ("color", "color")}, "--augment color color names one twice"),
        ({"lecam": 0.3, "objective": "wasserstein"}, "--objective wasserstein has no such scale"),
        ({"ema_half_life": 10, "ema_start": 10}, "leave --ema-start out"),
        ({"r1": -1}, "--r1 -1.0 must be at least 0"),
        ({"lecam_decay": 1}, "--lecam-decay 1 must be at least 0 and below 1"),
    ],
)
def test_objectives_that_make_no_sense_are_refused(values: dict[str, object], line: str) -> None:
    with pytest.raises(UserError, match=re.escape(line)):
        from_mapping(TrainConfig, values)

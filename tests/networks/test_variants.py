"""Every setting of the networks at a tiny size: finite images and scores, a gradient for each parameter."""

import itertools

import pytest
import torch

from biggan.config import BigGANConfig
from biggan.errors import UserError
from biggan.networks import Discriminator, Generator
from biggan.networks.layers import SpectralNorm
from biggan.networks.plan import discriminator_blocks, generator_blocks

TINY = {"resolution": 16, "num_classes": 3, "z_dim": 12, "shared_dim": 5, "g_ch": 2, "d_ch": 2,
        "g_attention": (), "d_attention": ()}  # fmt: skip
DEEP = {"architecture": "biggan-deep", "skip_z": "whole", "linear_input": "z+class"}

VARIANTS = {
    "paper": {},
    "z+class": {"linear_input": "z+class"},
    "whole z": {"skip_z": "whole"},
    "no skip-z": {"skip_z": "none"},
    "no skip-z, z+class": {"skip_z": "none", "linear_input": "z+class"},
    "per class": {"conditioning": "per_class", "skip_z": "none"},
    "per class, z+class": {"conditioning": "per_class", "skip_z": "none", "linear_input": "z+class"},
    "no class, chunks": {"conditioning": "none", "d_projection": False},
    "no class, no skip-z": {"conditioning": "none", "skip_z": "none", "d_projection": False},
    "attention everywhere": {"g_attention": (8, 16), "d_attention_stages": (1, 2, 3, 4)},
    "thin D": {"d_hidden": "thin"},
    "rectified shortcut": {"d_rectified_shortcut": True},
    "kernel 1": {"output_kernel": 1},
    "wide output": {"output_channels": 8},
    "no SN in G": {"g_spectral_norm": False},
    "no SN in D": {"d_spectral_norm": False},
    "SN excluded": {"sn_exclude": ("D.class_projection", "gain", "G.blocks.0.conv1"), "g_attention": (8,)},
    "SN, 3 iterations": {"sn_iterations": 3},
    "SN, stored": {"sn_evaluation": "stored"},
    "normal": {"weight_init": "normal"},
    "xavier": {"weight_init": "xavier"},
    "deep": DEEP,
    "deep, depth 1 and 3": DEEP | {"g_depth": 1, "d_depth": 3},
    "deep, depth 3 and 1": DEEP | {"g_depth": 3, "d_depth": 1, "g_attention": (8,), "d_attention": (8,)},
    "deep, StudioGAN's": DEEP | {"deep_blocks": "studiogan", "d_rectified_shortcut": True},
    "deep, chunks": {"architecture": "biggan-deep"},
    "deep at 32": DEEP | {"resolution": 32},
    "deep at 64": DEEP | {"resolution": 64, "g_depth": 1, "g_attention": (32,), "d_attention": (32,)},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_forward_and_backward(name):
    torch.manual_seed(0)
    config = BigGANConfig(**TINY | VARIANTS[name])
    G, D = Generator(config), Discriminator(config)
    y = torch.tensor([0, 2, 1])
    x = G(torch.randn(3, config.z_dim), y)
    assert x.shape == (3, 3, config.resolution, config.resolution)
    logits = D(x, y)
    assert logits.shape == (3,)
    logits.mean().backward()
    for network in (G, D):
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key
    with torch.no_grad():
        z = torch.randn(2, config.z_dim)
        assert G.eval()(z, y[:2]).isfinite().all()
        assert D.eval()(x[:2]).isfinite().all()


def test_an_unconditional_score_is_the_conditional_one_without_its_projection():
    torch.manual_seed(0)
    config = BigGANConfig(**TINY)
    with_y = Discriminator(config).eval()
    without = Discriminator(BigGANConfig(**TINY, d_projection=False)).eval()
    without.load_state_dict({k: v for k, v in with_y.state_dict().items() if "class_projection" not in k})
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(with_y(x), without(x, torch.tensor([0, 1])))
    assert not torch.allclose(with_y(x, torch.tensor([0, 1])), with_y(x))


@pytest.mark.parametrize("conditioning", ["shared", "per_class"])
def test_a_mixture_of_embeddings_with_all_weight_on_one_class_is_that_class(conditioning):
    torch.manual_seed(0)
    G = Generator(BigGANConfig(**TINY | {"conditioning": conditioning, "skip_z": "none"})).eval()
    z, y = torch.randn(2, 12), torch.tensor([1, 2])
    ends = G.embed(y)
    torch.testing.assert_close(G.synthesize(z, 0.0 * ends.flip(0) + 1.0 * ends), G(z, y))


def test_no_class_means_labels_change_nothing():
    G = Generator(BigGANConfig(**TINY | {"conditioning": "none"})).eval()
    z = torch.randn(2, 12)
    assert torch.equal(G(z, torch.tensor([0, 0])), G(z, torch.tensor([1, 2])))


def test_whole_z_reaches_every_block_and_chunks_reach_their_own():
    for skip_z, moved in (("chunks", [False, True]), ("whole", [True, True]), ("none", [False, False])):
        G = Generator(BigGANConfig(**TINY | {"skip_z": skip_z}))
        z = torch.zeros(1, 12)
        _, before = G.route(z, G.embed(torch.tensor([0])))
        z[:, -1] = 1
        _, after = G.route(z, G.embed(torch.tensor([0])))
        assert [not torch.equal(a, b) for a, b in zip(before, after, strict=True)] == moved


def test_exclusions_reach_exactly_the_layers_they_name():
    config = BigGANConfig(**TINY | {"sn_exclude": ("D.class_projection", "G.linear", "bn1.gain")})
    for prefix, network in (("G", Generator(config)), ("D", Discriminator(config))):
        for name, module in network.named_modules():
            if isinstance(module, SpectralNorm):
                excluded = f"{prefix}.{name}" in ("D.class_projection", "G.linear") or name.endswith("bn1.gain")
                assert module.sn.enabled is not excluded, name
                assert hasattr(module, "u") is not excluded, name


def test_an_exclusion_that_fits_nothing_is_refused():
    for network, name in ((Generator, "G.blocks.7"), (Discriminator, "D.stem")):
        with pytest.raises(UserError, match=f"--sn-exclude {name} fits no layer"):
            network(BigGANConfig(**TINY, sn_exclude=(name,)))


def test_several_iterations_come_closer_to_the_largest_singular_value():
    torch.manual_seed(0)
    errors = []
    for iterations in (1, 8):
        torch.manual_seed(0)
        G = Generator(BigGANConfig(**TINY | {"sn_iterations": iterations, "weight_init": "normal"}))
        conv = G.blocks[0].conv1
        sigma = torch.linalg.matrix_norm(conv.weight.flatten(1), 2)
        errors.append((conv.weight / conv.normalized_weight() - sigma).abs().max().item())
    assert errors[1] < errors[0]


def test_stored_vectors_leave_evaluation_as_the_last_training_pass_left_it():
    torch.manual_seed(0)
    D = Discriminator(BigGANConfig(**TINY, sn_evaluation="stored"))
    trained = D.linear.normalized_weight()
    assert torch.equal(D.eval().linear.normalized_weight(), trained)
    assert torch.equal(D.linear.normalized_weight(), trained)


@pytest.mark.parametrize("style", ["ortho", "normal", "xavier"])
def test_initial_weights(style):
    torch.manual_seed(0)
    G = Generator(BigGANConfig(**TINY | {"g_ch": 8, "weight_init": style}))
    W = G.blocks[0].conv2.weight.flatten(1)
    if style == "ortho":
        torch.testing.assert_close(W @ W.T, torch.eye(len(W)), atol=1e-5, rtol=0)
    else:
        fan_in, fan_out = W.shape[1], W.shape[0] * 9
        wanted = 0.02 if style == "normal" else (2 / (fan_in + fan_out)) ** 0.5
        assert W.std().item() == pytest.approx(wanted, rel=0.05)


def test_deep_blocks_drop_and_add_channels_in_order():
    torch.manual_seed(0)
    settings = {"g_channel_multipliers": (8, 4, 4), "d_channel_multipliers": (4, 8, 8, 8), "sn_exclude": ("conv4",)}
    config = BigGANConfig(**TINY | DEEP | settings)
    G, D = Generator(config).eval(), Discriminator(config).eval()
    for block in (G.blocks[1], D.blocks[0]):
        torch.nn.init.zeros_(block.conv4.weight)
        torch.nn.init.zeros_(block.conv4.bias)
    x = torch.randn(1, 16, 4, 4)
    torch.testing.assert_close(
        G.blocks[1](x, torch.zeros(1, config.condition_dim)), x[:, :8].repeat_interleave(2, 2).repeat_interleave(2, 3)
    )
    x = torch.randn(1, 8, 4, 4)
    torch.testing.assert_close(D.blocks[0](x)[:, :8], torch.nn.functional.avg_pool2d(x, 2))


@pytest.mark.parametrize(("resolution", "depth"), [*itertools.product([32, 64, 128], [1, 2, 3])])
def test_deep_plans(resolution, depth):
    config = BigGANConfig(
        resolution=resolution, g_depth=depth, d_depth=depth, g_attention=(16,), d_attention=(16,), z_dim=16, **DEEP
    )
    stages = config.doublings
    g, d = generator_blocks(config), discriminator_blocks(config)
    assert len(g) == stages * depth
    assert sum(row.resample for row in g) == stages
    assert resolution // 2 ** sum(row.resample for row in d) in (4, 8)
    assert [row.stage for row in g if row.attention] == [1]
    assert sum(row.attention for row in d) == 1
    for plan in (g, d):
        assert all(a.out_channels == b.in_channels for a, b in itertools.pairwise(plan))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"z_dim": 128, "resolution": 128}, "126 or 132"),
        ({"conditioning": "per_class"}, "--skip-z none"),
        ({"conditioning": "none", "linear_input": "z+class"}, "--linear-input z"),
        ({"output_kernel": 5}, "--output-kernel"),
        ({"output_channels": 2}, "--output-channels"),
        ({"g_attention_stages": (9,)}, "--g-attention-stages 9"),
        ({"d_attention": (256,)}, "--d-attention 256"),
        ({"sn_exclude": ("conv9",)}, "conv9"),
        ({"sn_exclude": ("D.clas_projection",)}, "class_projection"),
        ({"g_depth": 0}, "--g-depth"),
        ({"sn_iterations": 0}, "--sn-iterations"),
        ({"weight_init": "orthogonal"}, "ortho"),
        ({**DEEP, "d_hidden": "thin"}, "--d-hidden"),
        ({**DEEP, "g_channel_multipliers": (4, 4, 8)}, "--g-channel-multipliers"),
        ({**DEEP, "d_channel_multipliers": (4, 4, 2, 2)}, "--d-channel-multipliers"),
        ({**DEEP, "d_channel_multipliers": (4, 4)}, "at least 3"),
    ],
)
def test_mistakes_are_named(settings, message):
    with pytest.raises(UserError) as error:
        BigGANConfig(**TINY | settings)
    assert message in str(error.value)

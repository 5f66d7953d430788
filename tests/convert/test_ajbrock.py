"""ajbrock's layouts and their mistakes; what is computed is compared in tests/parity."""

import random

import pytest
import torch

from biggan.config import BigGANConfig
from biggan.convert import ajbrock, studiogan
from biggan.errors import UserError
from biggan.model import BigGAN

BASE = {"resolution": 32, "num_classes": 3, "z_dim": 8, "shared_dim": 5, "g_ch": 2, "d_ch": 2,
        "g_attention": (16,), "d_attention": (16,)}  # fmt: skip
DEEP = {"architecture": "biggan-deep", "skip_z": "whole", "linear_input": "z+class"}


def model_of(**settings):
    torch.manual_seed(0)
    model = BigGAN(BigGANConfig(**BASE | settings), discriminator=True).eval()
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith(("gamma", "output_bn.bias", "running_mean")):
                tensor.normal_()
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2)
    return model


def outputs(model):
    torch.manual_seed(1)
    z, y = torch.randn(2, model.config.z_dim), torch.tensor([0, 1])
    with torch.no_grad():
        x = model.G(z, y)
        return torch.cat([x.flatten(), model.D(x, y)])


def random_settings(seed):
    """A configuration that ajbrock's code has, drawn at random."""
    draw = random.Random(seed)
    resolution = draw.choice([32, 64, 128])
    stages = resolution.bit_length() - 3
    settings = {
        "resolution": resolution,
        "num_classes": draw.randint(2, 6),
        "g_ch": draw.choice([1, 2, 3]),
        "d_ch": draw.choice([2, 3]),
        "shared_dim": draw.randint(3, 9),
        "g_attention": tuple(sorted(draw.sample([8, 16, resolution], draw.randint(0, 2)))),
        "d_attention": tuple(sorted(draw.sample([16, 8], draw.randint(0, 2)))),
        "bn_eps": draw.choice([1e-5, 1e-4]),
    }
    kind = draw.choice(["chunks", "none", "per_class", "deep"])
    if kind == "deep":
        depths = {"g_depth": draw.randint(1, 3), "d_depth": draw.randint(1, 3)}
        return settings | DEEP | depths | {"z_dim": draw.randint(3, 9), "g_ch": 4}
    if kind == "per_class":
        settings |= {"conditioning": "per_class", "shared_dim": 128}
    settings["d_hidden"] = draw.choice(["wide", "thin"])
    z_dim = draw.randint(1, 4) * (stages + 1)
    return settings | {"z_dim": z_dim, "skip_z": "chunks" if kind == "chunks" else "none"}


@pytest.mark.parametrize("seed", range(16))
def test_a_round_trip_is_exact_and_the_configuration_is_inferred(seed):
    settings = random_settings(seed)
    model = model_of(**settings)
    there = ajbrock.unload(model)
    back = ajbrock.load(there["G"], there["D"], bn_eps=model.config.bn_eps, resolution=model.config.resolution)
    assert back.config == model.config
    assert torch.equal(outputs(back), outputs(model))
    again = ajbrock.unload(back)
    for which in ("G", "D"):
        assert again[which].keys() == there[which].keys()
        assert all(torch.equal(again[which][key], value) for key, value in there[which].items())


def test_key_names_and_shapes_are_that_codes():
    there = ajbrock.unload(model_of(resolution=64, z_dim=5))
    assert tuple(there["G"]["linear.u0"].shape) == (1, 512)
    assert tuple(there["G"]["linear.sv0"].shape) == (1,)
    assert tuple(there["G"]["blocks.1.1.gamma"].shape) == ()
    assert tuple(there["G"]["blocks.0.0.bn1.gain.weight"].shape) == (32, 6)
    assert tuple(there["G"]["output_layer.2.weight"].shape) == (3, 4, 3, 3)
    assert tuple(there["D"]["embed.u0"].shape) == (1, 3)
    assert "blocks.4.0.conv_sc.weight" in there["D"]


def renamed(tensors, changes):
    result = {}
    for key, value in tensors.items():
        for old, new in changes.items():
            key = key.replace(old, new)
        result[key] = value
    return result


@pytest.mark.parametrize("layout", ["mybn", "cross replica", "module.", "more singular vectors", "without sv0", "half"])
def test_layouts(layout):
    model = model_of()
    there = ajbrock.unload(model)
    G, D = there["G"], there["D"]
    if layout == "mybn":
        G = renamed(G, {"stored_": "bn.stored_"}) | {"output_layer.0.bn.accumulation_counter": torch.zeros(1)}
    elif layout == "cross replica":
        G = renamed(G, {"stored_": "bn.running_"})
        G |= {"blocks.0.0.bn1.bn.num_batches_tracked": torch.tensor(7)}
    elif layout == "module.":
        G, D = ({f"module.{key}": value for key, value in tensors.items()} for tensors in (G, D))
    elif layout == "more singular vectors":
        for tensors in (G, D):
            for key in [key for key in tensors if key.endswith("u0")]:
                stem = key.removesuffix("u0")
                tensors |= {f"{stem}u1": tensors[key] + 1, f"{stem}sv1": torch.ones(1), f"{stem}u12": tensors[key]}
    elif layout == "without sv0":
        G, D = ({key: value for key, value in tensors.items() if "sv0" not in key} for tensors in (G, D))
    elif layout == "half":
        G = {key: value.half().float() for key, value in G.items()}
        model = ajbrock.load(G, D)
        G = {key: value.half() for key, value in G.items()}
    back = ajbrock.load(G, D)
    assert back.G.linear.weight.dtype == torch.float32
    assert torch.equal(outputs(back), outputs(model))


def test_ports_of_the_tf_hub_models_take_their_epsilons():
    back = ajbrock.load(ajbrock.unload(model_of())["G"], bn_eps=1e-4, sn_eps=1e-4)
    assert (back.config.bn_eps, back.config.sn_eps, back.config.output_bn_eps) == (1e-4, 1e-4, 1e-5)
    assert back.D is None


def test_double_precision_stays_and_the_callers_tensors_are_left_alone():
    G = {key: value.double() for key, value in ajbrock.unload(model_of())["G"].items()}
    before = {key: value.clone() for key, value in G.items()}
    model = ajbrock.load(G)
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}
    model.train()
    model.G(torch.randn(2, 8, dtype=torch.float64), torch.tensor([0, 1])).sum().backward()
    with torch.no_grad():
        model.G.linear.weight.zero_()
    assert all(torch.equal(G[key], value) for key, value in before.items())


def with_changed(which, change):
    there = ajbrock.unload(model_of())
    change(there[which])
    return there["G"], there["D"]


@pytest.mark.parametrize(
    ("which", "change", "message"),
    [
        ("G", lambda t: t.pop("blocks.1.0.conv2.bias"), "misses 'blocks.1.0.conv2.bias'"),
        ("D", lambda t: t.pop("blocks.2.0.conv1.u0"), "misses 'blocks.2.0.conv1.u0'"),
        ("G", lambda t: t.update(extra=torch.zeros(1)), "'extra'"),
        ("D", lambda t: t.update({"blocks.0.0.bn0.weight": torch.zeros(1)}), "'blocks.0.0.bn0.weight'"),
        ("G", lambda t: t.update(epoch=3), "'epoch'"),
        ("G", lambda t: t.update({"shared.weight": torch.zeros(3, 6)}), "(8, 7)"),
        ("D", lambda t: t.update({"embed.weight": torch.zeros(4, 8), "embed.u0": torch.zeros(1, 4)}), "3 classes"),
        ("G", lambda t: t.pop("linear.weight"), "no 'linear.weight'"),
        ("D", lambda t: t.pop("embed.weight"), "no 'embed.weight'"),
        ("G", dict.clear, "not a state dict"),
        ("G", lambda t: t.update({"linear.weight": torch.zeros(0)}), "these shapes are of no network"),
        ("D", lambda t: t.update({"blocks.0.0.conv1.weight": torch.zeros(())}), "these shapes are of no network"),
    ],
)
def test_mistakes_are_named_in_one_line(which, change, message):
    G, D = with_changed(which, change)
    with pytest.raises(UserError) as error:
        ajbrock.load(G, D)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_discriminator_of_another_resolution_or_family_is_refused():
    G = ajbrock.unload(model_of())["G"]
    for other in (model_of(resolution=64, z_dim=5), model_of(**DEEP)):
        with pytest.raises(UserError, match=r"pair|one model"):
            ajbrock.load(G, ajbrock.unload(other)["D"])
    with pytest.raises(UserError, match="not one of ajbrock"):
        ajbrock.load(ajbrock.unload(model_of())["D"])
    with pytest.raises(UserError, match="not one of POSTECH"):
        studiogan.load(G)


@pytest.mark.parametrize(
    "settings",
    [{"d_rectified_shortcut": True}, {"sn_evaluation": "stored"}, {"linear_input": "z+class"}, {"output_channels": 8},
     {"conditioning": "none"}, {"output_bn_eps": 1e-4}, {"sn_exclude": ("G.linear",)}, {"d_projection": False},
     {"architecture": "biggan-deep"}, DEEP | {"deep_blocks": "studiogan"}],
)  # fmt: skip
def test_what_that_code_has_not_does_not_convert_to_it(settings):
    with pytest.raises(UserError, match="no network like this one"):
        ajbrock.unload(model_of(**settings))

"""Every golden file: what our networks compute from a reference's weights is what the reference computed.

The files stand in tests/golden, or in the folder that BIGGAN_GOLDEN_DIR names. Which converter and
which constructor arguments belong to a file stands in its metadata.
"""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from biggan.convert import ajbrock, studiogan

FOLDER = Path(os.environ.get("BIGGAN_GOLDEN_DIR") or Path(__file__).parents[1] / "golden")
FILES = sorted(FOLDER.glob("*.safetensors"))
TOLERANCE = 1e-8

AJBROCK, STUDIOGAN = "ajbrock/BigGAN-PyTorch", "POSTECH-CVLab/PyTorch-StudioGAN"
STUDIOGAN_MODULES = ("models.big_resnet", "models.big_resnet_deep_legacy", "models.big_resnet_deep_studiogan")


def read(path):
    with safe_open(path, "pt") as handle:
        tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118
        return tensors, json.loads(handle.metadata()["config"])


def part(tensors, prefix):
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def load(tensors, config):
    G, D = part(tensors, "G."), part(tensors, "D.") or None
    if config["reference"] == AJBROCK:
        assert config["class"] in ("BigGAN", "BigGANdeep")
        given = config["G"]
        return ajbrock.load(
            G, D,
            bn_eps=given.get("BN_eps", 1e-5),
            sn_eps=given.get("SN_eps", 1e-12),
            power_iterations=given.get("num_G_SV_itrs", 1),
            resolution=config["resolution"],
        )  # fmt: skip
    assert config["reference"] == STUDIOGAN
    assert config["module"] in STUDIOGAN_MODULES
    return studiogan.load(G, D, resolution=config["resolution"])


def assert_same(ours, theirs, what):
    theirs = theirs.reshape(ours.shape)
    assert ours.dtype == theirs.dtype
    error = (ours - theirs).abs().max() / theirs.abs().max()
    assert error <= TOLERANCE, f"{what}: relative error {error:.1e}"


@pytest.fixture(scope="module", params=FILES, ids=[path.stem for path in FILES])
def golden(request):
    tensors, config = read(request.param)
    if "train" in config:
        pytest.skip("a file of training iterations: compared where the training loop is")
    return tensors, config


def test_there_are_files():
    assert FILES, f"no golden files in {FOLDER}"


def test_evaluation(golden):
    tensors, config = golden
    if config.get("G", {}).get("cross_replica"):
        pytest.skip("in one process that code's cross-replica layer adds the gain; its output is known to be wrong")
    model = load(tensors, config)
    assert model.config.resolution == config["resolution"]
    if model.config.conditioning != "none":
        assert model.config.num_classes == config["n_classes"]
    with torch.no_grad():
        for _ in range(2):          # evaluation moves nothing
            assert_same(model.G(tensors["z"], tensors["y"]), tensors["G_eval"], "G in evaluation")
            if model.D is not None:
                assert_same(model.D(tensors["x"], tensors["y"]), tensors["D_eval"], "D in evaluation")


def test_training_forward(golden):
    tensors, config = golden
    if "G_train" not in tensors:
        pytest.skip("the file has no outputs in training mode")
    given = config.get("G", {})
    if given.get("cross_replica") or given.get("mybn"):
        pytest.skip("that code's own batch norms compute their moments in float32, or add the gain")
    model = load(tensors, config)
    model.train()
    with torch.no_grad():
        assert_same(model.G(tensors["z"], tensors["y"]), tensors["G_train"], "G in training")
        if model.D is not None and given.get("num_G_SV_itrs", 1) == config.get("D", {}).get("num_D_SV_itrs", 1):
            assert_same(model.D(tensors["x"], tensors["y"]), tensors["D_train"], "D in training")
    after = ajbrock.unload(model)["G"]
    for key, value in part(tensors, "G_after_train_forward.").items():
        if key.rpartition(".")[2] in ("u0", "stored_mean", "stored_var"):
            assert_same(after[key], value, key)

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from biggan.config import BigGANConfig
from biggan.networks import Generator, folded
from biggan.networks.layers import AffineBatchNorm2d, BatchNorm2d, ConditionalBatchNorm2d, SpectralNorm, SpectralOptions


@pytest.mark.parametrize(
    "change", [{}, {"sn_evaluation": "stored"}, {"g_spectral_norm": False}, {"sn_exclude": ("G.linear",)}]
)
def test_folded_weights_are_those_of_evaluation_and_leave_no_trace(
    tiny: BigGANConfig, change: dict[str, object]
) -> None:
    G = Generator(dataclasses.replace(tiny, g_attention=(8,), **change)).eval()
    z, y = torch.randn(3, 8), torch.tensor([1, 2, 3])
    before = {key: value.clone() for key, value in G.state_dict().items()}
    plain = G(z, y)
    with folded(G), folded(G):
        assert torch.equal(G(z, y), plain)
    assert all(layer.folded is None for layer in G.modules() if isinstance(layer, SpectralNorm))
    assert all(torch.equal(value, before[key]) for key, value in G.state_dict().items())
    assert torch.equal(G(z, y), plain)


def test_only_the_outer_block_unfolds(tiny: BigGANConfig) -> None:
    G = Generator(tiny).eval()
    with folded(G):
        with folded(G, torch.bfloat16):
            pass
        assert G.linear.folded is not None
        assert G.blocks[0].conv1.folded.dtype == torch.float32
    with folded(G, torch.bfloat16):
        assert G.blocks[0].conv1.folded.dtype == torch.bfloat16
        assert G.linear.folded.dtype == torch.float32


def test_weights_that_move_are_not_folded(tiny: BigGANConfig) -> None:
    with pytest.raises(RuntimeError, match="evaluation"), folded(Generator(tiny).train()):
        pass


def textbook(bn: BatchNorm2d, x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    normal = F.batch_norm(x, bn.running_mean, bn.running_var, eps=bn.eps)
    return normal * gain[..., None, None] + bias[..., None, None]


def test_in_evaluation_one_pass_over_the_map_is_the_same_affine_map() -> None:
    x, c = torch.randn(3, 5, 4, 4, dtype=torch.float64) + 2, torch.randn(3, 6, dtype=torch.float64)
    conditional = ConditionalBatchNorm2d(5, 6, bn_eps=1e-5, sn=SpectralOptions()).double().eval()
    learned = AffineBatchNorm2d(5, eps=1e-5).double().eval()
    for bn in (conditional, learned):
        bn.running_mean.normal_()
        bn.running_var.uniform_(0.5, 2)
    learned.gain.data.normal_()
    plain = textbook(conditional, x, 1 + conditional.gain(c), conditional.bias(c))
    torch.testing.assert_close(conditional(x, c), plain, rtol=1e-12, atol=1e-12)
    plain = textbook(learned, x, learned.gain, learned.bias)
    torch.testing.assert_close(learned(x), plain, rtol=1e-12, atol=1e-12)

import pytest
import torch
from torch import nn

from biggan.config import BigGANConfig
from biggan.networks import Discriminator, Generator
from biggan.networks.layers import SpectralConv2d, SpectralEmbedding, SpectralLinear


def config(resolution: int, **fields: object) -> BigGANConfig:
    chunks = (resolution // 4).bit_length()
    given = {"z_dim": 2 * chunks, "shared_dim": 5, "g_ch": 1, "d_ch": 1, "num_classes": 3}
    given |= {"g_attention": (), "d_attention": ()}
    return BigGANConfig(resolution=resolution, **(given | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize("resolution", [8, 16, 32, 64, 128, 256, 512])
def test_every_resolution_runs_forward(resolution: int) -> None:
    c = config(resolution)
    with torch.no_grad():
        x = Generator(c)(torch.randn(2, c.z_dim), torch.tensor([0, 2]))
        logits = Discriminator(c)(x, torch.tensor([0, 2]))
    assert x.shape == (2, 3, resolution, resolution)
    assert float(x.abs().max()) <= 1
    assert logits.shape == (2,)
    assert bool(torch.isfinite(logits).all())


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("attention", [(), (16,), (8, 16)])
def test_every_parameter_gets_a_gradient(channels: int, attention: tuple[int, ...]) -> None:
    c = config(32, image_channels=channels, g_attention=attention, d_attention=attention, g_ch=4, d_ch=4)
    G, D = Generator(c), Discriminator(c)
    for module in (G, D):
        for name, parameter in module.named_parameters():
            if name.endswith("gamma"):          # at 0 it would hide the gradients behind it
                parameter.data.fill_(0.5)
    D(G(torch.randn(4, c.z_dim), torch.tensor([0, 1, 2, 0])), torch.tensor([0, 1, 2, 0])).sum().backward()
    for module in (G, D):
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert bool(parameter.grad.abs().sum() > 0), name


def test_every_weight_but_the_class_embedding_is_spectrally_normalised() -> None:
    c = config(32, g_attention=(16,), d_attention=(16,), g_ch=4, d_ch=4)
    for network in (Generator(c), Discriminator(c)):
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding) and name != "shared_embedding":
                assert isinstance(module, SpectralConv2d | SpectralLinear | SpectralEmbedding), name


def test_the_class_reaches_the_image_and_each_chunk_of_z_its_block() -> None:
    c = config(32, g_ch=4)
    G = Generator(c).eval()
    z, y = torch.randn(1, c.z_dim), torch.tensor([0])
    image = G(z, y)
    assert not torch.equal(G(z, torch.tensor([1])), image)
    for chunk in range(c.z_chunks):
        moved = z.clone()
        moved[:, chunk * 2] += 1
        assert not torch.equal(G(moved, y), image), chunk


def test_the_first_linear_sees_no_class() -> None:
    c = config(8)
    assert Generator(c).linear.in_features == c.z_dim // c.z_chunks


def test_d_is_a_projection_over_summed_features() -> None:
    c = config(16, d_ch=4)
    D = Discriminator(c).double().eval()
    x, y = torch.randn(3, 3, 16, 16, dtype=torch.float64), torch.tensor([0, 2, 1])
    h = x
    for block in D.blocks:
        h = block(h)
    h = h.relu().sum((2, 3))
    score = h @ D.linear.normalized_weight()[0] + D.linear.bias
    torch.testing.assert_close(D(x), score)
    torch.testing.assert_close(D(x, y), score + (D.class_projection.normalized_weight()[y] * h).sum(1))


def test_the_first_block_of_d_has_no_preactivation() -> None:
    D = Discriminator(config(16))
    assert [block.preactivation for block in D.blocks] == [False, True, True, True]
    assert D.blocks[-1].shortcut is None


def test_wrong_labels_fail_loudly() -> None:
    c = config(8)
    with pytest.raises(IndexError):
        Generator(c)(torch.randn(1, c.z_dim), torch.tensor([3]))

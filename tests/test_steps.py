import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from biggan.config import BigGANConfig
from biggan.ema import ramped_decay, update_ema
from biggan.losses import hinge_d_loss, hinge_g_loss
from biggan.state import TrainState, new_state
from biggan.steps import DBatch, GBatch, discriminator_step, generator_step


@pytest.fixture
def state(tiny: BigGANConfig) -> TrainState:
    return new_state(tiny, 0, torch.device("cpu"), torch.float64)


def d_batch(count: int = 4, seed: int = 0) -> DBatch:
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(count, 1, 8, 8, generator=g, dtype=torch.float64) * 2 - 1
    y = torch.randint(10, (count,), generator=g)
    return DBatch(x, y, torch.randn(count, 8, generator=g, dtype=torch.float64), y.flip(0))


def gradients(network: torch.nn.Module) -> list[Tensor]:
    return [p.grad.clone() for p in network.parameters() if p.grad is not None]


def test_hinge_losses_are_the_formulas() -> None:
    real, fake = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 1.0])
    assert float(hinge_d_loss(real, fake)) == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 1 + 2) / 3)
    assert float(hinge_g_loss(fake)) == pytest.approx(2 / 3)


def test_the_discriminator_step_is_the_gradient_of_the_hinge_loss(state: TrainState) -> None:
    batch, twin = d_batch(), copy.deepcopy(state)
    metrics = discriminator_step(state, [batch])
    G, D = twin.G.train(), twin.D.train()
    with torch.no_grad():
        fake = G(batch.z, batch.fake_y)
    logits = D(torch.cat([fake, batch.x]), torch.cat([batch.fake_y, batch.y]))
    loss = F.relu(1 - logits[4:]).mean() + F.relu(1 + logits[:4]).mean()
    expected = torch.autograd.grad(loss, list(D.parameters()))
    for ours, theirs in zip(gradients(state.D), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert float(metrics["d_loss"]) == pytest.approx(loss.item())
    assert all(p.grad is None for p in state.G.parameters())
    assert not torch.equal(state.G.output_bn.running_mean, torch.zeros(8))      # G ran in training mode


def test_the_generator_step_gives_d_no_gradient(state: TrainState) -> None:
    before = copy.deepcopy(state.D.state_dict())
    batch = d_batch()
    generator_step(state, [GBatch(batch.z, batch.y)])
    assert all(p.grad is None for p in state.D.parameters())
    moved = {key for key, value in state.D.state_dict().items() if not torch.equal(value, before[key])}
    assert moved
    assert all(key.endswith(".u") for key in moved)
    assert all(p.grad is not None for p in state.G.parameters())


def test_micro_batches_accumulate_to_the_mean_gradient(state: TrainState) -> None:
    parts = [d_batch(seed=i) for i in range(3)]
    twin = copy.deepcopy(state)
    discriminator_step(state, parts)
    total = [torch.zeros_like(p) for p in twin.D.parameters()]
    for part in parts:
        with torch.no_grad():
            fake = twin.G.train()(part.z, part.fake_y)
        logits = twin.D.train()(torch.cat([fake, part.x]), torch.cat([part.fake_y, part.y]))
        loss = hinge_d_loss(logits[4:], logits[:4]) / 3
        for accumulated, gradient in zip(total, torch.autograd.grad(loss, list(twin.D.parameters())), strict=True):
            accumulated += gradient
    for ours, theirs in zip(gradients(state.D), total, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert float(next(iter(state.d_optimizer.state.values()))["step"]) == 1


def test_adam_is_the_papers(state: TrainState, tiny: BigGANConfig) -> None:
    for optimizer, lr in ((state.g_optimizer, tiny.g_lr), (state.d_optimizer, tiny.d_lr)):
        (group,) = optimizer.param_groups
        assert (group["lr"], group["betas"], group["eps"], group["weight_decay"]) == (lr, (0.0, 0.999), 1e-6, 0)


def test_bf16_steps_keep_float32_weights_and_finite_losses(tiny: BigGANConfig) -> None:
    state = new_state(tiny, 0, torch.device("cpu"))
    batch = d_batch()
    d = DBatch(batch.x.float(), batch.y, batch.z.float(), batch.fake_y)
    metrics = discriminator_step(state, [d], bf16=True) | generator_step(state, [GBatch(d.z, d.y)], bf16=True)
    assert all(bool(torch.isfinite(value)) for value in metrics.values())
    assert all(p.dtype == torch.float32 for p in state.G.parameters())


def test_the_moving_average_averages_weights_and_copies_buffers(state: TrainState) -> None:
    start = [p.clone() for p in state.G_ema.parameters()]
    with torch.no_grad():
        for p in state.G.parameters():
            p.add_(1)
        state.G.linear.u.fill_(7)
    update_ema(state.G_ema, state.G, 0.9)
    for average, before in zip(state.G_ema.parameters(), start, strict=True):
        torch.testing.assert_close(average, before + 0.1)
    assert torch.equal(state.G_ema.linear.u, state.G.linear.u)


def test_the_ramp_limits_the_half_life_to_a_share_of_the_images() -> None:
    assert ramped_decay(0.999, 64, 0, 0.0) == 0.999
    assert ramped_decay(0.999, 64, 0, 0.1) == 0
    decay = ramped_decay(0.999, 64, 6400, 0.1)
    assert decay ** (640 / 64) == pytest.approx(0.5)           # 640 images are a tenth of 6,400
    assert ramped_decay(0.999, 64, 10**9, 0.1) == 0.999


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator(tiny: BigGANConfig) -> None:
    before = torch.get_rng_state()
    first, second, other = (new_state(tiny, seed, torch.device("cpu")) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.G.linear.weight, second.G.linear.weight)
    assert not torch.equal(first.G.linear.weight, other.G.linear.weight)

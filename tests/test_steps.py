import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from biggan.augment import augment
from biggan.config import BigGANConfig, TrainConfig
from biggan.ema import ema_decay, update_ema
from biggan.losses import hinge_d_loss, hinge_g_loss, orthogonal_gradient, top_k_count
from biggan.state import TrainState, new_state
from biggan.steps import (
    D_DRAWS,
    G_DRAWS,
    DBatch,
    GBatch,
    discriminator_step,
    generator_step,
    r1_is_due,
    what_d_sees,
)


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


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator(tiny: BigGANConfig) -> None:
    before = torch.get_rng_state()
    first, second, other = (new_state(tiny, seed, torch.device("cpu")) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.G.linear.weight, second.G.linear.weight)
    assert not torch.equal(first.G.linear.weight, other.G.linear.weight)


def test_the_moving_average_may_average_buffers_too(state: TrainState) -> None:
    before = state.G_ema.linear.u.clone()
    with torch.no_grad():
        state.G.linear.u.fill_(7)
    update_ema(state.G_ema, state.G, 0.9, "average")
    torch.testing.assert_close(state.G_ema.linear.u, 0.9 * before + 0.7)


def test_the_papers_average_is_a_copy_until_it_starts() -> None:
    assert [ema_decay(clock, 8, 0.9, 24) for clock in (8, 16, 24, 32)] == [0, 0, 0.9, 0.9]


def test_a_half_life_in_images_is_the_same_at_any_batch_size() -> None:
    def weight_left(batch: int) -> float:
        left = 1.0
        for clock in range(batch, 1000 + batch, batch):
            left *= ema_decay(clock, batch, 0.9, 0, half_life=1000, ramp_up=0)
        return left

    assert weight_left(10) == pytest.approx(0.5)
    assert weight_left(50) == pytest.approx(0.5)
    assert ema_decay(1000, 50, 0.9, 0, half_life=1000, ramp_up=0.05) == pytest.approx(0.5)     # 50 images back


# ---- what is added to the objective, against its formula on a twin of the networks -------------------

CLOCK = 400 * 64


def d_gradient(state: TrainState, config: TrainConfig, seed: int = 0) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Our gradient of D, with augmentation draws where the configuration needs them."""
    batch = d_batch(seed=seed)
    draws = torch.rand(4, D_DRAWS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    state.images_seen = CLOCK
    metrics = discriminator_step(state, [dataclasses.replace(batch, draws=draws)], config)
    return gradients(state.D), metrics


def check_d_penalty(
    state: TrainState, config: TrainConfig, penalty: Callable[[TrainState, DBatch, Tensor, Tensor], Tensor]
) -> None:
    """Our gradient is that of the hinge loss plus `penalty`, which sees the twin, the batch, fakes and draws."""
    twin, batch = copy.deepcopy(state), d_batch()
    ours, _ = d_gradient(state, config)
    twin.G.train(), twin.D.train()
    with torch.no_grad():
        fake = twin.G(batch.z, batch.fake_y)
        for u in (m for m in twin.D.modules() if hasattr(m, "normalized_weight")):
            u.normalized_weight()                       # the step's one power iteration ...
        twin.D.eval()
        for m in (m for m in twin.D.modules() if hasattr(m, "normalized_weight")):
            m.normalized_weight = fixed(m)              # ... and its sigma for every pass below
    draws = torch.rand(4, D_DRAWS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    loss = hinge_d_loss(twin.D(batch.x, batch.y), twin.D(fake, batch.fake_y))
    loss = loss + penalty(twin, batch, fake, draws.unflatten(1, (6, 8)))
    expected = torch.autograd.grad(loss, list(twin.D.parameters()))
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b)


def fixed(module: Any) -> Callable[[], Tensor]:
    """W / sigma(W) with sigma by the stored u: what a pass computes whose iteration made that u."""
    W = module.weight.flatten(1)
    u = module.u.clone()
    v = F.normalize(W.T @ u, dim=0).detach()
    return lambda: module.weight / torch.dot(u, module.weight.flatten(1) @ v)


def converged(state: TrainState) -> TrainState:
    """The same with spectral norm's vectors at their limit, so that one more iteration changes nothing."""
    for module in (m for m in state.D.modules() if hasattr(m, "normalized_weight")):
        module.u.copy_(torch.linalg.svd(module.weight.detach().flatten(1)).U[:, 0])
    return state


def test_r1_joins_the_loss(state: TrainState) -> None:
    def r1(twin: TrainState, batch: DBatch, fake: Tensor, draws: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for x, y in zip(batch.x, batch.y, strict=True):
            x = x[None].clone().requires_grad_()
            (g,) = torch.autograd.grad(twin.D(x, y[None])[0], x, create_graph=True)
            total = total + g.pow(2).sum()
        return 0.7 / 2 * 8 * total / 4

    check_d_penalty(converged(state), TrainConfig(r1=0.7, r1_every=8), r1)


def test_r1_is_lazy_and_counts_discriminator_steps() -> None:
    config = TrainConfig(r1=1.0, r1_every=3, d_steps=2, batch_size=8)
    due = [r1_is_due(config, clock, d_step) for clock in (0, 8, 16) for d_step in (0, 1)]
    assert due == [True, False, False, True, False, False]
    assert not r1_is_due(TrainConfig(), 0, 0)


def test_r1_passes_through_attention(tiny: BigGANConfig) -> None:
    state = new_state(dataclasses.replace(tiny, d_attention=(4,)), 0, torch.device("cpu"))
    b = d_batch()
    batch = DBatch(b.x.float(), b.y, b.z.float(), b.fake_y)
    metrics = discriminator_step(state, [batch], TrainConfig(r1=1.0), bf16=True)
    assert bool(torch.isfinite(metrics["r1"]).all())
    assert all(bool(torch.isfinite(p.grad).all()) for p in state.D.parameters())


def test_consistency_compares_logits_of_transformed_images(state: TrainState) -> None:
    def bcr(twin: TrainState, batch: DBatch, fake: Tensor, draws: Tensor) -> Tensor:
        names = ("flip", "translation")
        real = twin.D(batch.x, batch.y) - twin.D(augment(batch.x, draws[:, 0], names), batch.y)
        false = twin.D(fake, batch.fake_y) - twin.D(augment(fake, draws[:, 1], names), batch.fake_y)
        return 3 * real.pow(2).mean() + 5 * false.pow(2).mean()

    check_d_penalty(converged(state), TrainConfig(consistency_real=3, consistency_fake=5), bcr)


def test_lecam_holds_logits_near_their_averages(state: TrainState) -> None:
    state.lecam.copy_(torch.tensor([0.3, -0.2]))

    def lecam(twin: TrainState, batch: DBatch, fake: Tensor, draws: Tensor) -> Tensor:
        real, false = twin.D(batch.x, batch.y), twin.D(fake, batch.fake_y)
        return 0.5 * ((real + 0.2).clamp(min=0).pow(2).mean() + (0.3 - false).clamp(min=0).pow(2).mean())

    check_d_penalty(converged(state), TrainConfig(lecam=0.5, lecam_start=1), lecam)


def test_lecams_averages_follow_the_logits(state: TrainState) -> None:
    config = TrainConfig(lecam=0.5, lecam_start=1, lecam_decay=0.9)
    state.lecam.copy_(torch.tensor([1.0, 2.0]))
    _, metrics = d_gradient(state, config)
    now = torch.stack([metrics["real_logits"][0], metrics["fake_logits"][0]])
    torch.testing.assert_close(state.lecam, 0.9 * torch.tensor([1.0, 2.0], dtype=torch.float64) + 0.1 * now)
    _, metrics = d_gradient(state, dataclasses.replace(config, lecam_start=0))      # it has not begun yet
    assert "lecam" not in metrics
    torch.testing.assert_close(state.lecam, torch.stack([metrics["real_logits"][0], metrics["fake_logits"][0]]))


def test_all_that_d_sees_is_augmented(state: TrainState) -> None:
    batch, fake = d_batch(), torch.zeros(4, 1, 8, 8, dtype=torch.float64)
    draws = torch.rand(4, D_DRAWS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    batch = dataclasses.replace(batch, draws=draws)
    config = TrainConfig(augment=("color",), consistency_real=1, consistency_fake=1)
    images, labels = what_d_sees(batch.x, fake, batch, config)
    u = draws.unflatten(1, (6, 8))
    torch.testing.assert_close(images[0], augment(fake, u[:, 2], ("color",)))
    torch.testing.assert_close(images[1], augment(batch.x, u[:, 3], ("color",)))
    twin = augment(batch.x, u[:, 0], config.consistency_augment)
    torch.testing.assert_close(images[2], augment(twin, u[:, 4], ("color",)))
    assert [torch.equal(y, batch.y) for y in (labels[1], labels[2])] == [True, True]


def test_g_learns_through_the_augmentation(state: TrainState) -> None:
    batch, twin = d_batch(), copy.deepcopy(state)
    draws = torch.rand(4, G_DRAWS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    names = ("color", "translation", "cutout")
    generator_step(state, [GBatch(batch.z, batch.y, draws)], TrainConfig(augment=names))
    loss = hinge_g_loss(twin.D.train()(augment(twin.G.train()(batch.z, batch.y), draws, names), batch.y))
    for ours, theirs in zip(gradients(state.G), torch.autograd.grad(loss, list(twin.G.parameters())), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_top_k_learns_from_the_best_fakes(state: TrainState) -> None:
    batch, twin = d_batch(), copy.deepcopy(state)
    generator_step(state, [GBatch(batch.z, batch.y)], TrainConfig(top_k=0.5))
    logits = twin.D.train()(twin.G.train()(batch.z, batch.y), batch.y)
    loss = -logits.sort(descending=True).values[:2].mean()
    for ours, theirs in zip(gradients(state.G), torch.autograd.grad(loss, list(twin.G.parameters())), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_top_k_is_reached_linearly() -> None:
    assert [top_k_count(clock, 64, 0.5, 1000) for clock in (0, 500, 1000, 2000)] == [64, 48, 32, 32]
    assert top_k_count(0, 64, 0.5, 0) == 32
    assert top_k_count(0, 1, 0.1, 0) == 1


def test_clipping_bounds_the_gradient(state: TrainState) -> None:
    batch = d_batch()
    config = TrainConfig(g_clip=1e-3, d_clip=1e-3, d_ortho=0.1)
    norms = discriminator_step(state, [batch], config) | generator_step(state, [GBatch(batch.z, batch.y)], config)
    for network, name in ((state.D, "d_grad_norm"), (state.G, "g_grad_norm")):
        norm = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]).norm()
        assert float(norms[name]) > 1e-3
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_orthogonal_regularization_is_added_once_whatever_the_micro_batches(state: TrainState) -> None:
    parts, plain = [d_batch(seed=i) for i in range(2)], copy.deepcopy(state)
    before = state.D.blocks[1].conv1.weight.detach().clone()
    discriminator_step(state, parts, TrainConfig(d_ortho=0.25, ortho="full"))
    discriminator_step(plain, parts)
    added = state.D.blocks[1].conv1.weight.grad - plain.D.blocks[1].conv1.weight.grad
    torch.testing.assert_close(added, 0.25 * orthogonal_gradient(before, "full"))


def test_everything_combines(state: TrainState) -> None:
    config = TrainConfig(
        objective="non-saturating", label_smoothing=0.1, r1=1, lecam=0.3, lecam_start=1, consistency_real=10,
        consistency_fake=10, augment=("color", "translation", "cutout"), top_k=0.5, g_ortho=1e-4, d_ortho=1e-4,
        g_clip=1, d_clip=1,
    )  # fmt: skip
    _, metrics = d_gradient(state, config)
    assert {"r1", "lecam", "cr", "bcr", "d_grad_norm"} <= metrics.keys()
    batch = d_batch()
    metrics |= generator_step(state, [GBatch(batch.z, batch.y, torch.rand(4, G_DRAWS))], config)
    assert all(bool(torch.isfinite(values).all()) for values in metrics.values())

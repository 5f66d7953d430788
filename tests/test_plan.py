import dataclasses

import pytest
import torch

from biggan.config import BigGANConfig, TrainConfig
from biggan.networks import Discriminator, Generator
from biggan.plan import LiveBytes, largest_microbatch, peak, plan


def test_a_plan_counts_what_the_networks_have(tiny: BigGANConfig) -> None:
    made = plan(tiny, TrainConfig(batch_size=8), 4, bf16=False)
    for which, network in (("G", Generator(tiny)), ("D", Discriminator(tiny))):
        rows = [row for row in made.layers if row.name.startswith(which)]
        assert sum(row.parameters for row in rows) == sum(p.numel() for p in network.parameters())
    by_name = {row.name: row for row in made.layers}
    z, width, image = tiny.z_dim // tiny.z_chunks, tiny.g_channels, 3 * 3 * tiny.g_channels[-1] * 8 * 8

    assert by_name["G.linear"].flops == 2 * z * width[0] * 16
    assert by_name["G, the rest"].flops == pytest.approx(2 * image, rel=0.1)        # the last convolution
    state = sum(p.nbytes for p in (*Generator(tiny).parameters(), *Discriminator(tiny).parameters()))
    assert 4 * state <= made.state < made.peak


def test_arithmetic_is_that_of_the_fused_forms_whatever_form_is_the_faster(tiny: BigGANConfig) -> None:
    # Few positions: in bf16 the networks would take the textbook's form, which multiplies 9/4 times as often.
    low, full = (plan(tiny, TrainConfig(batch_size=4), 4, bf16=bf16) for bf16 in (True, False))
    assert low.flops == full.flops
    assert [row.flops for row in low.layers] == [row.flops for row in full.layers]


def test_the_peak_grows_with_the_micro_batch_and_shrinks_with_checkpointing(tiny: BigGANConfig) -> None:
    network = dataclasses.replace(tiny, resolution=16, z_dim=9, g_ch=8, d_ch=8)
    config = TrainConfig(batch_size=48)
    peaks = {n: peak(network, config, n, bf16=False) for n in (8, 16, 24)}
    assert peaks[24] - peaks[16] == pytest.approx(peaks[16] - peaks[8], rel=0.1)
    again = peak(network, dataclasses.replace(config, checkpoint_activations=True), 24, bf16=False)
    assert again < 0.9 * peaks[24]
    assert largest_microbatch(network, config, False, peaks[16]) == 16
    assert largest_microbatch(network, config, False, 1000) == 0


def test_live_bytes_come_and_go() -> None:
    with LiveBytes() as live:
        a = torch.zeros(100)
        b = a.view(10, 10)
        assert live.now == 400
        c = a + 1
        assert (live.now, live.peak) == (800, 800)
        del a, b
        assert live.now == 400
        del c
    assert (live.now, live.peak) == (0, 800)

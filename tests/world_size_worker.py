"""Three iterations of everything in float64, in as many processes as there are: `world_size_worker.py FOLDER`."""

import dataclasses
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from biggan import distributed
from biggan.accelerate import accelerate
from biggan.config import BigGANConfig, TrainConfig
from biggan.data import open_dataset
from biggan.feed import discriminator_batches, generator_batches
from biggan.finetuning import freeze
from biggan.sharding import is_part, whole
from biggan.state import TrainState, new_state
from biggan.steps import DBatch, GBatch, discriminator_step, generator_step
from biggan.training import update_average

NETWORK = BigGANConfig(
    resolution=8, image_channels=1, num_classes=10, z_dim=9, shared_dim=6, g_ch=2, d_ch=2,
    base_resolution=2, g_attention=(8,), d_attention=(4,), g_lr=1e-3, d_lr=1e-3,
)  # fmt: skip
PLAIN = TrainConfig(batch_size=8, d_steps=2, ema_decay=0.9, flip=True)
EVERYTHING = dataclasses.replace(
    PLAIN, real_labels="sqrt", fake_labels="natural",
    r1=0.5, r1_every=2, lecam=0.3, lecam_start=1, consistency_real=1, consistency_fake=1, top_k=0.5,
    augment=("color", "translation", "cutout"), g_ortho=1e-3, d_ortho=1e-3, g_clip=10, d_clip=10,
)  # fmt: skip
SHARDED = dataclasses.replace(EVERYTHING, r1=0, shard=True, checkpoint_activations=True)
FROZEN = dataclasses.replace(PLAIN, init="weights", freeze_d=8, freeze_g=8)
CASES = {
    f"{name}-{micro}": dataclasses.replace(config, microbatch_size=micro)
    for name, config in (("plain", PLAIN), ("everything", EVERYTHING), ("sharded", SHARDED))
    for micro in (4, 8)
} | {
    "frozen-8": dataclasses.replace(FROZEN, microbatch_size=8),
    "frozen-sharded-8": dataclasses.replace(FROZEN, microbatch_size=8, shard=True),
}


def double(batch: DBatch | GBatch) -> DBatch | GBatch:
    """The same batch in float64."""
    values = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    return type(batch)(**{k: v.double() if v is not None and v.is_floating_point() else v for k, v in values.items()})


def trained(config: TrainConfig) -> TrainState:
    """Three iterations from the seed's weights."""
    data = open_dataset("digits", resolution=8, channels=1)
    state = new_state(NETWORK, 0, torch.device("cpu"), torch.float64)
    if config.shard and distributed.world_size() > 1:
        state.shard(torch.device("cpu"))
        assert all(is_part(p) is (p.ndim > 0) for net in (state.G, state.D, state.G_ema) for p in net.parameters())
    freeze(state, config)
    accelerate(state, config)
    state.parallelise()
    for _ in range(3):
        for d_step in range(config.d_steps):
            batches = [double(b) for b in discriminator_batches(state, config, data, d_step)]
            discriminator_step(state, batches, config, d_step=d_step)
        generator_step(state, [double(b) for b in generator_batches(state, config, data)], config)
        state.images_seen += config.batch_size
        update_average(state, config)
    return state


def main(folder: Path) -> None:
    with distributed.process_group(torch.device("cpu")):
        for name, config in CASES.items():
            tensors = {key: whole(value).detach().clone() for key, value in trained(config).tensors().items()}
            for key, value in tensors.items():
                everywhere = distributed.gather(value[None])
                assert all(torch.equal(value, other) for other in everywhere), f"{name}: {key} differs between ranks"
            if distributed.is_first():
                save_file(tensors, folder / f"{name}.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))

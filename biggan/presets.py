"""The recipes: one function each, returning complete configurations.

preset           px   RGB  width  z    batch  D steps  lr G / D         iterations  source
---------------  ---  ---  -----  ---  -----  -------  ---------------  ----------  -----------------------------------
digits           16   1    16     60   64     1        2e-4 / 8e-4      1,800       docs/experiments.md
fashion          32   1    16     80   32     2        2e-4 / 2e-4      40,000      docs/experiments.md
cifar10          32   3    64     128  50     4        2e-4 / 2e-4      125,000     ajbrock's CIFAR script, with skip-z
biggan-64        64   3    64     100  256    1        1e-4 / 4e-4      100,000     ajbrock's tables, SA-GAN's rates
biggan-128       128  3    96     120  2048   2        5e-5 / 2e-4      150,000     Brock et al. 2019, table 1, row 8
biggan-256       256  3    96     140  2048   2        5e-5 / 2e-4      150,000     Brock et al. 2019, table 5
biggan-512       512  3    96     160  2048   2        5e-5 / 2e-4      150,000     Brock et al. 2019, table 6
biggan-deep-128  128  3    128    128  2048   2        5e-5 / 2e-4      150,000     Brock et al. 2019, table 7
biggan-deep-256  256  3    128    128  2048   2        2.5e-5 / 2.5e-5  150,000     Brock et al. 2019, table 8
biggan-deep-512  512  3    128    128  2048   2        2.5e-5 / 2.5e-5  150,000     Brock et al. 2019, table 9
"""

import dataclasses
from collections.abc import Callable

from biggan.config import BigGANConfig, TrainConfig, unknown_name
from biggan.errors import UserError

Recipe = tuple[BigGANConfig, TrainConfig]

FASHION_CLASSES = (
    "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


def digits() -> Recipe:
    """Handwritten digits at 16 px: minutes on two CPU cores."""
    network = BigGANConfig(
        resolution=16, image_channels=1, num_classes=10,
        z_dim=60, shared_dim=32, g_ch=16, d_ch=16, g_attention=(), d_attention=(),
        g_lr=2e-4, d_lr=8e-4,
    )  # fmt: skip
    train = TrainConfig(
        data="digits", images=64 * 1_800, batch_size=64, d_steps=1, ema_half_life=44_352, ema_ramp_up=0.08,
        log_every=64 * 50, preview_every=64 * 300, checkpoint_every=64 * 300,
    )  # fmt: skip
    return network, train


def fashion() -> Recipe:
    """Fashion-MNIST at 32 px, from its IDX files: the model in the package."""
    network = BigGANConfig(
        resolution=32, image_channels=1, num_classes=10,
        z_dim=80, shared_dim=64, g_ch=16, d_ch=16, g_attention=(), d_attention=(),
        g_lr=2e-4, d_lr=2e-4,
    )  # fmt: skip
    train = TrainConfig(
        data="/usr/share/datasets/fashion-mnist", fit="pad", class_names=FASHION_CLASSES,
        images=32 * 40_000, batch_size=32, d_steps=2, ema_half_life=44_352, ema_ramp_up=0.08,
        log_every=32 * 100, preview_every=32 * 1_000, checkpoint_every=32 * 1_000,
    )  # fmt: skip
    return network, train


def cifar10() -> Recipe:
    """CIFAR-10, or any small colour images, at 32 px."""
    network = BigGANConfig(
        resolution=32, num_classes=10,
        z_dim=128, shared_dim=128, g_ch=64, d_ch=64, g_attention=(), d_attention=(),
        g_lr=2e-4, d_lr=2e-4, adam_eps=1e-8,
    )  # fmt: skip
    train = TrainConfig(
        data="", flip=True, images=50 * 125_000, batch_size=50, d_steps=4, ema_decay=0.9999, ema_start=50 * 1_000,
        log_every=50 * 100, preview_every=50 * 1_000, checkpoint_every=50 * 2_000,
    )  # fmt: skip
    return network, train


def biggan_64() -> Recipe:
    """64 px colour images on one GPU."""
    network = BigGANConfig(
        resolution=64, z_dim=100, g_ch=64, d_ch=64, g_attention=(32,), d_attention=(32,), g_lr=1e-4, d_lr=4e-4,
    )  # fmt: skip
    train = TrainConfig(
        data="", flip=True, images=256 * 100_000, batch_size=256, microbatch_size=64,
        ema_decay=0.9999, ema_start=256 * 10_000,
        log_every=256 * 50, preview_every=256 * 1_000, checkpoint_every=256 * 1_000,
    )  # fmt: skip
    return network, train


def biggan_128() -> Recipe:
    """The paper's ImageNet model at 128 px."""
    return BigGANConfig(), _paper(microbatch_size=32)


def biggan_256() -> Recipe:
    """The paper's ImageNet model at 256 px; attention one stage up, at 128 px, in G."""
    return BigGANConfig(resolution=256, z_dim=140, g_attention=(128,)), _paper(microbatch_size=16)


def biggan_512() -> Recipe:
    """The paper's ImageNet model at 512 px."""
    return BigGANConfig(resolution=512, z_dim=160), _paper(microbatch_size=8)


def biggan_deep_128() -> Recipe:
    """The paper's deeper ImageNet model at 128 px: better images from half the parameters."""
    return _deep(resolution=128), _paper(microbatch_size=32)


def biggan_deep_256() -> Recipe:
    """The paper's deeper ImageNet model at 256 px."""
    return _deep(resolution=256, g_lr=2.5e-5, d_lr=2.5e-5), _paper(microbatch_size=16)


def biggan_deep_512() -> Recipe:
    """The paper's deeper ImageNet model at 512 px."""
    return _deep(resolution=512, g_lr=2.5e-5, d_lr=2.5e-5), _paper(microbatch_size=8)


def _deep(resolution: int, g_lr: float = 5e-5, d_lr: float = 2e-4) -> BigGANConfig:
    return BigGANConfig(
        architecture="biggan-deep", resolution=resolution, g_ch=128, d_ch=128,
        z_dim=128, skip_z="whole", linear_input="z+class", g_lr=g_lr, d_lr=d_lr,
    )  # fmt: skip


def _paper(microbatch_size: int) -> TrainConfig:
    return TrainConfig(
        data="", flip=True, images=2048 * 150_000, batch_size=2048, microbatch_size=microbatch_size, d_steps=2,
        ema_decay=0.9999, ema_start=2048 * 20_000,
        log_every=2048 * 10, preview_every=2048 * 500, checkpoint_every=2048 * 500,
    )  # fmt: skip


PRESETS: dict[str, Callable[[], Recipe]] = {
    "digits": digits,
    "fashion": fashion,
    "cifar10": cifar10,
    "biggan-64": biggan_64,
    "biggan-128": biggan_128,
    "biggan-256": biggan_256,
    "biggan-512": biggan_512,
    "biggan-deep-128": biggan_deep_128,
    "biggan-deep-256": biggan_deep_256,
    "biggan-deep-512": biggan_deep_512,
}


def preset(name: str) -> Recipe:
    """The recipe of that name; UserError if there is none."""
    if name not in PRESETS:
        raise UserError(unknown_name(name, PRESETS, "preset"))
    return PRESETS[name]()


def with_overrides(recipe: Recipe, values: dict[str, object]) -> Recipe:
    """The recipe with some fields changed, given by their flat names; `steps` is sugar for `images`."""
    network, train = recipe
    values = dict(values)
    network_names = {f.name for f in dataclasses.fields(BigGANConfig)}
    train_names = {f.name for f in dataclasses.fields(TrainConfig)}
    for name in values:
        if name not in network_names | train_names | {"steps"}:
            raise UserError(unknown_name(name, network_names | train_names | {"steps"}, "field"))
    steps = values.pop("steps", None)
    if steps is not None:
        if "images" in values:
            raise UserError("--steps and --images are two ways to say one thing; give one of them")
        if not isinstance(steps, int) or steps < 1:
            raise UserError(f"--steps {steps} must be a whole number of at least 1")
        values["images"] = steps * int(str(values.get("batch_size", train.batch_size)))
    for_network = {name: value for name, value in values.items() if name in network_names}
    for_train = {name: value for name, value in values.items() if name in train_names}
    return dataclasses.replace(network, **for_network), dataclasses.replace(train, **for_train)  # type: ignore[arg-type]

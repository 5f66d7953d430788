import dataclasses
import math
import re
from typing import Any

import pytest

from biggan.auto.choose import ENOUGH, choose, shapes
from biggan.data.survey import Survey
from biggan.errors import UserError
from biggan.presets import Recipe

PHOTOS = Survey("photos", (500,) * 8, 300, 400, one_size=False, one_aspect=False, channels=3)


class FakeMachine:
    """Time and memory in proportion to pixels, images and widths."""

    def __init__(self, speed: float = 1.0, gigabytes: float = 100.0, accelerated: bool = False) -> None:
        self.speed, self.memory, self.accelerated = speed, int(gigabytes * 2**30), accelerated
        self.timed: list[tuple[int, int]] = []

    def seconds(self, recipe: Recipe) -> float:
        network, config = recipe
        self.timed.append((network.resolution, network.g_ch))
        cost = math.prod(network.image_shape) / 32**2 * (network.g_ch / 16) ** 1.5 * config.batch_size / 64
        return 0.3 * cost / self.speed

    def bytes(self, recipe: Recipe) -> int:
        network, config = recipe
        images = config.microbatch_size or config.batch_size
        return int(2**20 * images * network.g_ch / 16 * 3 * math.prod(network.image_shape) / 32**2)


def chosen(data: Survey, machine: FakeMachine | None = None, minutes: float | None = 20, **given: Any) -> Recipe:
    return choose(data, machine or FakeMachine(), minutes, given).recipe


def reasons(data: Survey, machine: FakeMachine | None = None, minutes: float | None = 20, **given: Any) -> str:
    return "\n".join(choose(data, machine or FakeMachine(), minutes, given).reasons)


def test_time_sets_the_size_and_then_the_width() -> None:
    sizes = [chosen(PHOTOS, FakeMachine(speed)) for speed in (0.1, 1, 4, 300)]
    assert [network.resolution for network, _ in sizes] == [16, 32, 64, 256]
    assert [network.g_ch for network, _ in sizes] == [16, 16, 16, 16]
    network, config = chosen(PHOTOS, FakeMachine(300), resolution=64)
    assert (network.resolution, network.g_ch, network.d_ch, network.g_attention) == (64, 96, 96, (32,))
    assert config.images // config.batch_size >= ENOUGH
    assert "32 x 32: 48 x 48 would need 33 minutes for 2,500 iterations (--minutes)" in reasons(PHOTOS)


def test_nothing_larger_is_timed_once_something_is_too_slow() -> None:
    machine = FakeMachine()
    chosen(PHOTOS, machine)
    assert max(machine.timed)[0] == 48


def test_the_run_takes_about_the_minutes_it_was_given() -> None:
    machine = FakeMachine()
    network, config = chosen(PHOTOS, machine, 40)
    spent = config.images / config.batch_size * machine.seconds((network, config)) / 60
    assert 30 < spent < 40
    assert config.images % config.batch_size == config.checkpoint_every % config.batch_size == 0
    assert chosen(PHOTOS, None, None)[1].images == chosen(PHOTOS, None, 60)[1].images
    short = reasons(PHOTOS, FakeMachine(0.05), 5)
    assert re.search(r"that is short: .* about 2,500; give --minutes \d+", short)


@pytest.mark.parametrize(
    ("gigabytes", "resolution", "micro"), [(10, 128, 0), (2, 128, 32), (0.5, 128, 8), (0.2, 64, 8), (0.3, 64, 16)]
)
def test_what_does_not_fit_into_memory_is_made_smaller(gigabytes: float, resolution: int, micro: int) -> None:
    machine = FakeMachine(100, gigabytes)
    network, config = chosen(PHOTOS, machine, resolution=resolution)
    assert config.microbatch_size == micro
    assert machine.bytes((network, config)) <= 0.8 * machine.memory


def test_less_memory_means_smaller_images_then_a_refusal() -> None:
    fast = 10_000
    assert chosen(PHOTOS, FakeMachine(fast, 0.5))[0].resolution == 128
    text = reasons(PHOTOS, FakeMachine(fast, 0.05))
    assert re.search(r"^\d+ x \d+: \d+ x \d+ does not fit into the 0.05 GB of memory", text, re.MULTILINE)
    assert "micro-batches of 8, so that memory suffices" in text
    with pytest.raises(UserError, match=r"not even 16 x 16 images train in the 0\.001 GB of memory that are left"):
        chosen(PHOTOS, FakeMachine(fast, 0.001))


@pytest.mark.parametrize(
    ("height", "width", "sizes"),
    [
        (28, 28, ["16 x 16", "32 x 32"]),
        (8, 8, ["16 x 16"]),
        (100, 100, ["16 x 16", "32 x 32", "48 x 48", "64 x 64", "96 x 96"]),
        (64, 96, ["16 x 24", "32 x 48", "64 x 96"]),
        (120, 96, ["20 x 16", "40 x 32", "80 x 64"]),
    ],
)
def test_sizes_are_those_that_images_fill(height: int, width: int, sizes: list[str]) -> None:
    data = dataclasses.replace(PHOTOS, height=height, width=width, one_aspect=True)
    assert [str(shape) for shape in shapes(data, {})] == sizes


def test_images_of_any_aspect_become_squares() -> None:
    assert all(shape.base in ((4, 4), (6, 6)) for shape in shapes(PHOTOS, {}))


def test_small_drawings_are_padded_and_photos_cropped() -> None:
    drawings = Survey("idx", (6000,) * 10, 28, 28, one_size=True, one_aspect=True, channels=1)
    network, config = chosen(drawings, FakeMachine(3))
    assert (network.resolution, network.image_channels, config.fit, config.flip) == (32, 1, "pad", False)
    assert chosen(PHOTOS)[1].fit == "crop"


def test_little_data_is_augmented() -> None:
    little = dataclasses.replace(PHOTOS, counts=(100,) * 4)
    _, config = chosen(little)
    assert config.augment == ("translation", "cutout", "color")
    assert (config.lecam, config.batch_size) == (0.3, 64)
    assert config.images <= 1_000 * 400
    assert chosen(dataclasses.replace(little, channels=1))[1].augment == ("translation", "cutout")
    much = dataclasses.replace(PHOTOS, counts=(50_000,) * 4)
    assert chosen(much)[1].augment == ()
    assert chosen(dataclasses.replace(PHOTOS, counts=(20, 30)))[1].batch_size == 16


def test_uneven_classes_are_drawn_by_the_root_of_their_size() -> None:
    uneven = dataclasses.replace(PHOTOS, counts=(5000, 100, 10))
    _, config = chosen(uneven)
    assert (config.real_labels, config.fake_labels) == ("sqrt", "sqrt")
    text = reasons(uneven)
    assert "the largest is 500 times the smallest" in text
    assert "the smallest class has 10 images: expect little variety there" in text
    assert chosen(PHOTOS)[1].real_labels == "natural"


def test_with_little_time_batches_are_smaller() -> None:
    tiny = dataclasses.replace(PHOTOS, height=16, width=16)
    assert [chosen(tiny, FakeMachine(), minutes)[1].batch_size for minutes in (5, 2.5, 0.5)] == [64, 32, 16]
    assert "batches of 16, not 64: in little time more iterations are worth more" in reasons(tiny, minutes=0.5)
    assert chosen(tiny, FakeMachine(), 0.5, batch_size=64)[1].batch_size == 64
    assert chosen(tiny, FakeMachine(), None, steps=50)[1].batch_size == 64
    machine = FakeMachine()
    machine.seconds = lambda recipe: 1.0            # type: ignore[method-assign]
    assert chosen(tiny, machine, 0.5)[1].batch_size == 64       # no faster, so not worth it


def test_what_the_user_gives_stays() -> None:
    network, config = chosen(PHOTOS, g_ch=8, d_ch=8, g_lr=1e-3, batch_size=32, steps=70, augment=("flip",))
    assert (network.g_ch, network.d_ch, network.g_lr, config.batch_size) == (8, 8, 1e-3, 32)
    assert (config.images, config.augment) == (70 * 32, ("flip",))
    assert "70 iterations, as you said" in reasons(PHOTOS, steps=70)
    assert chosen(PHOTOS, g_ch=24)[0].d_ch == 24
    assert chosen(PHOTOS, resolution=96)[0].image_shape == (96, 96)
    assert chosen(PHOTOS, resolution=32, base_resolution=4, base_width=6)[0].image_shape == (32, 48)
    with pytest.raises(UserError, match="--resolution 100 is not 4 x 2"):
        chosen(PHOTOS, resolution=100)
    with pytest.raises(UserError, match="--minutes -1 must be greater than 0"):
        chosen(PHOTOS, None, -1)


def test_an_accelerator_gets_larger_batches() -> None:
    assert chosen(PHOTOS, FakeMachine(100, accelerated=True))[1].batch_size == 128
    many = dataclasses.replace(PHOTOS, counts=(100_000,))
    assert chosen(many, FakeMachine(100, accelerated=True))[1].batch_size == 256


@pytest.mark.parametrize(
    ("size", "base"), [((32, 32), (4, 4)), ((48, 48), (6, 6)), ((64, 96), (4, 6)), ((20, 40), (5, 10))]
)
def test_a_packed_set_has_one_size(size: tuple[int, int], base: tuple[int, int]) -> None:
    packed = dataclasses.replace(PHOTOS, height=size[0], width=size[1], packed=True)
    network, _ = chosen(packed, FakeMachine(0.1))
    assert network.image_shape == size
    assert network.base_shape == base
    assert "as the set is packed" in reasons(packed)


def test_a_packed_set_that_no_network_draws_is_refused() -> None:
    with pytest.raises(UserError, match="packed at 50 x 50, which does not halve often enough; pack it again"):
        chosen(dataclasses.replace(PHOTOS, height=50, width=50, packed=True))

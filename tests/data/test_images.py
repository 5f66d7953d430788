import io

import numpy as np
import pytest
from PIL import Image

from biggan.data.images import prepare


def gradient(size: int = 16) -> np.ndarray:
    return np.tile(np.linspace(0, 255, size).astype(np.uint8), (size, 1))


def encoded(image: Image.Image, kind: str, **options: object) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Image.open(io.BytesIO(buffer.getvalue()))


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F"])
def test_every_mode_becomes_what_the_model_wants(mode: str, channels: int) -> None:
    image = Image.fromarray(gradient())
    if mode == "I;16":
        image = Image.fromarray(gradient().astype(np.uint16) * 257)
    elif mode == "I":
        image = Image.fromarray(gradient().astype(np.int32) * 257)
    elif mode == "F":
        image = Image.fromarray(gradient().astype(np.float32) / 255)
    else:
        image = image.convert("RGB").convert(mode) if mode in ("CMYK", "YCbCr") else image.convert(mode)
    pixels = prepare(image, 16, channels, "crop")
    assert pixels.shape == (channels, 16, 16)
    assert pixels.dtype == np.uint8
    if mode != "1":
        assert np.abs(pixels[0].astype(int) - gradient()).max() <= 4


def test_sixteen_bits_keep_their_range() -> None:
    png = encoded(Image.fromarray(gradient().astype(np.uint16) * 257), "PNG")
    assert png.mode.startswith("I")
    assert np.array_equal(prepare(png, 16, 1, "crop")[0], gradient())


def test_exif_orientation_is_applied() -> None:
    image = Image.fromarray(gradient()).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6            # the camera was turned: show it rotated by 90 degrees
    turned = encoded(image, "PNG", exif=exif)
    assert np.array_equal(prepare(turned, 16, 1, "crop")[0], np.rot90(gradient(), -1))


def test_transparency_is_laid_over_white_or_kept() -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert prepare(image, 8, 3, "crop").min() == 255
    assert prepare(image, 8, 4, "crop")[3].max() == 0


def test_crop_takes_the_centre_square() -> None:
    wide = np.zeros((8, 24), np.uint8)
    wide[:, 8:16] = 200
    assert prepare(Image.fromarray(wide), 8, 1, "crop").min() == 200


@pytest.mark.parametrize("size", [5, 28, 31, 32, 50])
def test_pad_keeps_the_pixels_of_small_images(size: int) -> None:
    drawing = np.zeros((size, size), np.uint8)
    drawing[1:-1, 1:-1] = 255
    pixels = prepare(Image.fromarray(drawing), 32, 1, "pad")[0]
    assert pixels.shape == (32, 32)
    if size <= 32:
        top = (32 - size) // 2
        assert np.array_equal(pixels[top : top + size, top : top + size], drawing)
        assert pixels.sum() == int(drawing.sum())

"""From any image file to (C, H, W) uint8: orientation, mode, depth, shape and size."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Fit = Literal["crop", "pad"]
Size = int | tuple[int, int]        # the side of a square, or height and width
Resize = Literal["lanczos", "area"]

# Part of every fingerprint: raise it when the pixels that come out of this file change.
LAW_VERSION = 1

_FILTERS = {"lanczos": Image.Resampling.LANCZOS, "area": Image.Resampling.BOX}      # both antialiased
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def height_and_width(resolution: Size) -> tuple[int, int]:
    """The two numbers of a size."""
    return (resolution, resolution) if isinstance(resolution, int) else resolution


def prepare(
    image: Image.Image, resolution: Size, channels: int, fit: Fit, resize: Resize = "lanczos"
) -> NDArray[np.uint8]:
    """Bring one opened image to (channels, height, width), uint8.

    EXIF orientation is applied; 16-bit and float images are scaled to 8 bits; palettes, CMYK and
    the like become `channels`; transparency is laid over white unless the model has an alpha channel.
    `fit` is "crop" (centre of the wanted shape, then antialiased resize) or "pad" (resized only if too large, then
    centred on its own top-left colour: for small drawings that resizing would blur). `resize` is "lanczos"
    (sharper) or "area" (the mean over each new pixel's area: never rings).
    """
    image = to_mode(to_eight_bits(ImageOps.exif_transpose(image)), _MODES[channels])
    height, width = height_and_width(resolution)
    if fit == "crop":
        image = ImageOps.fit(image, (width, height), _FILTERS[resize])
    else:
        if image.height > height or image.width > width:
            image = ImageOps.contain(image, (width, height), _FILTERS[resize])
        image = _centre(image, height, width)
    pixels = np.asarray(image, dtype=np.uint8)
    return np.ascontiguousarray(pixels.reshape(height, width, channels).transpose(2, 0, 1))


def _centre(image: Image.Image, height: int, width: int) -> Image.Image:
    canvas = Image.new(image.mode, (width, height), image.getpixel((0, 0)))
    canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return canvas


def to_eight_bits(image: Image.Image) -> Image.Image:
    """A 16-bit or float image scaled to 8 bits; any other as it is."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        pixels = np.asarray(image, dtype=np.float64)
        brightest = pixels.max(initial=0)
        top = 1.0 if image.mode == "F" and brightest <= 1 else 255.0 if brightest <= 255 else 65535.0
        return Image.fromarray(np.rint(pixels.clip(0, top) * (255 / top)).astype(np.uint8), "L")
    return image


def to_mode(image: Image.Image, mode: str) -> Image.Image:
    """An image in another mode; transparency is laid over white unless the mode has it."""
    transparent = "A" in image.getbands() or "transparency" in image.info
    if transparent and mode != "RGBA":
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)

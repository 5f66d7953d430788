"""From any image file to (C, R, R) uint8: orientation, mode, depth, shape and size."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Fit = Literal["crop", "pad"]

# Part of every fingerprint: raise it when the pixels that come out of this file change.
LAW_VERSION = 1

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def prepare(image: Image.Image, resolution: int, channels: int, fit: Fit) -> NDArray[np.uint8]:
    """Bring one opened image to (channels, resolution, resolution), uint8.

    EXIF orientation is applied; 16-bit and float images are scaled to 8 bits; palettes, CMYK and
    the like become `channels`; transparency is laid over white unless the model has an alpha channel.
    `fit` is "crop" (centre square, then antialiased resize) or "pad" (resized only if too large, then
    centred on its own top-left colour: for small drawings that resizing would blur).
    """
    image = _to_mode(_to_eight_bits(ImageOps.exif_transpose(image)), _MODES[channels])
    size = (resolution, resolution)
    if fit == "crop":
        image = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    else:
        if max(image.size) > resolution:
            image = ImageOps.contain(image, size, Image.Resampling.LANCZOS)
        image = _centre(image, resolution)
    pixels = np.asarray(image, dtype=np.uint8)
    return np.ascontiguousarray(pixels.reshape(resolution, resolution, channels).transpose(2, 0, 1))


def _centre(image: Image.Image, resolution: int) -> Image.Image:
    canvas = Image.new(image.mode, (resolution, resolution), image.getpixel((0, 0)))
    canvas.paste(image, ((resolution - image.width) // 2, (resolution - image.height) // 2))
    return canvas


def _to_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        pixels = np.asarray(image, dtype=np.float64)
        brightest = pixels.max(initial=0)
        top = 1.0 if image.mode == "F" and brightest <= 1 else 255.0 if brightest <= 255 else 65535.0
        return Image.fromarray(np.rint(pixels.clip(0, top) * (255 / top)).astype(np.uint8), "L")
    return image


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    transparent = "A" in image.getbands() or "transparency" in image.info
    if transparent and mode != "RGBA":
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)

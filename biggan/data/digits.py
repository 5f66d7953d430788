"""The 1,797 handwritten digits of the UCI repository, shipped with the package.

E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998, https://doi.org/10.24432/C50P49, CC BY 4.0: the test part of the set, 8x8 pixels of
16 gray levels, as distributed with scikit-learn. See `digits.md` beside this file.
"""

import io
from importlib import resources

import numpy as np
from PIL import Image

from biggan.data.dataset import LabelledImages, fingerprint
from biggan.data.images import LAW_VERSION, Fit, Size, prepare


def load(resolution: Size, channels: int, fit: Fit) -> LabelledImages:
    """The digits 0 to 9 at the given size."""
    packed = resources.files(__package__).joinpath("digits.npz").read_bytes()
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        gray = np.rint(arrays["images"].astype(np.float64) * (255 / 16)).astype(np.uint8)
        labels = arrays["labels"].astype(np.int64)
    images = np.stack([prepare(Image.fromarray(digit), resolution, channels, fit) for digit in gray])
    return LabelledImages(
        images=images,
        labels=labels,
        class_names=tuple(str(digit) for digit in range(10)),
        source="digits",
        fingerprint=fingerprint(packed, resolution, channels, fit, LAW_VERSION),
    )

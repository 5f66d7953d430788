import dataclasses
import json

import numpy as np
import pytest
import torch
from small_extractor import Patches

from biggan import BigGAN, BigGANConfig, UserError
from biggan.data import LabelledImages
from biggan.explore.nearest import as_json, nearest_real, neighbour_sheet
from biggan.metrics.extractor import ModuleExtractor
from biggan.pictures import Picture


def test_real_images_are_their_own_nearest(tiny: BigGANConfig, tiny_digits: LabelledImages) -> None:
    model, eyes = BigGAN(tiny, tiny_digits.class_names), ModuleExtractor(Patches())
    rows = [5, 1700, 321]
    images = torch.from_numpy(tiny_digits.images[rows])
    found = nearest_real(model, images, tiny_digits, eyes, k=3)
    assert found.row[:, 0].tolist() == rows
    assert float(found.distance[:, 0].abs().max()) == 0
    assert (found.distance.diff(dim=1) > 0).all()
    features = eyes(torch.from_numpy(tiny_digits.images)).features
    expected = torch.cdist(features[rows].double(), features.double()).sort(1)
    assert torch.equal(found.row, expected.indices[:, :3])
    assert torch.allclose(found.distance[:, 1:], expected.values[:, 1:3], rtol=1e-5)

    listed = as_json(model, [Picture(row, {0: 1.0}) for row in rows], tiny_digits, eyes, found)
    nearest = json.loads(json.dumps(listed))["images"][1]["nearest"][0]
    assert nearest == {"row": 1700, "class": tiny_digits.class_names[tiny_digits.labels[1700]], "distance": 0.0}

    cells = np.asarray(neighbour_sheet(images, tiny_digits, found))[8:, -3 * 72 :, 0]
    assert np.array_equal(cells[:64], cells[72 : 72 + 64])                     # itself, and below it itself
    assert not np.array_equal(cells[:64], cells[144 : 144 + 64])


def test_wrong_requests_are_named(tiny: BigGANConfig, tiny_digits: LabelledImages) -> None:
    images, eyes = torch.zeros(1, 1, 8, 8, dtype=torch.uint8), ModuleExtractor(Patches())
    with pytest.raises(UserError, match="--neighbours 0 must be from 1 to 1797"):
        nearest_real(BigGAN(tiny), images, tiny_digits, eyes, k=0)
    with pytest.raises(UserError, match="the model has 7 classes and digits has 10"):
        nearest_real(BigGAN(dataclasses.replace(tiny, num_classes=7)), images, tiny_digits, eyes)

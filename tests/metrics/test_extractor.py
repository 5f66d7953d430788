import pytest
import torch
from torch import Tensor, nn

from biggan.errors import UserError
from biggan.metrics.extractor import ModuleExtractor, extract, weights_fingerprint


class Pixels(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.linear = nn.Linear(64, width)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(images.flatten(1).float() / 255)


IMAGES = torch.arange(64).repeat(10, 1).reshape(10, 1, 8, 8).to(torch.uint8)


def test_any_module_is_an_extractor() -> None:
    module = Pixels()
    extractor = ModuleExtractor(module)
    assert (extractor.name, extractor.layer, extractor.resizer) == ("Pixels", "output", "the extractor's own")
    seen = extract(extractor, IMAGES.split(3))
    torch.testing.assert_close(seen.features, module(IMAGES).detach())
    assert seen.logits.shape == (10, 0)
    assert not seen.features.requires_grad


def test_the_fingerprint_is_of_the_weights_or_the_modules_own() -> None:
    module = Pixels()
    before = ModuleExtractor(module).fingerprint
    assert before == weights_fingerprint(module)
    with torch.no_grad():
        module.linear.weight[0, 0] += 1
    assert ModuleExtractor(module).fingerprint != before
    module.fingerprint = "mine-1"  # type: ignore[assignment]
    assert ModuleExtractor(module).fingerprint == "mine-1"


def test_wrong_answers_are_named() -> None:
    class Maps(Pixels):
        def forward(self, images: Tensor) -> Tensor:
            return images.float()

    with pytest.raises(UserError, match=r"the extractor Maps gave shape \(10, 1, 8, 8\) for 10 images"):
        ModuleExtractor(Maps())(IMAGES)
    module = Pixels()
    module.linear.bias.data[0] = float("nan")
    with pytest.raises(UserError, match="features that are not finite"):
        extract(ModuleExtractor(module), [IMAGES])

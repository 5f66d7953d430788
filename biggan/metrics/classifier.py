"""The `classifier` extractor: a small network trained on the user's own real images.

Its hidden layer gives features in which the user's classes matter, and its output the label
accuracy of generated images. Numbers in these features compare models on one data set; they do not
compare with published FIDs, which need the Inception network.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.metrics.extractor import Features
from biggan.progress import Progress

VERSION = 2                     # part of the cache key: raise it when anything here changes the weights
FEATURES = 128
EPOCHS = 60                     # length of the training, but
FEWEST, MOST = 60_000, 300_000  # never fewer or more images than these
MAX_RESOLUTION = 64             # larger images are shrunk first, with antialiasing
BATCH = 100


class Classifier(nn.Module):
    """Three strided convolutions, a hidden layer of 128 features and a linear output."""

    name: str = "classifier"
    layer: str = "hidden"
    resizer: str = f"bilinear, antialiased, to at most {MAX_RESOLUTION} px; x / 127.5 - 1"

    def __init__(self, channels: int, num_classes: int, fingerprint: str) -> None:
        super().__init__()
        self.fingerprint = fingerprint
        self.accuracy = float("nan")        # on held-out real images
        self.body = nn.Sequential(
            nn.Conv2d(channels, 32, 3, stride=1, padding=1), nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(64, 128, 3, stride=2, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(4), nn.Flatten(),
            nn.Linear(128 * 16, FEATURES), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(FEATURES, num_classes)

    def forward(self, images: Tensor) -> Features:
        """The same as a call, with gradients and in the module's current mode."""
        features = self.body(at_most(images.float() / 127.5 - 1))
        return Features(features, self.head(features))

    def feature_maps(self, x: Tensor) -> list[Tensor]:
        """What the three convolutions make of images (N, C, H, W) in [-1, 1]: (N, channels, h, w) each."""
        maps, h = [], at_most(x)
        for layer in list(self.body)[:6]:
            h = layer(h)
            if isinstance(layer, nn.ReLU):
                maps.append(h)
        return maps

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Features:
        """Features (N, 128) and logits (N, classes) of images (N, C, H, W) uint8."""
        device = self.head.weight.device
        features, logits = self.eval().forward(images.to(device))
        return Features(features.cpu(), logits.cpu())


def at_most(x: Tensor) -> Tensor:
    """Images (N, C, H, W), those of a longer side than MAX_RESOLUTION shrunk to it."""
    longer = max(x.shape[2:])
    if longer <= MAX_RESOLUTION:
        return x
    size = [max(side * MAX_RESOLUTION // longer, 1) for side in x.shape[2:]]
    return F.interpolate(x, size=size, mode="bilinear", antialias=True)


def train_classifier(
    images: Tensor,
    labels: Tensor,
    num_classes: int,
    *,
    fingerprint: str,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Classifier:
    """Train on real images (N, C, H, W) uint8 with labels (N,); the same arguments give the same weights.

    Every eighth image is held out and measures the accuracy that `Classifier.accuracy` states.
    Images are shifted by up to 1/16 of their size, so that features do not hang on single pixels.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Classifier(images.shape[1], num_classes, fingerprint)
        order = torch.randperm(len(labels))
        held_out, kept = order[: len(order) // 8], order[len(order) // 8 :]
        steps = min(max(EPOCHS * len(kept), FEWEST), MOST) // BATCH
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps)
        shift = max(min(images.shape[2:]) // 16, 1)
        progress = Progress("trained the classifier:", steps, report, unit="steps")
        for _ in range(steps):
            rows = kept[torch.randint(len(kept), (BATCH,))]
            logits = nn.Module.__call__(model, _shifted(images[rows], shift)).logits
            optimizer.zero_grad()
            F.cross_entropy(logits, labels[rows]).backward()
            optimizer.step()
            schedule.step()
            progress.advance(1)
    correct = [int((model(images[part]).logits.argmax(1) == labels[part]).sum()) for part in held_out.split(500)]
    model.accuracy = sum(correct) / max(len(held_out), 1)
    return model


def _shifted(images: Tensor, shift: int) -> Tensor:
    """All images of a batch moved by one random offset of at most `shift` pixels, edges repeated."""
    H, W = images.shape[2:]
    top, left = torch.randint(2 * shift + 1, (2,)).tolist()
    padded = F.pad(images.float(), (shift,) * 4, mode="replicate")
    return padded[:, :, top : top + H, left : left + W]

"""Which settings of `biggan explore project` find the latent of an image?

    python benchmarks/projection.py RUN [--images 3] [--restarts 4] [--only NAME ...]

Images that G itself drew, whose latents exist, and training images. Each setting changes one thing of the default.
For both kinds: the loss of the best restart and that of the median one, the best one's error in levels of 255 (root
mean square) and the norm of its latent; means over the images.
"""

import argparse
import math
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from biggan.bench import hardware
from biggan.evaluation import cached_classifier
from biggan.evaluation.sides import open_training_images
from biggan.explore import Projection, project, projection
from biggan.opening import open_model
from biggan.pictures import Picture, draw

DEFAULT = {"LEARNING_RATE": projection.LEARNING_RATE, "TAIL": projection.TAIL}
# Constants of the module, and arguments of `project`.
SETTINGS: dict[str, tuple[dict[str, float], dict[str, Any]]] = {
    "default": ({}, {}),
    "rate 0.1": ({"LEARNING_RATE": 0.1}, {}),
    "rate 0.2": ({"LEARNING_RATE": 0.2}, {}),
    "no ball": ({"TAIL": math.inf}, {}),
    "600 steps": ({}, {"steps": 600}),
    "pixels alone": ({}, {"features": None}),
}


def main() -> None:
    """Print a line a setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--images", type=int, default=3)
    parser.add_argument("--restarts", type=int, default=4)
    parser.add_argument("--only", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    model = open_model(asked.run)
    data = open_training_images(model, None, print)
    features = cached_classifier(data, print).feature_maps
    labels = [k % model.config.num_classes for k in range(asked.images)]
    drawn = draw(model, [Picture(10**6 + k, {label: 1.0}) for k, label in enumerate(labels)])
    kinds: dict[str, list[tuple[Tensor, int]]] = {
        "own": list(zip(drawn, labels, strict=True)),
        "real": [(torch.tensor(data.images[row]), int(data.labels[row])) for row in range(asked.images)],
    }
    print(hardware(torch.device("cpu")))
    print("| setting | images | best loss | median loss | error | norm | CPU s an image |\n" + "|---" * 7 + "|")
    for name in asked.only:
        constants, arguments = SETTINGS[name]
        for constant, value in (DEFAULT | constants).items():
            setattr(projection, constant, value)
        for kind, images in kinds.items():
            began = time.process_time()         # of the processor, which others may share
            found = [
                project(model, image, {label: 1.0}, **{"features": features, "restarts": asked.restarts, **arguments})
                for image, label in images
            ]
            seconds = (time.process_time() - began) / len(images)
            print(f"| {name} | {kind} | {line(found)} | {seconds:.1f} |", flush=True)


def line(found: list[list[Projection]]) -> str:
    """Means over images of what their restarts reached."""
    best = statistics.mean(of_image[0].loss for of_image in found)
    median = statistics.mean(of_image[len(of_image) // 2].loss for of_image in found)
    error = statistics.mean(of_image[0].pixels for of_image in found)
    norm = statistics.mean(math.hypot(*of_image[0].picture.values) for of_image in found)
    return f"{best:.4f} | {median:.4f} | {error:.2f} | {norm:.1f}"


if __name__ == "__main__":
    main()

"""What looks at images: the user's classifier (trained once), Inception, EfficientNet, or a module of the user's."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from biggan import distributed
from biggan.data import LabelledImages
from biggan.errors import UserError
from biggan.files import atomic_write, cache_folder
from biggan.metrics import classifier
from biggan.metrics.efficientnet import EfficientNetLite0
from biggan.metrics.extractor import Extractor, ModuleExtractor
from biggan.metrics.inception import Inception
from biggan.metrics.inception_weights import load_inception

Report = Callable[[str], None]


def open_extractor(
    wanted: str | nn.Module | Extractor,
    data: LabelledImages,
    *,
    inception_weights: Path | None = None,
    device: torch.device | None = None,
    report: Report = lambda line: None,
) -> Extractor:
    """An extractor on `device`: classifier (of `data`), inception[:layer], efficientnet, module:callable, or a module.

    Of several processes the first one trains or downloads what the cache lacks. Raises UserError.
    """
    made: Extractor
    if not isinstance(wanted, str):
        own = isinstance(wanted, nn.Module) and not isinstance(wanted, classifier.Classifier | Inception)
        made = ModuleExtractor(wanted) if own else wanted  # type: ignore[arg-type, assignment]
    elif wanted == "classifier":
        made = _first_to_last(lambda: cached_classifier(data, report))
    elif wanted.partition(":")[0] == "inception":
        layer = wanted.partition(":")[2] or "pool3"
        made = _first_to_last(lambda: load_inception(layer, inception_weights, report))
    elif wanted == "efficientnet":
        made = ModuleExtractor(EfficientNetLite0())
    else:
        made = import_extractor(wanted)
    module = made.module if isinstance(made, ModuleExtractor) else made
    if isinstance(module, nn.Module) and device is not None:
        module.to(device)
    return made


def import_extractor(name: str) -> Extractor:
    """The extractor "module:callable" of the user's own code: what the callable returns, or a module itself.

    Modules are looked for in the working folder too. Raises UserError if there is none.
    """
    module_name, colon, attribute = name.partition(":")
    if not colon:
        raise UserError(f"--extractor {name} is unknown; use classifier, inception, efficientnet or module:callable")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"--extractor {name} cannot be imported: {error}") from error
    finally:
        sys.path.pop(0)
    made = found if isinstance(found, nn.Module) else found()
    if not isinstance(made, nn.Module):
        raise UserError(f"--extractor {name} gives {type(made).__name__}; a torch.nn.Module is due")
    return ModuleExtractor(made, name)


def cached_classifier(data: LabelledImages, report: Report) -> classifier.Classifier:
    """The classifier of this data, from the cache or trained now (and then cached)."""
    key = f"{data.fingerprint}-{classifier.VERSION}"
    path = cache_folder() / "classifiers" / f"{key}.safetensors"
    channels, num_classes = data.images.shape[1], len(data.class_names)
    if path.is_file():
        try:
            tensors = load_file(path)
            model = classifier.Classifier(channels, num_classes, key)
            model.accuracy = float(tensors.pop("accuracy"))
            model.load_state_dict(tensors)
            return model.eval()
        except (SafetensorError, KeyError, RuntimeError) as error:
            report(f"{path} is damaged ({error}); training the classifier again")
    report(f"training a classifier on the {len(data):,} real images (once; kept in {path.parent})")
    images, labels = data.batch(np.arange(len(data)))
    model = classifier.train_classifier(images, labels, num_classes, fingerprint=key, report=report)
    with atomic_write(path) as temporary:
        save_file(model.state_dict() | {"accuracy": torch.tensor(model.accuracy, dtype=torch.float64)}, temporary)
    return model.eval()


def _first_to_last(make: Callable[[], Extractor]) -> Extractor:
    """Make it in the first process, then in the others, which find it in the cache."""
    if distributed.is_first():
        made = make()
        distributed.barrier()
        return made
    distributed.barrier()
    return make()

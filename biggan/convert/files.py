"""What users have on disk: which files of a folder are meant, and reading them without running any code."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from biggan.convert import ajbrock, huggingface, studiogan
from biggan.errors import UserError
from biggan.files import atomic_write, read_json
from biggan.model import BigGAN

FAMILIES = ("ajbrock", "huggingface", "studiogan")

# StudioGAN keeps its best scores as numpy numbers beside the weights: data, not code.
_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY_SCALARS: list[Any] = [
    np.dtype,
    *{type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "u1", "?")},
    (_SCALAR, "numpy.core.multiarray.scalar"),          # its name before NumPy 2, and since
    (_SCALAR, "numpy._core.multiarray.scalar"),
]


def convert(family: str, source: Path, discriminator: Path | None = None, **options: Any) -> BigGAN:
    """The model in a file or folder of one family.

    options  arguments of the family's `load`, such as bn_eps

    Raises UserError if the files cannot be told apart, read, or loaded.
    """
    if family not in FAMILIES:
        raise UserError(f"unknown family {family!r}; known: {', '.join(FAMILIES)}")
    if not source.exists():
        raise UserError(f"{source} does not exist")
    if family == "huggingface":
        if options or discriminator:
            given = [f"--{name.replace('_', '-')}" for name in options] or ["--discriminator"]
            raise UserError(f"{given[0]} is not for huggingface, whose config.json says everything")
        weights, config = _huggingface_files(source)
        return huggingface.load(read_tensors(weights), read_json(config))
    g_path, d_path = _ajbrock_files(source) if family == "ajbrock" else _studiogan_files(source)
    d_path = discriminator or d_path
    load = ajbrock.load if family == "ajbrock" else studiogan.load
    return load(read_tensors(g_path), read_tensors(d_path) if d_path else None, **options)


def write_ajbrock(model: BigGAN, folder: Path) -> list[Path]:
    """Write `G_ema.pth` and, if the model has one, `D.pth`, in that code's names."""
    written = []
    for which, tensors in ajbrock.unload(model).items():
        path = folder / ("G_ema.pth" if which == "G" else "D.pth")
        with atomic_write(path) as temporary:
            torch.save(tensors, temporary)
        written.append(path)
    return written


def read_tensors(path: Path) -> Mapping[str, Tensor]:
    """The state dict in a file: safetensors, or a PyTorch checkpoint read with weights_only.

    A dictionary under 'state_dict' is taken out. UserError if the file is damaged or would run code.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error)
        if any(sign in reason for sign in ("Unsupported global", "Unsupported class", "call reduce", "Can only")):
            raise UserError(
                f"{path} holds more than tensors and would run code when loaded; it was not. "
                "Save its state dict alone, with torch.save(model.state_dict(), ...)"
            ) from error
        raise UserError(f"{path} is damaged, or no PyTorch checkpoint; get it again") from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is damaged, or no PyTorch checkpoint; get it again") from error
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds a {type(content).__name__}, not a state dict")
    return content


def read_class_names(path: Path) -> list[str]:
    """The lines of a text file that are not empty; UserError if it cannot be read."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


# ---- which files are meant -------------------------------------------------------------------------


def _ajbrock_files(source: Path) -> tuple[Path, Path | None]:
    """G_ema.pth, else G.pth, and D.pth; of copies such as G_ema_best0.pth there must be only one."""
    if source.is_file():
        return source, None
    generator = _only(source, "G_ema.pth", "G_ema_*.pth") or _only(source, "G.pth", "G_[!eo]*.pth")
    if generator is None:
        raise UserError(f"{source} has neither G_ema.pth nor G.pth")
    return generator, _only(source, "D.pth", "D_[!o]*.pth")


def _studiogan_files(source: Path) -> tuple[Path, Path | None]:
    """The best weights of G_ema, else of G, and of D."""
    if source.is_file():
        return source, None
    found = {
        which: _only(source, f"model={which}-best-*.pth", f"model={which}-*.pth") for which in ("G_ema", "G", "D")
    }
    generator = found["G_ema"] or found["G"]
    if generator is None:
        raise UserError(f"{source} has neither model=G_ema-*.pth nor model=G-*.pth")
    return generator, found["D"]


def _huggingface_files(source: Path) -> tuple[Path, Path]:
    """The weights and the configuration beside them."""
    folder = source if source.is_dir() else source.parent
    weights = source if source.is_file() else _only(folder, "pytorch_model.bin", "*pytorch_model.bin")
    if weights is None:
        raise UserError(f"{folder} has no pytorch_model.bin")
    config = weights.with_name(weights.name.replace("pytorch_model.bin", "config.json"))
    if config == weights or not config.is_file():
        config = folder / "config.json"
    if not config.is_file():
        raise UserError(f"{folder} has no config.json beside the weights")
    return weights, config


def _only(folder: Path, *patterns: str) -> Path | None:
    """The one file of the first pattern that has any; UserError if it has several."""
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise UserError(f"{folder} has several files that may be meant ({names}); give one of them")
        if found:
            return found[0]
    return None

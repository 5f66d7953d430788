"""Where the weights of the Inception network come from. They are used only if their SHA-256 is the standard file's."""

import hashlib
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import torch

from biggan.errors import UserError
from biggan.files import atomic_write, cache_folder
from biggan.metrics.inception import Inception

NAME = "weights-inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{NAME}"
SECONDS = 30                    # without an answer, there is no network


def load_inception(
    layer: str = "pool3", weights: Path | None = None, report: Callable[[str], None] = lambda line: None
) -> Inception:
    """The network with the standard weights; `find_weights` says where from. Raises UserError."""
    return load_weights(Inception(layer), find_weights(weights, report))


def find_weights(given: Path | None, report: Callable[[str], None] = lambda line: None) -> Path:
    """The standard weight file: the one given, else of the cache, of PyTorch's hub folder, or downloaded now.

    Raises UserError if it is none of these, or not the standard file.
    """
    if given is not None:
        return verified(given)
    cached = cache_folder() / "weights" / NAME
    for path in (cached, Path(torch.hub.get_dir()) / "checkpoints" / NAME):     # torch-fidelity puts it there
        if path.is_file():
            return verified(path)
    report(f"downloading the Inception weights (91 MB, once; kept in {cached.parent})")
    try:
        with (
            atomic_write(cached) as temporary,
            temporary.open("wb") as handle,
            urllib.request.urlopen(URL, timeout=SECONDS) as answer,
        ):
            shutil.copyfileobj(answer, handle)
            handle.flush()
            verified(temporary)
    except (urllib.error.URLError, TimeoutError, ConnectionError, UserError) as error:
        raise UserError(
            f"the Inception weights cannot be downloaded ({' '.join(str(error).split())}); fetch {URL} "
            "elsewhere and give it as --inception-weights FILE"
        ) from error
    return cached


def verified(path: Path) -> Path:
    """The path, if its content is the standard file's; UserError otherwise."""
    try:
        with path.open("rb") as handle:
            found = hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"--inception-weights {path} cannot be read: {error.strerror or error}") from error
    if found != SHA256:
        raise UserError(
            f"{path} is not the standard Inception weight file (its SHA-256 is {found[:12]}..., {SHA256[:12]}... is "
            f"wanted); remove it, or give {NAME} as --inception-weights"
        )
    return path


def load_weights(network: Inception, path: Path) -> Inception:
    """Put the weights of a verified file into the network. Nothing in the file is executed."""
    missing, unknown = network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), strict=False)
    needed = [key for key in missing if not key.endswith("num_batches_tracked")]        # of use to training only
    assert not needed and not unknown, f"{path} has other layers: {needed + unknown}"
    network.fingerprint = SHA256[:16]
    return network

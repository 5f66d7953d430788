"""Compilation and activation checkpointing: what changes how a step is computed, and nothing else of it."""

import shutil
import sys

import torch

from biggan.config import TrainConfig
from biggan.errors import UserError
from biggan.state import TrainState


def accelerate(state: TrainState, config: TrainConfig) -> None:
    """Apply --compile and --checkpoint-activations to the networks in training; G_ema stays plain.

    On a GPU compilation uses CUDA graphs, which small networks gain most from. UserError where it needs a
    C++ compiler and finds none.
    """
    for network in (state.G, state.D):
        network.checkpoint_activations = config.checkpoint_activations
    if config.compile:
        check_compiler(state.device)
        for network in (state.G, state.D):
            network.compile(mode="reduce-overhead" if state.device.type == "cuda" else None)


def check_compiler(device: torch.device) -> None:
    """UserError unless PyTorch's compiler finds what it needs for this device."""
    if sys.platform == "win32" or device.type != "cpu":
        return
    from torch._inductor import exc
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        found = shutil.which(get_cpp_compiler())
    except exc.InvalidCxxCompiler:
        found = None
    if found is None:
        raise UserError("--compile needs a C++ compiler and finds none; install g++ (or set CXX), or leave it out")

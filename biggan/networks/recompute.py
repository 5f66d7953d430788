"""Activation checkpointing: a block's inner activations are computed again for its backward pass.

The second pass must be the first one over again. So what a forward pass moves stays as it is in the second:
spectral norm takes the singular vectors of the first, and batch norm moves no running statistics.
"""

from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# Of the thread that runs a pass: is it one that will be repeated, or the repetition?
Kind = Literal["plain", "first", "second"]
PASS: ContextVar[Kind] = ContextVar("PASS", default="plain")


class _During:
    """A kind of pass for the length of a block; R1 repeats a pass twice, and enters it as often."""

    def __init__(self, kind: Literal["first", "second"]) -> None:
        self.kind, self.tokens = kind, list[Token[Kind]]()

    def __enter__(self) -> None:
        self.tokens.append(PASS.set(self.kind))

    def __exit__(self, *error: object) -> None:
        PASS.reset(self.tokens.pop())


def recomputed(block: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """block(*inputs), of which only the inputs and the result are kept for the backward pass."""
    if not torch.is_grad_enabled():
        return block(*inputs)
    result: Tensor = checkpoint(
        block,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=False,           # nothing random in a block
        context_fn=lambda: (_During("first"), _During("second")),
    )
    return result

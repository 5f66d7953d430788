"""Batch statistics by truncation: a generator's feature maps are other where its latents are.

TF-Hub's generators come with the statistics of 51 truncations; `sampling.add_statistics` measures
them for any model. A table belongs to one kind of latent law and holds a row for each of its values;
between two rows mean and variance are linear in the value.
"""

import bisect
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from biggan.errors import UserError

# Batch statistics by the name of their layer: (mean, variance), each (C,).
Statistics = dict[str, tuple[Tensor, Tensor]]

NEAR = 1e-6         # closer than this to a row's value is on the row


class TruncationTable:
    """Statistics at several values of one kind of latent law, as rows (K, C) a layer."""

    def __init__(self, values: Sequence[float], means: dict[str, Tensor], variances: dict[str, Tensor]) -> None:
        """`values` ascend; `means` and `variances` have a row for each, by the name of their layer."""
        assert list(values) == sorted(values), "rows must ascend"
        self.values = [float(value) for value in values]
        self.means = means
        self.variances = variances

    @classmethod
    def from_rows(cls, rows: dict[float, Statistics]) -> "TruncationTable":
        """A table, on the CPU, of statistics by value, in any order."""
        values = sorted(rows)
        layers = rows[values[0]].keys()
        means = {layer: torch.stack([rows[value][layer][0].cpu() for value in values]) for layer in layers}
        variances = {layer: torch.stack([rows[value][layer][1].cpu() for value in values]) for layer in layers}
        return cls(values, means, variances)

    def rows(self) -> dict[float, Statistics]:
        """The statistics by value."""
        return {value: self._mix(k, k, 0.0) for k, value in enumerate(self.values)}

    def covers(self, value: float) -> bool:
        """Whether a value is a row's or lies between two rows."""
        return bool(self.values) and self.values[0] - NEAR <= value <= self.values[-1] + NEAR

    def at(self, value: float, *, exact_huggingface: bool = False) -> Statistics:
        """The statistics at a value that the table covers.

        With `exact_huggingface`, those that pytorch-pretrained-BigGAN takes, whose weights of the two
        neighbouring rows are interchanged: truncation 0.995 uses what belongs to 0.985. Its division
        by the step also misses rows by a rounding error, so that 0.14 uses row 8 instead of 7. For
        those who must have an old image again.
        """
        if exact_huggingface:
            return self._huggingface(value)
        if not self.covers(value):
            raise UserError(f"statistics are known from {self.values[0]:g} to {self.values[-1]:g}, not at {value:g}")
        above = bisect.bisect_left(self.values, value - NEAR)
        if abs(self.values[above] - value) <= NEAR:
            return self._mix(above, above, 0.0)
        below = above - 1
        share = (value - self.values[below]) / (self.values[above] - self.values[below])
        return self._mix(below, above, share)

    def _huggingface(self, value: float) -> Statistics:
        steps = len(self.values) - 1
        even = all(abs(row - k / steps) <= NEAR for k, row in enumerate(self.values)) if steps else False
        if not even or not 0 < value <= 1:
            raise UserError("exact_huggingface is for truncations from 0 to 1 and tables in equal steps between them")
        fraction, start = math.modf(value / (1.0 / steps))
        first = int(start)
        if fraction == 0.0:
            return self._mix(first, first, 0.0)
        return self._mix(first, first + 1, 1 - fraction)

    def _mix(self, below: int, above: int, share: float) -> Statistics:
        """(1 - share) of one row and `share` of another."""
        if below == above:
            return {layer: (self.means[layer][below], self.variances[layer][below]) for layer in self.means}

        def mixed(rows: Tensor) -> Tensor:
            return rows[below] * (1 - share) + rows[above] * share

        return {layer: (mixed(self.means[layer]), mixed(self.variances[layer])) for layer in self.means}

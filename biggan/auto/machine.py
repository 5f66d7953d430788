"""What this machine can do: the time of a recipe's iteration, measured, and its memory, foreseen."""

import torch

from biggan.machine import available_memory
from biggan.plan import drawing_peak, peak, resident, seconds
from biggan.presets import Recipe
from biggan.sampling import STATISTICS_BATCH_SIZE
from biggan.training import resolve_bf16

OVERHEAD = 220 * 2**20      # of a run beside its tensors: kernels at their first use, foreseeing, files; docs/speed.md


class Machine:
    """The device that a run is to use."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.memory = available_memory(device)       # bytes

    @property
    def accelerated(self) -> bool:
        """Whether it is more than a CPU."""
        return self.device.type != "cpu"

    def __str__(self) -> str:
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"{self.device.type}, {torch.get_num_threads()} threads"

    def seconds(self, recipe: Recipe) -> float:
        """The median time of a real iteration of a recipe, on noise."""
        network, config = recipe
        return seconds(network, config, resolve_bf16(config.precision, self.device), self.device)

    def bytes(self, recipe: Recipe) -> int:
        """By how much training a recipe lets this process grow, previews and statistics included.

        The rule is a CPU's; on a GPU, where none was measured, it stands in with its margin.
        """
        network, config = recipe
        microbatch = config.microbatch_size or config.batch_size
        training = peak(network, config, microbatch, resolve_bf16(config.precision, self.device))
        return OVERHEAD + resident(max(training, drawing_peak(network, STATISTICS_BATCH_SIZE)))

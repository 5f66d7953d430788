"""Generator and discriminator. They know nothing of optimizers, devices or processes.

Reading order: `layers`, `resample`, `blocks`, `plan`, `generator`, `discriminator`, `init`, `fold`,
`recompute`.
"""

from biggan.networks.discriminator import Discriminator
from biggan.networks.fold import folded
from biggan.networks.generator import Generator

__all__ = ["Discriminator", "Generator", "folded"]

"""Generator and discriminator. They know nothing of optimizers, devices or processes.

Reading order: `layers`, `resample`, `blocks`, `plan`, `generator`, `discriminator`, `init`.
"""

from biggan.networks.discriminator import Discriminator
from biggan.networks.generator import Generator

__all__ = ["Discriminator", "Generator"]

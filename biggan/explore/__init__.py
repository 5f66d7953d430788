"""The toolbox around single samples: what a model has between, around and beyond them.

    from biggan.explore import legs, project, sefa

`sheets` has paths, truncations, mixtures and edits as rows of `biggan.pictures.Picture`; `latents` keeps pictures
that no seed gives; `projection` finds the latent of a given image; `directions` finds directions without labels;
`nearest` the training images that are most like a drawn one.
"""

from biggan.explore.directions import Directions, load_directions, save_directions, sefa
from biggan.explore.latents import load_latent, pictures_of, save_latent
from biggan.explore.nearest import nearest_real, neighbour_sheet
from biggan.explore.projection import Projection, discriminator_maps, project
from biggan.explore.sheets import draw_rows, edits, in_a_row, legs, mixtures, truncation_sheet

__all__ = [
    "Directions", "Projection", "discriminator_maps", "draw_rows", "edits", "in_a_row", "legs", "load_directions",
    "load_latent", "mixtures", "nearest_real", "neighbour_sheet", "pictures_of", "project", "save_directions",
    "save_latent", "sefa", "truncation_sheet",
]  # fmt: skip

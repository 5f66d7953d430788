"""From a download to images: python examples/sample_hub_weights.py FOLDER

FOLDER holds Hugging Face's pytorch_model.bin and config.json, or ajbrock's G_ema.pth.
"""

import sys
from pathlib import Path

from biggan.convert import files
from biggan.sampling import save_image, sheet, to_uint8

folder = Path(sys.argv[1])
family = "huggingface" if any(folder.glob("*pytorch_model.bin")) else "ajbrock"
model = files.convert(family, folder)
law = {"truncation": 0.4} if family == "huggingface" else {"threshold": 0.5}
classes = [207, 323, 933] if model.config.num_classes == 1000 else [0]     # golden retriever, monarch, cheeseburger
rows = [model.generate(y=[label] * 4, seed=0, **law) for label in classes]
save_image(sheet([to_uint8(row) for row in rows], [str(label) for label in classes]), folder / "images.png")

"""Serve a generator without PyTorch: pip install onnxruntime pillow; biggan export RUN --truncation 0.5 --out G.onnx

python examples/serve_onnx.py G.onnx            # http://127.0.0.1:8000/?class=3&seed=7
"""

import io
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1])
about = json.loads(session.get_modelmeta().custom_metadata_map["biggan"])
law, _, value = about["latent_law"].partition(" ")      # "truncation 0.5", "threshold 1" or "normal"
scale, cut = (float(value), 2.0) if law == "truncation" else (1.0, float(value or "inf"))


def draw(label: int, seed: int) -> bytes:
    """A PNG file: z from scale * N(0, 1) cut at +-cut, by drawing more than enough and keeping what fits."""
    normal = np.random.default_rng(seed).standard_normal(int(about["z_dim"] * 20 / min(cut, 1)))
    z = scale * normal[np.abs(normal) <= cut][: about["z_dim"]]
    (image,) = session.run(["images"], {"z": z[None].astype(np.float32), "y": np.array([label])})[0]
    pixels = np.rint((image.transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8).squeeze()
    Image.fromarray(pixels).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Answers every address with an image."""

    def do_GET(self) -> None:
        """The image of ?class=C&seed=S."""
        query = parse_qs(urlsplit(self.path).query)
        label, seed = (int(query.get(name, ["0"])[0]) for name in ("class", "seed"))
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        self.wfile.write(draw(label % len(about["class_names"]), abs(seed)))


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 8000), Handler).serve_forever()

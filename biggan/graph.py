"""G as a graph that runs without this package: ONNX, or PyTorch's own `torch.export`.

The graph takes z (B, z_dim) float32 and y (B,) int64 and gives images (B, C, R, R) float32 in [-1, 1], for any B.
Its weights are already divided by their singular values. The batch statistics of one latent law are baked in or,
with a table of them, follow from a third input, the law's value.

Notable: to draw z by the law is left to the caller; `examples/serve_onnx.py` shows it in NumPy. A file is
compared with the model before it takes its name, and says in its metadata what it is.
"""

import contextlib
import copy
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from biggan.errors import UserError
from biggan.files import atomic_write
from biggan.latents import LatentLaw, image_labels, image_latents
from biggan.model import BigGAN
from biggan.networks import Generator
from biggan.networks.layers import SpectralNorm
from biggan.sampling import prepare_law
from biggan.truncation import TruncationTable

Format = Literal["onnx", "torch-export"]
SUFFIX: dict[str, str] = {"onnx": ".onnx", "torch-export": ".pt2"}
TOLERANCE = 1e-4        # of a pixel in [-1, 1]
OPSET = 18


class Drawing(nn.Module):
    """G with its batch statistics; with a table, those of the value that is the third input."""

    def __init__(self, G: Generator, table: TruncationTable | None = None) -> None:
        super().__init__()
        self.G = G
        self.layers = list(table.means) if table is not None else []
        if table is not None:
            self.register_buffer("values", torch.tensor(table.values))
            for i, layer in enumerate(self.layers):
                self.register_buffer(f"mean{i}", table.means[layer].float())            # (K, C)
                self.register_buffer(f"variance{i}", table.variances[layer].float())

    def forward(self, z: Tensor, y: Tensor, value: Tensor | None = None) -> Tensor:
        """Images (B, C, R, R); `value` is a scalar."""
        if value is None:
            return self.G(z, y)
        shares = neighbours(self.get_buffer("values"), value)                           # (K,)
        statistics = {}
        for i, layer in enumerate(self.layers):
            statistics[f"{layer}.running_mean"] = shares @ self.get_buffer(f"mean{i}")
            statistics[f"{layer}.running_var"] = shares @ self.get_buffer(f"variance{i}")
        return torch.func.functional_call(self.G, statistics, (z, y))


def neighbours(values: Tensor, at: Tensor) -> Tensor:
    """The share of each of the ascending values (K,) in a scalar between two of them; beyond the ends, the end's."""
    if len(values) == 1:
        return torch.ones_like(values)
    rising = (at - values[:-1]) / values.diff()                                         # (K - 1,)
    one = torch.ones_like(values[:1])
    return torch.minimum(torch.cat([one, rising]), torch.cat([1 - rising, one])).clamp(0, 1)


def normalized(G: Generator) -> Generator:
    """A copy in evaluation mode, in float32 on the CPU, whose weights are divided by sigma once and for all."""
    G = copy.deepcopy(G).cpu().float().eval().requires_grad_(False)
    for module in G.modules():
        if isinstance(module, SpectralNorm):
            module.weight.copy_(module.normalized_weight())
            module.disable_spectral_norm()
    return G


def export(model: BigGAN, law: LatentLaw, path: Path, kind: Format, *, value_input: bool = False) -> float:
    """Write G at a law to `path`; the largest difference of a pixel from the model's, over two batch sizes.

    With `value_input` the law's value becomes an input, and the model must have a table for its kind. Raises
    UserError without one or without the packages of the extra `[onnx]`.
    """
    table = model.truncation_tables.get(law.kind) if value_input else None
    if value_input and table is None:
        raise UserError(
            f"the model has no batch statistics for several {law.kind}s; measure them with biggan statistics first"
        )
    prepare_law(model, law)
    with model.statistics_of(law):
        drawing = Drawing(normalized(model.G), table).eval()
    inputs = example(model, law, 2, value_input)
    about = {
        "biggan": json.dumps(
            {
                "image_shape": list(model.config.image_shape),
                "image_channels": model.config.image_channels,
                "z_dim": model.config.z_dim,
                "latent_law": law.kind if value_input else str(law),
                "class_names": list(model.class_names),
            }
        )
    }
    batch = torch.export.Dim("batch", min=1)
    shapes = ({0: batch}, {0: batch}, None)[: len(inputs)]
    with quiet(), atomic_write(path) as temporary:
        with torch.no_grad():
            program = torch.export.export(drawing, inputs, dynamic_shapes=shapes, strict=False)
        write = write_onnx if kind == "onnx" else write_torch_export
        write(program, inputs, law, about, temporary)
        found = max(difference(model, law, temporary, kind, count, value_input) for count in (1, 3))
        if found > TOLERANCE:
            raise RuntimeError(f"the graph differs from the model by {found:.1e} of a pixel in [-1, 1]")
    return found


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what PyTorch's exporter says of itself and of torchvision, which is not needed."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
    logger.setLevel(before)


def example(model: BigGAN, law: LatentLaw, count: int, value_input: bool) -> tuple[Tensor, ...]:
    """Inputs of the graph: z, y and, if it takes one, the law's value."""
    seeds = range(count)
    z, y = image_latents(seeds, model.config.z_dim, law).float(), image_labels(seeds, model.config.num_classes)
    return (z, y, torch.tensor(law.value)) if value_input else (z, y)


def write_onnx(
    program: torch.export.ExportedProgram, inputs: tuple[Tensor, ...], law: LatentLaw, about: dict[str, str], path: Path
) -> None:
    """An ONNX file with inputs `z`, `y` and, if there is one, the law's kind; output `images`."""
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"--to onnx needs {error.name}: pip install 'biggan-torch[onnx]'") from error
    plain = program.run_decompositions({torch.ops.aten.scaled_dot_product_attention.default: attention})
    made = torch.onnx.export(
        plain, inputs, input_names=["z", "y", law.kind][: len(inputs)], output_names=["images"],
        opset_version=OPSET, dynamo=True, optimize=True, verbose=False,
    )  # fmt: skip
    assert made is not None
    graph = made.model_proto
    for key, text in about.items():
        entry = graph.metadata_props.add()
        entry.key, entry.value = key, text
    onnx.save_model(graph, path)


def attention(query: Tensor, key: Tensor, value: Tensor, *, scale: float) -> Tensor:
    """softmax(scale Q K^T) V, spelled out: the exporter knows the fused one only with heads."""
    return torch.softmax(scale * (query @ key.mT), dim=-1) @ value


def write_torch_export(
    program: torch.export.ExportedProgram, inputs: tuple[Tensor, ...], law: LatentLaw, about: dict[str, str], path: Path
) -> None:
    """A file that `torch.export.load` reads."""
    with path.open("wb") as handle:
        torch.export.save(program, handle, extra_files=about)


def difference(
    model: BigGAN, law: LatentLaw, path: Path, kind: Format, count: int, value_input: bool
) -> float:
    """The largest difference of a pixel in [-1, 1] between a written graph and the model, over `count` images."""
    inputs = example(model, law, count, value_input)
    run: Any = run_onnx if kind == "onnx" else run_torch_export
    expected = model.generate(inputs[1], inputs[0], law=law).float().cpu()
    return float((run(path, inputs) - expected).abs().max())


def run_onnx(path: Path, inputs: tuple[Tensor, ...]) -> Tensor:
    """The images of an ONNX file, by onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = [wanted.name for wanted in session.get_inputs()]
    (images,) = session.run(["images"], {name: value.numpy() for name, value in zip(names, inputs, strict=True)})
    return torch.from_numpy(images)


def run_torch_export(path: Path, inputs: tuple[Tensor, ...]) -> Tensor:
    """The images of a file of torch.export."""
    with path.open("rb") as handle:
        images: Tensor = torch.export.load(handle).module()(*inputs)
    return images

"""`BigGAN`: a generator, its configuration and class names, ready to use, save and load.

    model = BigGAN.from_pretrained("runs/demo")
    images = model.generate(y=["3"] * 4, truncation=0.5)

An export is a folder in the Hugging Face Hub's layout: weights, configuration and a model card. A run
folder holds one under `export/`, so a run can be given wherever an export can.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from biggan import pretrained
from biggan.config import BigGANConfig, from_mapping, to_mapping, unknown_name
from biggan.errors import UserError
from biggan.files import atomic_write, read_json, write_text
from biggan.latents import LatentLaw, image_labels, image_latents, latent_law
from biggan.networks import Discriminator, Generator, folded
from biggan.truncation import Statistics, TruncationTable

FORMAT = "biggan-export-1"


class BigGAN(nn.Module):
    """The networks with all that is needed to draw images from them.

    `BigGAN()` is the paper's 128 px ImageNet model, freshly initialised. `D` exists only with
    `discriminator=True`; sampling does not need it.
    """

    def __init__(
        self,
        config: BigGANConfig | None = None,
        class_names: Sequence[str] = (),
        *,
        discriminator: bool = False,
        recipe: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.config = config or BigGANConfig()
        self.rename_classes(class_names or [str(i) for i in range(self.config.num_classes)])
        self.G = Generator(self.config)
        self.D = Discriminator(self.config) if discriminator else None
        self.recipe: dict[str, Any] = dict(recipe or {})
        self.metrics: dict[str, Any] = {}
        # Batch statistics for laws other than N(0, 1), whose own stand in G's buffers: rows that travel
        # with the model, by kind of law, and single ones measured since it was loaded.
        self.truncation_tables: dict[str, TruncationTable] = {}
        self.statistics: dict[LatentLaw, Statistics] = {}

    def rename_classes(self, class_names: Sequence[str]) -> None:
        """Set the names of the classes, in the order of their labels; UserError unless there is one for each."""
        if len(class_names) != self.config.num_classes:
            raise UserError(f"{len(class_names)} class names for {self.config.num_classes} classes")
        self.class_names = tuple(class_names)

    # ---- sampling --------------------------------------------------------------------------------

    def generate(
        self,
        y: Tensor | Sequence[int | str] | int | str | None = None,
        z: Tensor | None = None,
        *,
        num: int | None = None,
        seed: int | None = None,
        truncation: float | None = None,
        threshold: float | None = None,
        law: LatentLaw | None = None,
        batch_size: int = 64,
        exact_huggingface: bool = False,
        bf16: bool = False,
    ) -> Tensor:
        """Draw images: (N, image_channels, H, W) in [-1, 1], float32 or the weights' float64.

        y           labels or class names, one an image; drawn uniformly if not given
        z           latents (N, z_dim); drawn by seed if not given
        num         N, where neither y nor z says it (1 by default)
        seed        image k comes from seed + k alone, whatever the batch; random if not given
        truncation  draw z from truncation * N(0, 1) cut at 2 (TF-Hub's and Hugging Face's law)
        threshold   draw z from N(0, 1) cut at the threshold (the paper's truncation trick)
        law         either of them, or N(0, 1), as a `LatentLaw`
        batch_size  images a forward pass
        exact_huggingface  interpolate batch statistics as that package does (`TruncationTable.at`)
        bf16        compute under bfloat16 autocast: faster where the hardware has it (`machine.has_bf16`)

        The generator runs in evaluation mode, with the batch statistics stored for the law if there
        are any (`sampling.add_statistics`), else with those of N(0, 1). Raises UserError for a class
        that does not exist, for sizes that do not agree and for two laws at once.
        """
        law = law or latent_law(truncation, threshold)
        labels = None if y is None else self.class_indices(y)
        count = self._count(num, labels, z)
        if seed is None:
            seed = int(torch.randint(2**31, ()))
        seeds = range(seed, seed + count)
        z = image_latents(seeds, self.config.z_dim, law) if z is None else z
        labels = image_labels(seeds, self.config.num_classes) if labels is None else labels
        weight = self.G.linear.weight
        statistics = self.statistics_of(law, exact_huggingface=exact_huggingface)
        autocast = torch.autocast(weight.device.type, torch.bfloat16, enabled=bf16)
        with torch.no_grad(), statistics, self.drawing(bf16), autocast:
            parts = [
                self.G(some_z.to(weight), some_y.to(weight.device))
                for some_z, some_y in zip(z.split(batch_size), labels.split(batch_size), strict=True)
            ]
        return torch.cat(parts)

    @contextmanager
    def drawing(self, bf16: bool = False) -> Iterator[None]:
        """Within the block G is in evaluation mode and its weights are normalised once, for bf16 autocast or not.

        `generate` enters it; several calls inside one such block share the normalised weights.
        """
        with evaluation_mode(self.G), folded(self.G, torch.bfloat16 if bf16 else None):
            yield

    def class_indices(self, y: Tensor | Sequence[int | str] | int | str) -> Tensor:
        """Labels (N,) int64 from labels, class names or numbers in text; UserError if one is unknown."""
        if isinstance(y, Tensor):
            indices = y.reshape(-1).long().cpu()
        else:
            names = [y] if isinstance(y, int | str) else list(y)
            indices = torch.tensor([self._class_index(name) for name in names], dtype=torch.int64)
        if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < self.config.num_classes:
            wrong = int(indices.min()) if int(indices.min()) < 0 else int(indices.max())
            raise UserError(f"class {wrong} is not one of the model's classes 0 to {self.config.num_classes - 1}")
        return indices

    def _class_index(self, name: int | str) -> int:
        if isinstance(name, int):
            return name
        folded = {known.casefold(): i for i, known in enumerate(self.class_names)}
        if name in self.class_names:
            return self.class_names.index(name)
        if name.casefold() in folded:
            return folded[name.casefold()]
        if name.lstrip("-").isdigit():
            return int(name)
        raise UserError(unknown_name(name, self.class_names, "class"))

    def _count(self, num: int | None, y: Tensor | None, z: Tensor | None) -> int:
        if z is not None and (z.ndim != 2 or z.shape[1] != self.config.z_dim):
            raise UserError(f"z has shape {tuple(z.shape)}; this model takes (N, {self.config.z_dim})")
        sizes = {what: size for what, size in (("num", num), ("y", _len(y)), ("z", _len(z))) if size is not None}
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{what} {size}" for what, size in sizes.items())
            raise UserError(f"generate() was asked for different numbers of images: {listed}")
        return next(iter(sizes.values()), 1)

    def statistics_for(self, law: LatentLaw, *, exact_huggingface: bool = False) -> Statistics | None:
        """The batch statistics stored for a law: measured for it, or of a table that covers it."""
        table = self.truncation_tables.get(law.kind)
        if exact_huggingface:
            if table is None:
                raise UserError(f"exact_huggingface needs stored statistics; the model has none for {law.kind} laws")
            return table.at(law.value, exact_huggingface=True)
        if law in self.statistics:
            return self.statistics[law]
        return table.at(law.value) if table is not None and table.covers(law.value) else None

    @contextmanager
    def statistics_of(self, law: LatentLaw, *, exact_huggingface: bool = False) -> Iterator[None]:
        """Within the block, G's batch norms use the statistics stored for `law`, if there are any."""
        stored = self.statistics_for(law, exact_huggingface=exact_huggingface)
        if stored is None:
            yield
            return
        before = batch_statistics(self.G)
        set_batch_statistics(self.G, stored)
        try:
            yield
        finally:
            set_batch_statistics(self.G, before)

    # ---- saving and loading ----------------------------------------------------------------------

    def save_pretrained(self, folder: str | Path, dtype: torch.dtype | None = None) -> None:
        """Write an export. Each file is written atomically.

        dtype  of the networks' parameters in the file, such as bfloat16 for half the size; by default their own.
               Batch statistics and singular vectors keep theirs.

        model.safetensors          G
        discriminator.safetensors  D, if the model has one
        statistics.safetensors     batch statistics by truncation, if it has any
        config.json                configuration, class names, recipe and metrics
        README.md                  the model card
        """
        folder = Path(folder)
        tables = {
            f"{kind}/{layer}/{what}": rows[layer]
            for kind, table in self.truncation_tables.items()
            for what, rows in (("mean", table.means), ("variance", table.variances))
            for layer in rows
        }
        values = {
            f"{kind}/values": torch.tensor(table.values, dtype=torch.float64)
            for kind, table in self.truncation_tables.items()
        }
        _save_tensors(_stored(self.G, dtype), folder / "model.safetensors")
        _save_tensors(_stored(self.D, dtype) if self.D is not None else {}, folder / "discriminator.safetensors")
        _save_tensors(tables | values, folder / "statistics.safetensors")
        content = {
            "format": FORMAT,
            "config": to_mapping(self.config),
            "class_names": list(self.class_names),
            "recipe": self.recipe,
            "metrics": self.metrics,
        }
        write_text(folder / "config.json", json.dumps(content, indent=2) + "\n")
        write_text(folder / "README.md", self._card())

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | torch.device = "cpu") -> "BigGAN":
        """Load a run, an export or, by its name, a model of the package, in evaluation mode.

        Weights stored in 16 bits become float32. Raises UserError if there is none or it is damaged.
        """
        folder = export_folder(Path(folder))
        content = read_config(folder / "config.json")
        config = from_mapping(BigGANConfig, content["config"])
        with_d = (folder / "discriminator.safetensors").is_file()
        with torch.device("meta"):
            model = cls(config, content["class_names"], discriminator=with_d, recipe=content.get("recipe"))
        model.metrics = dict(content.get("metrics") or {})
        for network, name in ((model.G, "model.safetensors"), (model.D, "discriminator.safetensors")):
            if network is not None:
                tensors = {key: widened(value) for key, value in load_tensors(folder / name, device).items()}
                check_tensors(network, tensors, str(folder / name))
                network.load_state_dict(tensors, assign=True)
        if (folder / "statistics.safetensors").is_file():
            model.truncation_tables = _read_tables(folder / "statistics.safetensors", model.G)
        return model.eval()

    def push_to_hub(self, repo: str, *, private: bool = False, token: str | None = None) -> str:
        """Upload an export to the Hugging Face Hub as "user/name"; returns its address. Needs biggan-torch[hub]."""
        try:
            import huggingface_hub
        except ImportError as error:
            raise UserError("push_to_hub needs huggingface-hub: pip install 'biggan-torch[hub]'") from error
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            huggingface_hub.create_repo(repo, token=token, private=private, exist_ok=True)
            done = huggingface_hub.upload_folder(repo_id=repo, folder_path=folder, token=token)
        return str(done)

    def _card(self) -> str:
        c = self.config
        lines = [
            "---", "library_name: biggan", "tags: [gan, biggan, image-generation]", "---", "",
            f"# BigGAN, {c.image_shape[0]} x {c.image_shape[1]}, {c.num_classes} classes", "",
            "```python", "from biggan import BigGAN", "",
            'model = BigGAN.from_pretrained("path/to/this/folder")',
            f"images = model.generate(y=[{self.class_names[0]!r}] * 4, seed=0)   # float, in [-1, 1]", "```", "",
            "Classes: " + ", ".join(self.class_names[:20]) + (", ..." if c.num_classes > 20 else ""), "",
            *self._metrics_table(),
            "## Recipe", "", "```json", json.dumps({**to_mapping(c), **self.recipe}, indent=2), "```", "",
        ]  # fmt: skip
        return "\n".join(lines)

    def _metrics_table(self) -> list[str]:
        rows = [f"| {name} | {value} |" for name, value in self.metrics.items()]
        return ["## Metrics", "", "| metric | value |", "|---|---|", *rows, ""] if rows else []


def export_folder(folder: Path) -> Path:
    """The export in a folder that is one or that is a run, or the package's of that name; or UserError."""
    for candidate in (folder / "export", folder):
        if (candidate / "config.json").is_file():
            return candidate
    if (folder / "config.yaml").is_file():
        raise UserError(f"the run {folder} has no export yet; it writes one at its first checkpoint")
    if named := pretrained.folder_of(folder):
        return named
    raise UserError(
        f"{folder} is neither a run nor an export of biggan (no config.json in it), "
        f"nor a model of the package ({', '.join(pretrained.names())})"
    )


def check_tensors(network: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """UserError unless the tensors are exactly the network's, by name and shape."""
    wanted = network.state_dict()
    missing, surplus = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    if missing or surplus:
        what = f"misses {missing[0]!r}" if missing else f"has an unknown {surplus[0]!r}"
        count = len(missing) + len(surplus)
        raise UserError(f"{source} does not fit its configuration: it {what} (names that differ: {count})")
    for key, value in wanted.items():
        if value.shape != tensors[key].shape:
            raise UserError(
                f"{source} does not fit its configuration: {key!r} is {tuple(tensors[key].shape)}, "
                f"the configuration wants {tuple(value.shape)}"
            )


def widened(value: Tensor) -> Tensor:
    """A tensor in float32 where it is stored in 16 bits."""
    return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value


def batch_statistics(G: Generator) -> Statistics:
    """A copy of the batch statistics in G's buffers."""
    return {name: (bn.running_mean.clone(), bn.running_var.clone()) for name, bn in G.batch_norms()}


def set_batch_statistics(G: Generator, statistics: Statistics) -> None:
    """Overwrite the batch statistics in G's buffers."""
    for name, bn in G.batch_norms():
        bn.running_mean.copy_(statistics[name][0])
        bn.running_var.copy_(statistics[name][1])


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Within the block the network is in evaluation mode; afterwards in whichever it was."""
    before = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


def read_config(path: Path) -> dict[str, Any]:
    """The content of an export's config.json; UserError if it is damaged or of something else."""
    content = read_json(path, "export the model again")
    if content.get("format") != FORMAT:
        raise UserError(f"{path} is not of a biggan export (its format is not {FORMAT!r}), but of something else")
    for field, kind in (("config", dict), ("class_names", list)):
        if not isinstance(content.get(field), kind):
            raise UserError(f"{path} is damaged (it has no {field}); export the model again")
    return content


def _stored(network: nn.Module, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """A network's tensors, its parameters in another precision if that is asked for."""
    parameters = {key for key, _ in network.named_parameters()}
    tensors = network.state_dict()
    return {key: value.to(dtype) if dtype and key in parameters else value for key, value in tensors.items()}


def _save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors, or remove the file of an earlier export where there are none."""
    if not tensors:
        path.unlink(missing_ok=True)
        return
    on_cpu = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    with atomic_write(path) as temporary:
        try:
            save_file(on_cpu, temporary, metadata={"format": "pt"})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def load_tensors(path: Path, device: str | torch.device = "cpu", prefix: str = "") -> dict[str, Tensor]:
    """The tensors of a safetensors file whose names begin so; UserError if it cannot be read."""
    try:
        with safe_open(path, "pt", device=str(device)) as handle:
            return {key: handle.get_tensor(key) for key in handle.keys() if key.startswith(prefix)}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged or missing ({error}); export the model again") from error


def _read_tables(path: Path, G: Generator) -> dict[str, TruncationTable]:
    """The truncation tables of an export, by kind of law; UserError unless they are this generator's."""
    tensors = load_tensors(path)
    tables = {}
    for kind in sorted({key.partition("/")[0] for key in tensors}):
        values = tensors.pop(f"{kind}/values", torch.empty(0)).tolist()
        rows: dict[str, dict[str, Tensor]] = {"mean": {}, "variance": {}}
        for what in rows:
            for layer, bn in G.batch_norms():
                row = tensors.pop(f"{kind}/{layer}/{what}", torch.empty(0))
                if not values or row.shape != (len(values), *bn.running_mean.shape):
                    raise UserError(f"{path} does not belong to the model beside it; export the model again")
                rows[what][layer] = row
        tables[kind] = TruncationTable(values, rows["mean"], rows["variance"])
    return tables


def _len(tensor: Tensor | None) -> int | None:
    return None if tensor is None else len(tensor)

"""The models that come with the package: a folder each, an export in bf16, by name wherever a model's path is due."""

from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The names of the models in the package."""
    return sorted(path.parent.name for path in FOLDER.glob("*/config.json"))


def folder_of(path: Path) -> Path | None:
    """The export of the model that a path names, such as Path("fashion"); None where it names none."""
    return FOLDER / path if str(path) in names() else None

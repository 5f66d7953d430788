"""The documentation's site: `make docs` builds it into site/, and a warning, such as of a dead link, fails it.

Notable:
- The source folder is the repository, so a link that works among its files works in the site too.
- Docstrings are shown as the code has them, in a fixed pitch; no markup language is asked of them.
- Nothing is fetched, neither to build the site nor to read it.
"""

import dataclasses
import inspect
import pydoc
import re
from pathlib import Path

from biggan import __version__

project = "biggan"
author = copyright = "The biggan authors"
version = release = __version__

# The navigation. It stands here, so that docs/index.md reads well on its own.
PAGES = {
    "Begin": ["tour", "your-own-images", "data", "recipes"],
    "Use": ["training", "truncation", "exploring", "evaluation", "studio", "exporting", "converting-weights"],
    "Understand": ["paper", "variants", "experiments", "gallery"],
    "Scale": ["scaling", "speed"],
    "Develop": ["api", "architecture", "../CONTRIBUTING", "../CHANGELOG", "../SECURITY"],
}

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
root_doc = "docs/index"
include_patterns = ["docs/**", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]
exclude_patterns = [".*", "*.egg-info", "build", "dist", "runs", "site"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "biggan"
html_static_path = ["site"]
html_css_files = ["site.css"]
html_extra_path = ["site/index.html"]       # the front door, which leads to docs/index.html
smartquotes = False
html_copy_source = html_show_sourcelink = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"


def literally(app, what, name, obj, options, lines):        # noqa: ANN001, ANN201
    """Make a docstring a literal block: its tables and formulas are laid out by hand."""
    text = inspect.cleandoc(getattr(obj, "__doc__", None) or "").splitlines()
    lines[:] = [".. code-block:: none", "", *("    " + line for line in text), ""] if text else []


def reference(app, name, source):       # noqa: ANN001, ANN201
    """Put signature and docstring, or a configuration's fields, below each name of the page on Python."""
    if name == "docs/api":
        source[0] = re.sub(r"^### `(biggan[\w.]+)`\n\n(.*)\n", described, source[0], flags=re.MULTILINE)


def described(heading: re.Match[str]) -> str:
    """A section of that page: its heading, its sentence, and what the code says."""
    name, sentence = heading.groups()
    thing = pydoc.locate(name)
    if dataclasses.is_dataclass(thing) and any(field.metadata for field in dataclasses.fields(thing)):
        rows = [f"| `{f.name}` | `{f.default!r}` | {f.metadata['help']} |" for f in dataclasses.fields(thing)]
        told = ["| field | default | what |", "|---|---|---|", *(row.replace("|grad", "\\|grad") for row in rows)]
    else:
        directive = "autoclass" if inspect.isclass(thing) else "autofunction"
        told = ["```{eval-rst}", f".. {directive}:: {name}", "   :members:" * inspect.isclass(thing), "```"]
    return "\n".join([f"### `{name}`", "", sentence, "", *told, ""])


def navigation(app, name, source):      # noqa: ANN001, ANN201
    """Give the first page the list of all."""
    if name == root_doc:
        for title, listed in PAGES.items():
            pages = [page for page in listed if Path(app.confdir, f"{page}.md").is_file()]
            source[0] += "\n".join(["", "```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```", ""])


def setup(app):         # noqa: ANN001, ANN201
    """Called by Sphinx."""
    app.connect("source-read", navigation)
    app.connect("source-read", reference)
    app.connect("autodoc-process-docstring", literally)

"""How Sphinx makes a site of these pages: `sphinx-build -W docs build/site`."""

import tomllib
from pathlib import Path

_project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = _project["name"]
release = version = _project["version"]

extensions = ["myst_parser"]
exclude_patterns = ["examples/cassettes", "examples/__snapshots__"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"{project} {release}"
html_baseurl = _project["urls"]["Documentation"]
html_theme_options = {
    "source_repository": _project["urls"]["Source"],
    "source_branch": "main",
    "source_directory": "docs/",
}
html_copy_source = False

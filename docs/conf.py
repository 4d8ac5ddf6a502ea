"""How the pages are built."""

from importlib.metadata import version as installed

project = "Drover"
author = "The Drover developers"
copyright = f"2026, {author}"  # noqa: A001 - the name that Sphinx reads
release = installed("drover-core")
version = release

extensions = ["myst_parser"]
exclude_patterns = ["_build", "from_code"]
# Pages that are kept as JSON are copied as they are.
html_extra_path = ["reference/json-schema.json"]
html_theme = "furo"
html_title = f"Drover {release}"

myst_enable_extensions = ["deflist", "smartquotes"]
myst_heading_anchors = 3

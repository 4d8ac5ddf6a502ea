"""Put the plugin template into what is built: `drover plugin new` copies it from there."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WANTED = (".md", ".py", ".toml", ".typed")


class TemplateHook(BuildHookInterface[Any]):
    """Take the template from the workspace, or from the unpacked source distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """List the template's files; an editable install reads them where they are."""
        root = Path(self.root)
        places = (root / "_template", root.parent / "plugins" / "_template")
        source = next((place for place in places if (place / "pyproject.toml").is_file()), None)
        if version == "editable" or source is None:
            return
        target = "_template" if self.target_name == "sdist" else "drover/_template"
        build_data["force_include"] |= {
            str(path): f"{target}/{path.relative_to(source).as_posix()}"
            for path in source.rglob("*")
            if path.is_file() and (path.suffix in WANTED or path.name == "LICENSE")
        }

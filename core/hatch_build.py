"""Put the plugin templates into what is built: `drover plugin new` copies them from there."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WANTED = (".md", ".py", ".toml", ".typed")


TEMPLATES = ("_template", "_commandline")


class TemplateHook(BuildHookInterface[Any]):
    """Take the templates from the workspace, or from the unpacked source distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """List the templates' files; an editable install reads them where they are."""
        if version == "editable":
            return
        for name in TEMPLATES:
            build_data["force_include"] |= self._files(name)

    def _files(self, name: str) -> dict[str, str]:
        root = Path(self.root)
        places = (root / name, root.parent / "plugins" / name)
        source = next((place for place in places if (place / "pyproject.toml").is_file()), None)
        if source is None:
            return {}
        target = name if self.target_name == "sdist" else f"drover/{name}"
        return {
            str(path): f"{target}/{path.relative_to(source).as_posix()}"
            for path in source.rglob("*")
            if path.is_file()
            and (path.suffix in WANTED or path.name == "LICENSE" or path.parent.name == "bin")
            and "__pycache__" not in path.parts
        }

"""`drover plugin new`: a package for a backend of one's own, ready to be filled in."""

from __future__ import annotations

import keyword
import re
import shlex
from importlib import metadata
from pathlib import Path
from typing import Final

import click

from drover.cli import _exits
from drover.cli._command import StoreGroup

# One stem for distribution, import and entry point (with one underscore form): no dash.
_NAME: Final = re.compile(r"[a-z][a-z0-9]{1,39}")
_KINDS: Final = {"process": ("_template", "template"), "commandline": ("_commandline", "skeleton")}
"""The folder of each template, and the name in it that gives way to the plugin's."""
_TAKEN: Final = frozenset({"core", *(stem for _, stem in _KINDS.values())})
_SKIPPED: Final = frozenset({"__pycache__", ".pytest_cache", "dist", "build", ".git"})


@click.group("plugin", cls=StoreGroup)
def plugin_command() -> None:
    """Begin a plugin of your own."""


@plugin_command.command("new")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(list(_KINDS)),
    default="process",
    show_default=True,
    help="What it begins as: jobs as processes, or a batch system spoken to by commands.",
)
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="The folder to make it in. [default: this one]",
)
def new_command(name: str, kind: str, into: Path) -> int:
    """Make a new package for a backend called NAME, with tests that pass.

    It becomes DIR/drover-NAME; nothing that is there is overwritten.
    """
    _check_name(name)
    target = into / f"drover-{name}"
    if target.exists() or target.is_symlink():
        raise click.UsageError(f"{str(target)!r} is there already; nothing was changed")
    source = template_folder(kind)
    if source is None:
        raise click.UsageError("this installation of drover-core has no plugin template")
    count = copy_template(source, target, name, _KINDS[kind][1])
    from drover.cli._terminal import shown

    click.echo(f"{shown(str(target))}: {count} files")
    wanted = shlex.quote(f"{target}[test]")
    click.echo(f"Next: pip install -e {shown(wanted)} && drover check {name}")
    return _exits.OK


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or name in _TAKEN:
        raise click.BadParameter(
            f"{name!r} cannot be a plugin's name; take 2 to 40 small letters and digits, a "
            "letter first, such as 'mycluster'",
            param_hint="NAME",
        )
    if _is_installed(f"drover-{name}"):
        raise click.BadParameter(
            f"drover-{name} is installed already, and the new one would take its place; choose "
            "another name",
            param_hint="NAME",
        )


def _is_installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def template_folder(kind: str = "process") -> Path | None:
    """Find a template: inside the installed package, or beside a working copy's core."""
    import drover

    package, folder = Path(next(iter(drover.__path__))), _KINDS[kind][0]
    candidates = (package / folder, package.parents[2] / "plugins" / folder)
    return next((path for path in candidates if (path / "pyproject.toml").is_file()), None)


def copy_template(source: Path, target: Path, name: str, stem: str = "template") -> int:
    """Copy every file, with the template's name replaced in paths and text.

    Returns:
        How many files were made.
    """
    count = 0
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if not path.is_file() or _skipped(relative):
            continue
        copy = target / _renamed(str(relative), stem, name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with copy.open("x", encoding="utf-8") as file:
            file.write(_renamed(path.read_text(encoding="utf-8"), stem, name))
        copy.chmod(path.stat().st_mode & 0o777 | 0o200)
        count += 1
    return count


def _skipped(relative: Path) -> bool:
    return any(part in _SKIPPED or part.endswith(".egg-info") for part in relative.parts)


def _renamed(text: str, stem: str, name: str) -> str:
    """Replace the stem where it is the name: `drover_template`, `TemplateBackend`..."""
    text = text.replace(f"drover-{stem}", f"drover-{name}")
    text = text.replace(f"drover_{stem}", f"drover_{name}")
    text = re.sub(rf"\b{stem.capitalize()}(?=[A-Z])", name.capitalize(), text)
    return re.sub(rf"(?<![A-Za-z_-]){stem}(?![A-Za-z_-])", name, text)

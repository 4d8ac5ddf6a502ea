"""The page of capabilities: what each backend of the workspace declares, and plans per field."""

from collections.abc import Iterator, Mapping
from enum import Enum
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, Final, cast

import attrs

from drover.models import (
    RESOURCE_FIELDS,
    SPEC_FIELDS,
    Array,
    Capabilities,
    Dependency,
    JobSpec,
    Resources,
    Retry,
    Transfer,
)
from from_code.sources import WRITTEN_BY, notes

INTRODUCTION = """\
# What each backend can do

A backend declares its capabilities once; the engine, the conformance kit and this page read them.
`drover backends` shows the same for what is installed on your machine, third-party ones included.
Here `local` stands for a machine with 4 processors, 16 GiB and 2 GPUs.
"""
FIELDS = """\
## Fields of a job

What becomes of each field when it is set, as the backend's own plan says: *honoured*,
*emulated*, *ignored* (refuses the job unless `allow=` names the field) or *refused*. The plan is
made for modest values, two processors and so on; `drover plan` tells about yours.
"""
PLUGINS: Final = Path(__file__).parents[2] / "plugins"
# One modest value for every field, so that a field without one stops the page.
EXAMPLES: Final[Mapping[str, Any]] = {
    "argv": ("true",),
    "name": "a name",
    "cwd": "/",
    "env": {"A": "1"},
    "inherit_env": False,
    "stdin": "/dev/null",
    "stdout": "/tmp/out",  # noqa: S108 - planned, never opened
    "stderr": "/tmp/err",  # noqa: S108 - planned, never opened
    "join_output": True,
    "launcher": "srun",
    "pre_launch": "/etc/profile",
    "post_launch": "/etc/profile",
    "after": (Dependency(job="j1"),),
    "array": Array(indices=2),
    "retry": Retry(attempts=2),
    "requeue": True,
    "inputs": (Transfer(source="a", target="b"),),
    "outputs": (Transfer(source="a", target="b"),),
    "tags": ("t",),
    "hold": True,
    "not_before": 1.0,
    "deadline": 4e9,
    "period": 60.0,
    "expires_after": 60.0,
    "container": "image",
    "parent": "j1",
    "native": {},
    "resources.tasks": 2,
    "resources.cpus": 2,
    "resources.gpus": 1,
    "resources.memory": 2**20,
    "resources.disk": 2**20,
    "resources.nodes": 2,
    "resources.wall_time": 60.0,
    "resources.exclusive": True,
    "resources.queue": "q",
    "resources.account": "a",
    "resources.reservation": "r",
    "resources.priority": 1,
}
# What a backend would find out about this machine is told to it instead: the page is the same
# wherever it is made.
MACHINE: Final[Mapping[str, Any]] = {"local": {"cpus": 4, "memory": "16GiB", "gpus": 2}}
DEPENDS: Final = {
    "launcher": "honoured if the launcher is installed",
}


def page() -> str:
    """Write the page."""
    with TemporaryDirectory() as folder:
        backends = {name: made(name, Path(folder)) for name in names()}
        lines = [
            WRITTEN_BY,
            "",
            INTRODUCTION,
            *_declared(backends),
            "",
            FIELDS,
            *_planned(backends),
        ]
    return "\n".join([*lines, ""])


def names() -> list[str]:
    """List the backends that the project ships, by entry point."""
    return sorted(
        entry.name
        for entry in entry_points(group="drover.backends")
        if entry.dist is not None
        and entry.dist.name == f"drover-{entry.name}"
        and (PLUGINS / entry.name).is_dir()
    )


def made(name: str, home: Path) -> Any:
    """Make a backend as a client process does: it is never started."""
    (entry,) = entry_points(group="drover.backends", name=name)
    context = SimpleNamespace(name=name, home=home, store_id="docs", epoch=0)
    context.config = MACHINE.get(name, {})
    return entry.load()(context)


def _declared(backends: Mapping[str, Any]) -> Iterator[str]:
    declared = {name: backend.drover_capabilities() for name, backend in backends.items()}
    texts = notes(Capabilities)
    yield f"| | {' | '.join(declared)} | |"
    yield f"|---|{'---|' * len(declared)}---|"
    for field in attrs.fields(Capabilities):
        values = " | ".join(_shown(getattr(each, field.name)) for each in declared.values())
        yield f"| `{field.name}` | {values} | {texts.get(field.name, '')} |"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, Mapping):
        rows = cast("Mapping[str, float]", value)
        return ", ".join(f"{key} {number:g}" for key, number in sorted(rows.items())) or "none"
    if isinstance(value, frozenset):
        return ", ".join(sorted(cast("frozenset[str]", value))) or "none"
    return "none" if value is None else f"{value}"


def _planned(backends: Mapping[str, Any]) -> Iterator[str]:
    yield f"| field | {' | '.join(backends)} |"
    yield f"|---|{'---|' * len(backends)}"
    for field in (*SPEC_FIELDS, *(f"resources.{name}" for name in RESOURCE_FIELDS)):
        if field != "resources":
            cells = " | ".join(_support(backend, field) for backend in backends.values())
            yield f"| `{field}` | {cells} |"


def support(backend: Any, field: str) -> tuple[str, str]:
    """Ask a backend what becomes of one field.

    Returns:
        The word for it, and the note beside it.
    """
    plan = backend.drover_plan(spec=_example(field))
    (entry,) = (entry for entry in plan.fields if entry.field == field)
    return entry.support.value, entry.note


def _support(backend: Any, field: str) -> str:
    if field in DEPENDS:
        return DEPENDS[field]
    if field == "native":
        return "options of its own"
    word, note = support(backend, field)
    return f"{word}: {note}" if note else word


def _example(field: str) -> JobSpec:
    value = EXAMPLES[field]
    if field.startswith("resources."):
        resources = Resources(**{field.removeprefix("resources."): value})
        return JobSpec(argv=("true",), resources=resources)
    fields: dict[str, Any] = {"argv": ("true",), field: value}
    return JobSpec(**fields)

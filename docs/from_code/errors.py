"""The page of errors: each with its facts and a message as it would look."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin, get_type_hints

from drover import errors
from drover.errors import DroverError
from drover.states import State
from from_code.sources import WRITTEN_BY, summary

INTRODUCTION = """\
# Errors

Everything that drover raises on purpose is a `DroverError`, sorted by guilt, with its facts as
attributes and a message that says what to do next. Anything else that comes out of drover is a
bug in drover.
"""


def page() -> str:
    """Write the page."""
    lines = [WRITTEN_BY, "", INTRODUCTION, "```text", *_tree(DroverError, ""), "```", ""]
    for kind in classes():
        lines += [*_entry(kind), ""]
    return "\n".join(lines)


def classes() -> list[type[DroverError]]:
    """List every error class, in the order of the source."""
    return [
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, DroverError)
    ]


def _tree(kind: type, indent: str) -> Iterator[str]:
    yield indent + kind.__name__
    for child in classes():
        if child.__bases__[0] is kind:
            yield from _tree(child, indent + "    ")


def _entry(kind: type[DroverError]) -> Iterator[str]:
    yield f"({kind.__name__})="
    yield f"## `{kind.__name__}`"
    yield ""
    bases = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
    yield f"{summary(kind)} *Is a* {bases}."
    facts = _facts(kind)
    if facts:
        yield ""
        yield f"Facts: {', '.join(f'`{name}`' for name in facts)}. For example:"
        yield ""
        yield "```text"
        yield str(kind(*facts.values()))
        yield "```"


def _facts(kind: type[DroverError]) -> dict[str, Any]:
    """Make up a value for each argument that a class is built from."""
    if "__init__" not in vars(kind):
        return {}
    hints = get_type_hints(kind.__init__)
    names = list(inspect.signature(kind.__init__).parameters)[1:]
    return {name: _example(name, hints[name]) for name in names}


def _example(name: str, hint: Any) -> Any:
    if get_origin(hint) is tuple:
        return tuple(f"<{name} {n}>" for n, _ in enumerate(get_args(hint), 1))
    if get_origin(hint) is Sequence:
        (item,) = get_args(hint)
        return (_example(name, item),)
    if hint == State | None or hint is State:
        return State.RUNNING
    if hint is int:
        return 7
    return 7.5 if hint is float else f"<{name}>"

"""The page of models: every field and word with what its type cannot say."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

import attrs

from drover import models
from from_code.sources import WRITTEN_BY, notes, one_line, summary

INTRODUCTION = """\
# Models

Frozen data, all of it in `drover.models`; what users need most is in `drover` itself too. Every
argument is given by name. Sizes are bytes and times seconds, and both may be text with a unit
(`"8GiB"`, `"1h30m"`).
"""
FIRST = ("JobSpec", "Resources", "Array", "Retry", "Dependency", "Transfer", "Outcome", "Usage")


def page() -> str:
    """Write the page: what users fill in first, the rest by name."""
    lines = [WRITTEN_BY, "", INTRODUCTION]
    for name in (*FIRST, *(name for name in models.__all__ if name not in FIRST)):
        kind: Any = getattr(models, name)
        if isinstance(kind, type):
            lines += [f"({name})=", f"## `{name}`", "", summary(kind), "", *_rows(kind), ""]
    return "\n".join(lines)


def _rows(kind: type[Any]) -> Iterator[str]:
    texts = notes(kind)
    if issubclass(kind, Enum):
        yield "| word | meaning |"
        yield "|---|---|"
        for member in kind:
            yield f"| `{member.value}` | {texts.get(member.name, '')} |"
        return
    yield "| field | type | default | |"
    yield "|---|---|---|---|"
    for entry in attrs.fields(kind):
        shown = one_line(_type(entry.type))
        yield f"| `{entry.name}` | `{shown}` | {_default(entry)} | {texts.get(entry.name, '')} |"


def _type(hint: Any) -> str:
    if isinstance(hint, str):
        return hint
    if isinstance(hint, type) and not hasattr(hint, "__args__"):
        return hint.__name__
    text = str(hint)
    for module in ("collections.abc.", "typing.", "drover.models.", "drover.states."):
        text = text.replace(module, "")
    for private in ("_outcome.", "_spec.", "_request.", "_backend.", "_job."):
        text = text.replace(private, "")
    return text


def _default(entry: "attrs.Attribute[Any]") -> str:
    default: Any = entry.default
    if default is attrs.NOTHING:
        return "*required*"
    if callable(getattr(default, "factory", None)):
        default = default.factory()
    if isinstance(default, frozenset):
        words: list[str] = sorted(map(str, default))  # pyright: ignore[reportUnknownArgumentType]
        return ", ".join(f"`{word}`" for word in words) or "empty"
    if hasattr(default, "__attrs_attrs__"):
        return f"`{type(default).__name__}()`"
    if isinstance(default, Enum):
        return f"`{default.value}`"
    return "empty" if default in ((), "") or default == {} else f"`{default!r}`"

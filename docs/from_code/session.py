"""The page of the Python API: what a program calls, with what its docstrings say."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import drover
from drover.session import Job, JobArray, Output, Session, Subscription
from from_code.sources import WRITTEN_BY, one_line, summary

INTRODUCTION: Final = """\
# The Python API

What a program calls. What it fills in and is given, such as `JobSpec`, `Resources` and `Outcome`,
is on the page of [models](models.md); what is raised on the page of [errors](errors.md). Times are
seconds, and instants seconds since 1970 UTC. A `Job` is a handle: what it tells is read from the
store when it is asked. `Session` and its handles may be used from several threads.
"""
AIO: Final = """\
For asyncio `session.aio` and `job.aio` have the calls that block, to be awaited. Each runs in a
thread; a task that is cancelled leaves the jobs as they are.
"""
INNER: Final = {
    "blockers_of", "care", "load_backend", "plugin_context", "prepare", "ring", "token_of",
    "wake_engine",
}  # fmt: skip
"""Public for the command line, the conformance kit and servers; a program has no use for them."""
ATTRIBUTES: Final = {
    "home": "The folder of the store.",
    "store_id": "Names the store, wherever it lies.",
    "read_only": "Whether it is a copy, or may not be written.",
    "default_backend": "Where jobs go that do not say.",
    "config": "The settings, each with its origin.",
}
_SECTION: Final = re.compile(r"(?m)^(Args|Returns|Raises):\n")
_ENTRY: Final = re.compile(r"(?ms)^ {4}(\*{0,2}\w+): (.*?)(?=^ {4}\S|\Z)")
_MODULE: Final = re.compile(r"\b(?:\w+\.)+(?=[A-Z])")


def page() -> str:
    """Write the page."""
    lines = [WRITTEN_BY, "", INTRODUCTION, "## Functions", ""]
    for name in ("open", "run", "script"):
        lines += _call(f"drover.{name}", getattr(drover, name))
    for kind in (Session, Job, JobArray, Output, Subscription):
        lines += [f"## `{kind.__name__}`", "", summary(kind), ""]
        if kind is Session:
            lines.append(AIO)
        lines += _members(kind, ATTRIBUTES if kind is Session else {})
    return "\n".join(lines)


def _members(kind: type, attributes: dict[str, str]) -> Iterator[str]:
    shown = {n: v for n, v in vars(kind).items() if not n.startswith("_") and n not in INNER}
    told = {name: summary(one) for name, one in shown.items() if isinstance(one, property)}
    if attributes or told:
        yield from ("| attribute | |", "|---|---|")
        yield from (f"| `{name}` | {text} |" for name, text in {**attributes, **told}.items())
        yield ""
    for name, one in shown.items():
        if inspect.isfunction(one):
            yield from _call(f"{kind.__name__}.{name}", one)


def _call(name: str, function: Callable[..., Any]) -> Iterator[str]:
    signature = inspect.signature(function)
    plain = [
        one.replace(annotation=one.empty)
        for one in signature.parameters.values()
        if one.name != "self"
    ]
    words = str(inspect.Signature(plain))
    head, *rest = _SECTION.split(inspect.getdoc(function) or "")
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    yield from (f"### `{name}{words}`", "")
    yield from (text for part in head.strip().split("\n\n") for text in (one_line(part), ""))
    entries = _ENTRY.findall(sections.get("Args", ""))
    if entries:
        yield from ("| argument | type | |", "|---|---|---|")
        for argument, text in entries:
            hint = _type(signature.parameters[argument].annotation)
            yield f"| `{argument}` | {hint} | {one_line(text)} |"
        yield ""
    gives = _type(signature.return_annotation).replace("\\|", "|")
    told = one_line(sections.get("Returns", ""))
    if gives not in {"", "`None`"}:
        yield from (f"Gives {gives}{': ' + told if told else '.'}", "")
    raises = _ENTRY.findall(sections.get("Raises", ""))
    yield from (f"- Raises {_error(error)}: {one_line(text)}" for error, text in raises)
    if raises:
        yield ""


def _type(hint: Any) -> str:
    if hint is inspect.Signature.empty or hint is Any:
        return ""
    text = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    return f"`{one_line(_MODULE.sub('', text))}`"


def _error(name: str) -> str:
    return f"[`{name}`](errors/{name}.md)" if hasattr(drover.errors, name) else f"`{name}`"

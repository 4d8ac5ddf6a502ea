"""The page of hooks: each with its arguments and the answers to the seven questions."""

import inspect
import re
from collections.abc import Iterator
from typing import Final

from drover import hookspecs
from from_code.sources import WRITTEN_BY, one_line

QUESTIONS: Final = ("When", "How often", "Thread", "Block", "Answers", "None", "Exception")
_ENTRY: Final = re.compile(rf"^({'|'.join(QUESTIONS)}):", re.MULTILINE)


def page() -> str:
    """Write the page."""
    lines = [WRITTEN_BY, "", "# Hooks", "", inspect.getdoc(hookspecs) or "", ""]
    for owner, title in (
        (hookspecs.BackendHooks, "Backend hooks"),
        (hookspecs.LifecycleHooks, "Lifecycle hooks"),
    ):
        lines += [f"## {title}", "", inspect.getdoc(owner) or "", ""]
        for name, hook in vars(owner).items():
            if name.startswith("drover_"):
                lines += _hook(name, hook)
    return "\n".join(lines)


def arguments(hook: object) -> tuple[str, ...]:
    """List a hook's arguments as an implementation may name them."""
    if not callable(hook):
        raise TypeError(f"{hook!r} is no hook")
    return tuple(name for name in inspect.signature(hook).parameters if name != "self")


def _hook(name: str, hook: object) -> Iterator[str]:
    text = inspect.getdoc(hook) or ""
    head, *rest = _ENTRY.split(text)
    answers = dict(zip(rest[::2], rest[1::2], strict=True))
    marker: dict[str, object] = getattr(hook, f"{hookspecs.PROJECT}_spec", {})
    yield f"({name})="
    yield f"### `{name}({', '.join(arguments(hook))})`"
    yield ""
    yield one_line(head)
    yield ""
    yield from _types(hook)
    yield ""
    yield "| question | answer |"
    yield "|---|---|"
    for question in QUESTIONS:
        if question not in answers:
            raise ValueError(f"{name} does not answer {question!r} in its docstring")
        yield f"| {question} | {one_line(answers[question])} |"
    yield ""
    if marker.get("firstresult"):
        yield "The first answer that is not `None` counts; the others are not asked.\n"


def _types(hook: object) -> Iterator[str]:
    if not callable(hook):
        raise TypeError(f"{hook!r} is no hook")
    signature = inspect.signature(hook)
    shown = [f"`{name}: {signature.parameters[name].annotation}`" for name in arguments(hook)]
    takes = ", ".join(shown) or "nothing"
    yield f"Takes {takes}; gives `{signature.return_annotation}`."

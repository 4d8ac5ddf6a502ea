"""The pages of errors: the tree, and a page per class drawn from its docstring."""

import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, get_args, get_origin, get_type_hints

from drover import errors
from drover.cli import _exits
from drover.errors import DroverError
from drover.states import State
from from_code.sources import WRITTEN_BY, one_line, summary

INTRODUCTION: Final = """\
# Errors

Everything that drover raises on purpose is a `DroverError`, sorted by guilt, with its facts as
attributes and a message that says what to do next. Each class has a page. Anything else that comes
out of drover is a bug in drover, save Python's own `TypeError` for an argument of a wrong type.
"""
TITLES: Final = ("Raised when", "Left behind", "What to do", "Try it")
"""What a docstring has to answer, in this order."""


def pages() -> Iterator[tuple[str, str]]:
    """Give the tree and the page of each class, by file name."""
    yield "errors.md", _overview()
    for kind in classes():
        yield f"errors/{kind.__name__}.md", "\n".join(_page(kind)) + "\n"


def classes() -> list[type[DroverError]]:
    """List every error class, a base before those that are made of it."""
    return [kind for _, kind in _below(DroverError, 0)]


def _below(kind: type[DroverError], depth: int) -> Iterator[tuple[int, type[DroverError]]]:
    yield depth, kind
    for child in vars(errors).values():
        if inspect.isclass(child) and issubclass(child, kind) and child.__bases__[0] is kind:
            yield from _below(child, depth + 1)


def _overview() -> str:
    tree = [
        f"{'  ' * depth}- [`{kind.__name__}`](errors/{kind.__name__}.md) - {summary(kind)}"
        for depth, kind in _below(DroverError, 0)
    ]
    contents = [f"errors/{kind.__name__}" for kind in classes()]
    toc = ["```{toctree}", ":hidden:", *contents, "```"]
    return "\n".join([WRITTEN_BY, "", INTRODUCTION, *tree, "", *toc, ""])


def _page(kind: type[DroverError]) -> Iterator[str]:
    name = kind.__name__
    yield from (WRITTEN_BY, "", f"({name})=", f"# `{name}`", "", summary(kind), "")
    bases = ", ".join(_link(base) for base in kind.__bases__)
    yield f"*Is a* {bases}. *All errors:* [the tree](../errors.md)."
    answers = _answers(kind)
    for title in TITLES[:3]:
        yield from ("", f"## {title}", "", _sentence(answers[title]))
    facts = _facts(kind)
    if facts:
        yield from ("", "## Facts", "", "| attribute | what it is |", "|---|---|")
        said = _attributes(kind)
        yield from (f"| `{fact}` | {said[fact]} |" for fact in facts)
        yield from ("", "## Message", "", "```text", str(_raised(kind, facts)), "```")
    yield from ("", "## Exit code of the command line", "", _exit_code(kind))
    if "Try it" in answers:
        yield from ("", "## Try it", "", *_try_it(name, answers["Try it"]))


def _raised(kind: type[DroverError], facts: Mapping[str, Any]) -> DroverError:
    """Make one of its kind; what changes no word of it may be given by name alone."""
    named = {
        name
        for name, one in inspect.signature(kind).parameters.items()
        if one.kind is inspect.Parameter.KEYWORD_ONLY
    }
    given = [value for name, value in facts.items() if name not in named]
    return kind(*given, **{name: facts[name] for name in named & facts.keys()})


def _link(base: type) -> str:
    if issubclass(base, DroverError):
        return f"[`{base.__name__}`]({base.__name__}.md)"
    return f"`{base.__name__}`"


def _answers(kind: type) -> dict[str, str]:
    """Read the paragraphs of a docstring that begin with a title."""
    text = inspect.getdoc(kind) or ""
    pattern = rf"(?ms)^({'|'.join(TITLES)}):(.*?)(?=^(?:{'|'.join((*TITLES, 'Attributes'))}):|\Z)"
    return {match[1]: match[2].rstrip() for match in re.finditer(pattern, text)}


def _attributes(kind: type) -> dict[str, str]:
    """Read what a docstring says about each fact."""
    _, _, text = (inspect.getdoc(kind) or "").partition("\nAttributes:\n")
    return {match[1]: one_line(match[2]) for match in re.finditer(r"(?m)^ {4}(\w+): (.*)$", text)}


def _sentence(text: str) -> str:
    text = one_line(text)
    return text[:1].upper() + text[1:]


def _exit_code(kind: type[DroverError]) -> str:
    if not _facts(kind):
        return "That of the class that was raised; see [exit codes](../exit-codes.md)."
    code = _exits.of_error(kind.__new__(kind))
    return (
        f"{code}: {_exits.CODES[code]}. `drover run` exits with {_exits.OWN_FAILURE}. "
        "See [exit codes](../exit-codes.md)."
    )


def _try_it(name: str, text: str) -> Iterator[str]:
    if not text.startswith(":"):
        yield _sentence(text)
        return
    code = textwrap.dedent(text.removeprefix(":").strip("\n"))
    yield from ("```python", "import drover", f"from drover.errors import {name}", "")
    yield 'with drover.open("try-it", engine="none") as session:'
    yield from ("    try:", textwrap.indent(code, " " * 8), f"    except {name} as error:")
    yield from ("        print(error)", "    else:", '        raise SystemExit("nothing raised")')
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

"""The page of the DRMAA face: every name, what it does here, and the tests that prove it."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from drover import drmaa
from drover.drmaa.vocabulary import (
    ALLOWED,
    ATTRIBUTES,
    CODES,
    ENDED_AS,
    HELD_BY,
    SEEN_AS,
    STATUS_OF,
    STOPPED_BY,
    VERB_OF,
)
from drover.states import State
from from_code.sources import WRITTEN_BY, notes, one_line, summary

LEDGER: Final = Path(__file__).parents[2] / "tests/ledger.toml"
INTRODUCTION: Final = """\
# DRMAA

`drover.drmaa` has the API of drmaa-python 0.7.9 over any backend. How to move a program to it says
[Coming from DRMAA](../howto/coming-from-drmaa.md). Beside each name stand the tests that prove it,
as `tests/ledger.toml` has them; those in `tests/drmaa` run over every backend.
"""
CONSTANTS: Final = """\
All constants of drmaa-python are there under their names (`drover.drmaa.const` has them too), as
text. The functions `job_state`, `status_to_string`, `control_action_to_string`,
`string_to_control_action` and `submission_state` translate the C library's numbers.
"""
VOCABULARY: Final = """\
`drover.drmaa.vocabulary` has all of this as data and pure functions: no session, no file, no clock.
Backends that speak DRMAA may import it.
"""


def page() -> str:
    """Write the page."""
    ledger = tomllib.loads(LEDGER.read_text("utf-8"))["drmaa"]
    parts = [_session(ledger), _template(ledger), _info(ledger), _states(), _actions()]
    parts += [_faults(ledger), iter(["## Constants and functions\n", CONSTANTS, VOCABULARY])]
    lines = [line for part in parts for line in part]
    return "\n".join([WRITTEN_BY, "", INTRODUCTION, *lines])


def _tests(ledger: dict[str, list[str]], name: str) -> str:
    return "<br>".join(f"`{test.rpartition('::')[2]}`" for test in ledger[name])


def _session(ledger: dict[str, list[str]]) -> Iterator[str]:
    told = notes(drmaa.Session)
    yield "## `Session`\n"
    yield "| name | does | tests |"
    yield "|---|---|---|"
    for name, value in vars(drmaa.Session).items():
        if name.startswith("_"):
            continue
        call = isinstance(value, staticmethod)
        text = summary(getattr(drmaa.Session, name)) if call else told.get(name, f"`{value!r}`")
        shown = f"{name}()" if call else name
        yield f"| `{shown}` | {text} | {_tests(ledger, f'Session.{name}')} |"
    yield ""


def _template(ledger: dict[str, list[str]]) -> Iterator[str]:
    told = notes(drmaa.JobTemplate)
    yield "## `JobTemplate`\n"
    yield "| attribute | DRMAA's name | means | tests |"
    yield "|---|---|---|---|"
    for name, theirs in ATTRIBUTES.items():
        yield f"| `{name}` | `{theirs}` | {told[name]} | {_tests(ledger, f'JobTemplate.{name}')} |"
    for name in ("HOME_DIRECTORY", "WORKING_DIRECTORY", "PARAMETRIC_INDEX"):
        value = getattr(drmaa.JobTemplate, name)
        yield f"| `{name}` | `{value}` | {told[name]} | {_tests(ledger, f'JobTemplate.{name}')} |"
    for name in ("attributeNames", "delete"):
        thing: Any = vars(drmaa.JobTemplate)[name]
        yield f"| `{name}` | | {summary(thing)} | {_tests(ledger, f'JobTemplate.{name}')} |"
    yield ""


def _info(ledger: dict[str, list[str]]) -> Iterator[str]:
    told = notes(drmaa.JobInfo)
    yield "## `JobInfo`\n"
    yield f"{summary(drmaa.JobInfo)} Tests: {_tests(ledger, 'JobInfo').replace('<br>', ', ')}.\n"
    yield "| field | means |"
    yield "|---|---|"
    for name in drmaa.JobInfo._fields:
        yield f"| `{name}` | {told.get(name, '')} |"
    yield ""


def _states() -> Iterator[str]:
    yield "## States\n"
    yield "`jobStatus` gives a word for every state of a job. A job that does not run and that"
    yield "somebody holds is on hold by whom; one that waits for an instant or another job is on"
    yield "hold by the system. `done` says nothing of the exit code: `wait` tells it.\n"
    yield "| state | word |"
    yield "|---|---|"
    for state, word in STATUS_OF.items():
        yield f"| `{state}` | {_words(state, word)} |"
    yield ""
    yield "| the reason of an end | word |"
    yield "|---|---|"
    yield from (f"| `{reason}` | `{word}` |" for reason, word in ENDED_AS.items())
    yield ""
    yield "A backend reads the same words so:\n"
    yield "| word | phase | held by | suspended by |"
    yield "|---|---|---|---|"
    for word, seen in SEEN_AS.items():
        by = ("" if who is None else ", ".join(sorted(who)) or "nobody"
              for who in (seen.hold, seen.suspended_by))  # fmt: skip
        yield f"| `{word}` | {seen.phase} | {' | '.join(by)} |"
    yield ""


def _words(state: State, usual: str) -> str:
    if state is State.SUSPENDED:
        return ", ".join(f"`{word}`" for word in dict.fromkeys(STOPPED_BY.values()))
    if state is State.FAILED:
        return "by the reason of its end"
    words = [usual, *(word for word in HELD_BY.values() if word != usual)]
    return ", ".join(f"`{word}`" for word in (words if usual in HELD_BY.values() else [usual]))


def _actions() -> Iterator[str]:
    yield "## Control actions\n"
    yield "| action | in Drover | of jobs that are |"
    yield "|---|---|---|"
    for action, verb in VERB_OF.items():
        states = ALLOWED[action]
        where = ", ".join(f"`{one}`" for one in sorted(states)) if len(states) < 3 else "not ended"
        yield f"| `{action}` | `{verb}` | {where} |"
    yield ""


def _faults(ledger: dict[str, list[str]]) -> Iterator[str]:
    code_of = {kind: code for code, kind in CODES.items()}
    names = [name for name in drmaa.errors.__all__ if name != "DrmaaException"]
    yield "## Exceptions\n"
    yield "All are `DrmaaException`s, and no `DroverError`s; the cause is kept. Messages begin with"
    yield "DRMAA's number, as in `code 18: there is no job 'x'`.\n"
    yield "| exception | code | is also | raised when | tests |"
    yield "|---|---|---|---|---|"
    for name in names:
        kind = getattr(drmaa, name)
        also = ", ".join(f"`{base.__name__}`" for base in kind.__bases__[1:])
        text = one_line(summary(kind))
        yield f"| `{name}` | {code_of.get(kind, '')} | {also} | {text} | {_tests(ledger, name)} |"
    yield ""

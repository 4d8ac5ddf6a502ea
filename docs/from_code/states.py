"""The page of states: what each means, and every move of the table."""

from collections import defaultdict
from collections.abc import Iterator

from drover.events import EVENTS
from drover.states import CREATION, ENDED, FINAL, NOTES, PLACED, TRANSITIONS, State
from from_code.sources import WRITTEN_BY, notes, summary

INTRODUCTION = """\
# States

A job's state is a fold over facts: every change is an event in an append-only journal, and
replaying the journal gives the same job. This page is drawn from `TRANSITIONS` in
`drover.states`, the only list of moves there is; a fact that does not fit the state is refused
and changes nothing.

```{image} states.svg
:alt: The states as boxes from left to right and the moves between them as arrows, as listed below.
:width: 100%
```

In the picture the dots under a box mark how the attempt may end from there: **S**ucceeded,
**F**ailed, **C**ancelled, **L**ost, and **W** for the next attempt, which goes to WAITING: by
itself for a job with `retry` (without passing FAILED), or after an end because somebody asked.
Every other move is an arrow, dashed where it goes back.

Holds, pending requests, the backend's own word, attempt, restart and progress are no states:
they are kept beside the state and survive every move.
"""


def page() -> str:
    """Write the page."""
    return "\n".join([WRITTEN_BY, "", INTRODUCTION, *_meanings(), "", *_moves(), "", *_facts(), ""])


def _meanings() -> Iterator[str]:
    texts = notes(State)
    yield "## What they mean\n"
    yield "| state | meaning, and who leaves it | |"
    yield "|---|---|---|"
    for state in State:
        yield f"| `{state}` | {texts[state]} | {_kind(state)} |"
    yield ""
    yield "*Final* states absorb: only a retry that somebody asks for leaves them. `wait()` returns"
    yield "jobs that are final or `LOST`. *Placed*: a backend has, or may have, the job."


def _kind(state: State) -> str:
    if state in FINAL:
        return "final"
    if state in ENDED:
        return "ends `wait()`"
    return "placed" if state in PLACED else ""


def _moves() -> Iterator[str]:
    yield "## Every move\n"
    yield f"A job begins with the fact `{CREATION}`, in `{State.NEW}`.\n"
    yield "| from | fact | to |"
    yield "|---|---|---|"
    for state, row in TRANSITIONS.items():
        for event, targets in row.items():
            yield f"| `{state}` | `{event}` | {', '.join(f'`{target}`' for target in targets)} |"


def _facts() -> Iterator[str]:
    moved_by: defaultdict[str, list[State]] = defaultdict(list)
    for state, row in TRANSITIONS.items():
        for event in row:
            moved_by[event].append(state)
    yield "## The facts\n"
    yield "Each is a class in `drover.events` and carries its own time.\n"
    yield "| fact | says | moves |"
    yield "|---|---|---|"
    for name, kind in EVENTS.items():
        moves = ", ".join(f"`{state}`" for state in moved_by[name])
        if name in NOTES:
            moves = "none: recorded in any state"
        yield f"| `{name}` | {summary(kind)} | {moves or 'makes the job'} |"

"""What goes wrong between a command and its caller.

A fault stands around a command: it is given the call and a way to carry it out, and answers.
`Faults.add` says for which command, how often and when; the functions here make the faults. Each
is named after what its victim sees.
"""

import random
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from attrs import define, evolve

from drover.testing.scheduler._calls import Call, Reply, Row, encoded, never
from drover.testing.scheduler._time import Timeline

Go = Callable[[Call], Reply]
"""Carries the call out."""


class Surroundings(Protocol):
    """What a fault may use."""

    @property
    def random(self) -> random.Random:
        """Draw from here alone, so that a seed replays."""
        ...

    @property
    def timeline(self) -> Timeline:
        """Put here what is to happen later."""
        ...


Fault = Callable[[Call, Go, Surroundings], Reply]
"""Answers a call, whether or not it carries it out."""


@define(eq=False)
class Planned:
    """A fault that waits for its calls. Keep it to ask how often it struck, or to end it."""

    command: str
    fault: Fault
    times: int | None
    after: int
    chance: float
    when: Callable[[Call], bool]
    struck: int = 0
    """How often it struck."""

    def strikes(self, call: Call, draw: random.Random) -> bool:
        """Decide about one call, and count it."""
        if self.command not in ("*", call.name) or not self.when(call):
            return False
        if self.times is not None and self.struck >= self.times:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self.chance < 1.0 and draw.random() >= self.chance:
            return False
        self.struck += 1
        return True

    def end(self) -> None:
        """Let it strike no more."""
        self.times = self.struck


def _always(_call: Call) -> bool:
    return True


class Faults:
    """The faults of one scheduler."""

    def __init__(self) -> None:
        self._planned: Final[list[Planned]] = []

    def add(
        self,
        command: str,
        fault: Fault,
        *,
        times: int | None = 1,
        after: int = 0,
        chance: float = 1.0,
        when: Callable[[Call], bool] = _always,
    ) -> Planned:
        """Let a command go wrong. Several faults may meet in one call; the first is outermost.

        Args:
            command: Its name, such as `squeue`; `*` for all.
            fault: What goes wrong.
            times: How often, at most; `None` for ever.
            after: How many such calls go well before.
            chance: From 0 to 1, drawn for each call.
            when: Which calls count.
        """
        planned = Planned(command, fault, times, after, chance, when)
        self._planned.append(planned)
        return planned

    def clear(self) -> None:
        """Let all go well from now on."""
        self._planned.clear()

    def around(self, call: Call, go: Go, world: Surroundings) -> Reply:
        """Carry a call out, with what goes wrong about it."""
        for planned in reversed([one for one in self._planned if one.strikes(call, world.random)]):
            go = _around(planned.fault, go, world)
        return go(call)


def _around(fault: Fault, go: Go, world: Surroundings) -> Go:
    return lambda call: fault(call, go, world)


# --- about the whole command ---------------------------------------------------------------------


def lose_request() -> Fault:
    """Never come back, and do nothing."""
    return lambda _call, _go, _world: never()


def lose_answer() -> Fault:
    """Do everything, and never come back."""

    def fault(call: Call, go: Go, _world: Surroundings) -> Reply:
        go(call)
        return never()

    return fault


def accept_late(after_s: float, reply: Reply | None = None) -> Fault:
    """Fail now, and be carried out later all the same: what a server does that wakes up.

    Args:
        after_s: Seconds until it happens.
        reply: What the caller is told now; `None` never comes back.
    """

    def fault(call: Call, go: Go, world: Surroundings) -> Reply:
        def wake(at: float) -> None:
            go(evolve(call, at=at, as_of=at))

        world.timeline.later(after_s, wake)
        return reply or never()

    return fault


def refuse(errors: str, code: int = 1, *, took_s: float = 0.0) -> Fault:
    """Do nothing, and say so."""
    return lambda _call, _go, _world: Reply(errors=encoded(errors), code=code, took_s=took_s)


def deny(errors: str, code: int = 1, *, took_s: float = 0.0) -> Fault:
    """Do everything, and say that it failed."""

    def fault(call: Call, go: Go, _world: Surroundings) -> Reply:
        go(call)
        return Reply(errors=encoded(errors), code=code, took_s=took_s)

    return fault


def be_slow(seconds: float) -> Fault:
    """Take a while. The caller may have lost its patience by then; all is done even so."""
    return lambda call, go, _world: _later(go(call), seconds)


def _later(reply: Reply, seconds: float) -> Reply:
    return evolve(reply, took_s=reply.took_s + seconds)


def be_missing(why: str = "No such file or directory") -> Fault:
    """Be no command at all."""
    return lambda _call, _go, _world: Reply(missing=why)


def be_killed(signal: int = 9) -> Fault:
    """Do everything, and die by a signal before a word is said."""

    def fault(call: Call, go: Go, _world: Surroundings) -> Reply:
        go(call)
        return Reply(code=-signal)

    return fault


def lag(seconds: float) -> Fault:
    """Show how things were a while ago."""
    return lambda call, go, _world: go(evolve(call, as_of=call.as_of - seconds))


# --- about what it prints ------------------------------------------------------------------------


def rewrite(change: Callable[[Reply], Reply]) -> Fault:
    """Carry it out, and answer something else."""
    return lambda call, go, _world: change(go(call))


def say_nothing() -> Fault:
    """Do everything, and be content: exit code 0 and no output at all."""
    return rewrite(lambda _reply: Reply())


def cut(keep: int = -5, *, code: int = 0) -> Fault:
    """Stop in the middle of the output.

    Args:
        keep: How many bytes get through; negative: how many at the end do not.
        code: The exit code.
    """

    def change(reply: Reply) -> Reply:
        return evolve(reply.with_output(reply.output[:keep]), code=code)

    return rewrite(change)


def add_noise(
    before: bytes = b"", after: bytes = b"", *, between: bytes = b"", errors: bytes = b""
) -> Fault:
    """Print what has nothing to do with it, as start-up files, plugins and warnings do.

    Args:
        before: In front of the output.
        after: Behind it.
        between: Before each row.
        errors: In front of standard error.
    """

    def change(reply: Reply) -> Reply:
        rows = [piece for row in reply.rows for piece in (Row(of="", text=between), row)]
        noisy = (Row(of="", text=before), *rows, Row(of="", text=after))
        return evolve(reply, rows=noisy, errors=errors + reply.errors)

    return rewrite(change)


def replace(old: bytes, new: bytes) -> Fault:
    """Print another word for each occurrence of one: a state that nobody knows, bad bytes..."""
    return rewrite(lambda reply: _map_rows(reply, lambda row: [_replaced(row, old, new)]))


def _replaced(row: Row, old: bytes, new: bytes) -> Row:
    return evolve(row, text=row.text.replace(old, new))


def drop_rows(*native_ids: str) -> Fault:
    """Leave jobs out of a listing that looks complete. Without ids: all jobs."""
    gone = frozenset(native_ids)

    def change(row: Row) -> list[Row]:
        return [] if row.of and (not gone or row.of in gone) else [row]

    return rewrite(lambda reply: _map_rows(reply, change))


def repeat_rows(*native_ids: str) -> Fault:
    """List jobs twice. Without ids: all jobs."""
    twice = frozenset(native_ids)

    def change(row: Row) -> list[Row]:
        return [row, row] if row.of and (not twice or row.of in twice) else [row]

    return rewrite(lambda reply: _map_rows(reply, change))


def add_rows(*texts: bytes) -> Fault:
    """List what is not there."""
    more = tuple(Row(of="", text=text) for text in texts)
    return rewrite(lambda reply: evolve(reply, rows=(*reply.rows, *more)))


def shuffle_rows() -> Fault:
    """List the jobs in another order."""

    def fault(call: Call, go: Go, world: Surroundings) -> Reply:
        reply = go(call)
        heads = [row for row in reply.rows if not row.of]
        rows = [row for row in reply.rows if row.of]
        world.random.shuffle(rows)
        return evolve(reply, rows=(*heads, *rows))

    return fault


def _map_rows(reply: Reply, change: Callable[[Row], Iterable[Row]]) -> Reply:
    return evolve(reply, rows=tuple(new for row in reply.rows for new in change(row)))

"""Calls that take time on the virtual clock: some hang, some act after they were given up."""

import random
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

from drover._engine._lanes import Call, Reply, execute
from drover._plugins import Backend
from drover.errors import CallOverdueError
from drover.testing.simulation._danger import Point

if TYPE_CHECKING:
    from drover.testing.simulation._process import SimulatedProcess

CALL_S: Final = 10.0
"""Deadline of every call."""
CHANGING: Final = frozenset({"drover_submit", "drover_control", "drover_close"})
"""Hooks that change the outside world: the others leave nothing behind when nobody waits."""


@frozen(kw_only=True)
class Slowness:
    """How long calls take."""

    slow: float = 0.0
    """How many of them take up to two seconds, each way."""
    hang: float = 0.0
    """How many of them come back after their deadline, or never."""

    def drawn_s(self, chance: random.Random) -> tuple[float, float]:
        """Draw how long a call is on its way there, and back."""
        rolled = chance.random()
        if rolled < self.hang:
            there = chance.choice((0.0, 1.0, 1.0)) * chance.uniform(0.0, 6.0 * CALL_S)
            return there, CALL_S * 4.0
        if rolled < self.hang + self.slow:
            return chance.uniform(0.0, 2.0), chance.uniform(0.0, 2.0)
        return 0.0, 0.0


@define(eq=False)
class UnderWay:
    """A call on its way to the outside world, or back."""

    backend: Backend
    call: Call
    acts_at: float
    back_s: float
    deadline: float
    is_out: bool = False
    """Whether it has left its process: it will act whatever becomes of that."""
    reply: Reply | None = field(default=None, repr=False)
    back_at: float = 0.0

    def act(self, now: float) -> None:
        """Let the world carry it out. Once begun it is not begun again."""
        self.is_out = True
        self.reply = execute(self.backend, self.call)
        self.back_at = now + self.back_s


class SimulatedLane:
    """A lane that moves when its process lets it. See `drover._engine.ThreadLane`."""

    def __init__(
        self, process: "SimulatedProcess", backend: Backend, reply: Callable[[Reply], None]
    ) -> None:
        self._process = process
        self._backend = backend
        self._reply = reply
        self._calls: Final[deque[Call]] = deque()
        self.current: UnderWay | None = None

    # --- for the engine ------------------------------------------------------------------------

    def add(self, call: Call) -> None:
        """Call it after those that were added before."""
        self._process.refuse_the_dead()
        if self._process.is_leaving:
            self._reply(execute(self._backend, call))
        else:
            self._calls.append(call)

    def give_up_overdue(self) -> None:
        """Answer a call that is over its deadline, and go on without it."""
        way = self.current
        if way is None or self._process.now < way.deadline:
            return
        self._process.let_out(way)
        self.current = None
        self._process.tell(f"{way.call.hook} is overdue")
        error = CallOverdueError(self._backend.name, way.call.hook, CALL_S)
        self._reply(Reply(call=way.call, answer=None, error=error))

    @property
    def deadline(self) -> float | None:
        """When the present call is overdue."""
        return None if self.current is None else self.current.deadline

    @property
    def idle(self) -> bool:
        """Tell whether nothing is under way or waiting."""
        return self.current is None and not self._calls

    def close(self) -> None:
        """Take no more calls; the present one is not waited for."""
        self._calls.clear()
        if self.current is not None and not self._process.is_killed:
            self._process.let_out(self.current)
            self.current = None

    # --- for the simulation --------------------------------------------------------------------

    @property
    def due(self) -> float | None:
        """Say when it wants to move, on the monotonic clock."""
        way = self.current
        if way is None:
            return 0.0 if self._calls else None
        if way.reply is not None:
            return way.back_at
        return None if way.is_out else way.acts_at

    def is_due(self, now: float) -> bool:
        """Tell whether it wants to move now."""
        due = self.due
        return due is not None and due <= now

    def move(self) -> None:
        """Take a call, let it act, or bring its answer back: what is due."""
        now, way = self._process.now, self.current
        if way is None:
            if self._process.gate(Point.CALL):
                self._begin(now)
        elif way.reply is None:
            self._process.act(way)
            # The answer stays with a process that is paused here.
            self._process.gate(Point.ANSWER)
        else:
            self.current = None
            self._reply(way.reply)

    def _begin(self, now: float) -> None:
        there_s, back_s = self._process.slowness.drawn_s(self._process.chance)
        call = self._calls.popleft()
        self.current = UnderWay(
            backend=self._backend,
            call=call,
            acts_at=now + there_s,
            back_s=back_s,
            deadline=now + CALL_S,
        )

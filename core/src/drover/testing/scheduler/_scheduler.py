"""What every scripted scheduler is: commands, faults, time and a log of what was asked."""

import getpass
import os
import random
import threading
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Final

from attrs import frozen

from drover.hookspecs import Clock
from drover.testing._clock import FakeClock
from drover.testing.scheduler._calls import Call, Reply, Row
from drover.testing.scheduler._faults import Faults
from drover.testing.scheduler._time import Timeline
from drover.testing.scheduler._weather import Weather

LOG_LENGTH: Final = 10_000
Command = Callable[[Call], Reply]


@frozen
class Heard:
    """One entry of the log."""

    call: Call
    reply: Reply


class Scheduler(ABC):
    """A batch system in memory that answers the command lines of a real one.

    Subclasses give `commands` and what `Weather` needs. Nothing happens by itself: whoever moves
    the clock lets time pass, and the scheduler catches up at the next look. With the same seed
    and the same calls it does the same.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        seed: int = 0,
        user: str | None = None,
        uid: int | None = None,
    ) -> None:
        """Begin with nothing.

        Args:
            clock: `None` makes a FakeClock.
            seed: Of everything random.
            user: Who calls, where the call does not say it. `None`: who runs the test.
            uid: The same as a number.
        """
        self.clock: Final[Clock] = clock or FakeClock()
        self.timeline: Final = Timeline(self.clock)
        self.random: Final = random.Random(seed)  # noqa: S311 - it is to be repeatable
        self.user: Final = getpass.getuser() if user is None else user
        self.uid: Final = os.getuid() if uid is None else uid
        self.faults: Final = Faults()
        self.weather = Weather()
        """What goes wrong by chance; nothing at first."""
        self.log: Final[deque[Heard]] = deque(maxlen=LOG_LENGTH)
        """The commands that were run, in order; of very many the last."""
        self.load: Final[Counter[str]] = Counter()
        """How many commands were run, by name."""
        self.lock: Final = threading.RLock()
        """Held while anything changes. Who looks at several things at once may take it."""

    # --- what a kind of scheduler is -----------------------------------------------------------

    @property
    @abstractmethod
    def commands(self) -> Mapping[str, Command]:
        """Give its commands by name."""

    @abstractmethod
    def trouble(self, call: Call) -> Reply:
        """Answer as when the server cannot be asked now, in its own words."""

    @abstractmethod
    def reword(self, row: Row) -> Row:
        """Print a state that nobody knows, if the row has one."""

    @abstractmethod
    def changes(self, call: Call) -> bool:
        """Tell whether the call would change anything."""

    @abstractmethod
    def look(self) -> None:
        """Take in what happened outside: processes that have ended."""

    # --- time ----------------------------------------------------------------------------------

    @property
    def next_due(self) -> float | None:
        """Give the monotonic time of the next thing to happen."""
        wait_s = self.timeline.wait_s
        return None if wait_s is None else self.clock.monotonic() + wait_s

    def catch_up(self) -> None:
        """Let everything happen that is due by now."""
        with self.lock:
            self.look()
            self.timeline.catch_up()

    def advance(self, seconds: float) -> None:
        """Let time pass, where the clock is a FakeClock."""
        with self.lock:
            self.look()
            self.timeline.advance(seconds)

    def pass_time(self, seconds: float) -> None:
        """Let time pass on a FakeClock; a real one needs nobody for it."""
        if isinstance(self.clock, FakeClock):
            self.advance(seconds)
        else:
            self.catch_up()

    # --- commands ------------------------------------------------------------------------------

    def execute(
        self,
        argv: Sequence[str],
        *,
        read_input: Callable[[], bytes] = bytes,
        environment: Mapping[str, str] | None = None,
        cwd: str | None = None,
        user: str | None = None,
        uid: int | None = None,
    ) -> Reply:
        """Run a command line, with its faults.

        Args:
            argv: The command and its arguments.
            read_input: Gives standard input; called at most once, by a command that reads it.
            environment: Of the command. `None`: empty.
            cwd: Its working directory. `None`: this process's.
            user: Who runs it. `None`: this scheduler's user.
            uid: The same as a number.
        """
        with self.lock:
            self.catch_up()
            name = PurePath(argv[0]).name
            now = self.clock.time()
            call = Call(
                argv=tuple(argv),
                name=name,
                environment=dict(environment or {}),
                cwd=cwd or os.getcwd(),  # noqa: PTH109 - text, not a path to work with
                user=self.user if user is None else user,
                uid=self.uid if uid is None else uid,
                at=now,
                as_of=now,
                read_input=read_input,
            )
            reply = self.faults.around(call, self._in_weather, self)
            self.log.append(Heard(call, reply))
            self.load[call.name] += 1
            return reply

    def _in_weather(self, call: Call) -> Reply:
        return self.weather.around(call, self._carry_out, self)

    def _carry_out(self, call: Call) -> Reply:
        command = self.commands.get(call.name)
        return command(call) if command else Reply(missing="No such file or directory")

    def heard(self, command: str = "") -> list[Call]:
        """List the calls of one command, or all, oldest first."""
        return [entry.call for entry in self.log if command in ("", entry.call.name)]

"""The scripted Slurm: its commands, its outages, and what tests may do to it."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Self

from attrs import evolve

from drover.hookspecs import Clock
from drover.testing.scheduler._calls import Call, Reply, Row
from drover.testing.scheduler._options import OptionError
from drover.testing.scheduler._scheduler import Command, Scheduler
from drover.testing.scheduler.slurm import _outages as outages
from drover.testing.scheduler.slurm._accounting import Accounting
from drover.testing.scheduler.slurm._controller import Controller, Ending, never_ends
from drover.testing.scheduler.slurm._grammar import GRAMMARS
from drover.testing.scheduler.slurm._job import Job
from drover.testing.scheduler.slurm._outages import Condition
from drover.testing.scheduler.slurm._runner import Runner
from drover.testing.scheduler.slurm._sacct import sacct
from drover.testing.scheduler.slurm._sbatch import sbatch
from drover.testing.scheduler.slurm._scancel import scancel
from drover.testing.scheduler.slurm._scontrol import asks_only, scontrol
from drover.testing.scheduler.slurm._sinfo import sinfo
from drover.testing.scheduler.slurm._site import SlurmSite
from drover.testing.scheduler.slurm._squeue import squeue
from drover.testing.scheduler.slurm._steps import Steps
from drover.testing.scheduler.slurm._words import SHORT, Flag

COMMANDS: Final[Mapping[str, Callable[[Controller, Call], Reply]]] = MappingProxyType(
    {
        "sbatch": sbatch,
        "squeue": squeue,
        "sacct": sacct,
        "scancel": scancel,
        "scontrol": scontrol,
        "sinfo": sinfo,
    }
)
STRANGE: Final = b"HIBERNATING"
"""A state that no version of Slurm knows."""
DYING: Final = 0.03
"""Real seconds for each virtual one, while processes are dying that were signalled."""
EAGER_S: Final = 0.3
"""From a submission to a start. Measured: 0.27 to 0.5 s."""


class SlurmScheduler(Steps, Scheduler):
    """Slurm 22.05 in memory.

    Jobs wait until the test starts them (`start`, `finish`...), or start by themselves where
    there is room (`auto=True`) and end as `ending` says, or run for real (`run_for_real=True`).

    Use it as a context manager where jobs run for real: what still runs is killed at the end.
    """

    def __init__(
        self,
        site: SlurmSite | None = None,
        *,
        auto: bool | None = None,
        ending: Callable[[Job], Ending | None] = never_ends,
        run_for_real: bool = False,
        clock: Clock | None = None,
        seed: int = 0,
        user: str | None = None,
        uid: int | None = None,
    ) -> None:
        """Begin with no jobs.

        Args:
            site: The cluster. `None`: a small one.
            auto: Whether jobs start by themselves, `EAGER_S` after they may. `None`: if they run
                for real.
            ending: How a job ends by itself, where it does not run for real. `None` from it:
                the test ends it.
            run_for_real: Whether scripts are executed, by child processes on this machine.
            clock: `None` makes a FakeClock.
            seed: Of everything random.
            user: Whose commands they are. `None`: who runs the test.
            uid: The same as a number.
        """
        super().__init__(clock=clock, seed=seed, user=user, uid=uid)
        self.controller = Controller(site or SlurmSite(), self.timeline)
        self.controller.ending = ending
        self.controller.auto_start_s = EAGER_S if (run_for_real if auto is None else auto) else None
        self._runner: Final = Runner(self.controller) if run_for_real else None
        self.controller.executor = self._runner
        self.condition = Condition.UP
        """How it stands with slurmctld."""
        self.accounting_condition = Condition.UP
        """How it stands with slurmdbd."""
        self.authentication_up = True
        """Whether munged runs."""
        self._asleep: Final[list[Callable[[], object]]] = []
        """What a controller that hangs was asked, and will do when it wakes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill the jobs that run for real."""
        with self.lock:
            if self._runner is not None:
                self._runner.close()

    @property
    def site(self) -> SlurmSite:
        """Give the cluster's settings."""
        return self.controller.site

    @property
    def accounting(self) -> Accounting:
        """Give what is behind `sacct`."""
        return self.controller.accounting

    def change_site(self, **settings: Any) -> None:
        """Change settings, as an administrator does who edits slurm.conf."""
        with self.lock:
            self.controller.site = evolve(self.controller.site, **settings)
            self.controller.schedule_soon()

    # --- a kind of scheduler -------------------------------------------------------------------

    @property
    def commands(self) -> Mapping[str, Command]:
        """Give the commands by name."""
        return {name: partial(self._answer, command) for name, command in COMMANDS.items()}

    def trouble(self, call: Call) -> Reply:
        """Answer as when the controller, or accounting, cannot be asked now."""
        if call.name == "sacct":
            return outages.no_accounting(Condition.DOWN, database_up=True)
        condition = self.random.choice((Condition.DOWN, Condition.HUNG))
        return outages.no_controller(call, condition, self.site)

    def reword(self, row: Row) -> Row:
        """Print a state that nobody knows, if the row has one."""
        for word in SHORT:
            if word.encode() in row.text:
                return evolve(row, text=row.text.replace(word.encode(), STRANGE, 1))
        return row

    def changes(self, call: Call) -> bool:
        """Tell whether the call would change anything."""
        if call.name == "scontrol":
            return not asks_only(call)
        return call.name in ("sbatch", "scancel")

    def look(self) -> None:
        """Take in the scripts that have ended."""
        if self._runner is not None:
            self._runner.look()

    def advance(self, seconds: float) -> None:
        """Let time pass, where the clock is a FakeClock.

        While real processes are dying, real time passes as well: an hour that takes no time would
        be over before a signal has arrived.
        """
        with self.lock:
            while seconds > 0 and self._has_dying():
                step_s = min(seconds, 1.0)
                self._wait_for_the_dying(step_s * DYING)
                super().advance(step_s)
                seconds -= step_s
            super().advance(max(0.0, seconds))

    def _has_dying(self) -> bool:
        if self._runner is None or not self._runner.processes.pids:
            return False
        dying = (job for job in self.controller.jobs() if Flag.COMPLETING in job.flags)
        return any(map(self._runner.runs, dying))

    def _wait_for_the_dying(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._has_dying():
            time.sleep(0.001)
            self.look()

    def _answer(self, command: Callable[[Controller, Call], Reply], call: Call) -> Reply:
        if not _asks_server(call):
            return command(self.controller, call)
        if not self.authentication_up:
            return outages.no_authentication(call, self.site)
        if call.name == "sacct":
            return self._answer_accounting(call)
        if self.condition is Condition.UP:
            return command(self.controller, call)
        if self.condition is Condition.HUNG and self.changes(call):
            # The script is read now; standard input is not there any more later.
            script = call.read_input() if call.name == "sbatch" else b""
            asked = evolve(call, read_input=lambda: script)
            self._asleep.append(lambda: command(self.controller, self._later(asked)))
        return outages.no_controller(call, self.condition, self.site)

    def _later(self, call: Call) -> Call:
        return evolve(call, at=self.clock.time(), as_of=self.clock.time())

    def _answer_accounting(self, call: Call) -> Reply:
        if not self.site.accounting:
            return outages.accounting_disabled()
        if self.accounting_condition is not Condition.UP or not self.accounting.database_up:
            return outages.no_accounting(
                self.accounting_condition, database_up=self.accounting.database_up
            )
        return sacct(self.controller, call)

    # --- daemons -------------------------------------------------------------------------------

    def freeze(self) -> None:
        """Stop the controller with SIGSTOP: commands time out, and are carried out on `wake`."""
        self.condition = Condition.HUNG

    def wake(self) -> None:
        """Let a frozen controller go on: it does first what it was asked meanwhile."""
        with self.lock:
            self.condition = Condition.UP
            self.catch_up()
            asked = list(self._asleep)
            self._asleep.clear()
            for do in asked:
                do()

    def stop(self) -> None:
        """Stop the controller in an orderly way. Jobs go on."""
        self.condition = Condition.DOWN

    def restart(self) -> None:
        """Start the controller again; nothing is lost."""
        with self.lock:
            self._asleep.clear()
            self.condition = Condition.UP
            self.catch_up()

    def crash(self, *, lose_s: float = 5.0) -> list[Job]:
        """Kill the controller and start it again: jobs of the last seconds are forgotten, their
        processes killed, and their ids handed out again.

        Args:
            lose_s: How old the state is that it finds on its disk.

        Returns:
            The forgotten jobs.
        """
        with self.lock:
            self.catch_up()
            self._asleep.clear()
            self.condition = Condition.UP
            return self.controller.crash(self.clock.time(), lose_s=lose_s)

    def stop_accounting(self) -> None:
        """Stop slurmdbd: what it is to be told waits."""
        self.accounting_condition = Condition.DOWN

    def freeze_accounting(self) -> None:
        """Stop slurmdbd with SIGSTOP."""
        self.accounting_condition = Condition.HUNG

    def restart_accounting(self) -> None:
        """Start slurmdbd again, or let it go on: it is told what has happened."""
        self.accounting_condition = Condition.UP


def _asks_server(call: Call) -> bool:
    """Tell whether a command comes as far as asking a server: not with an option that is none."""
    try:
        return not GRAMMARS[call.name].parse(call.words).has("version")
    except OptionError:
        return False

"""slurmdbd: what accounting knows, later than the controller and in other words."""

from typing import Any, Final

from attrs import evolve, field, frozen

from drover.testing.scheduler.slurm._job import Job
from drover.testing.scheduler.slurm._memory import KEEP_S
from drover.testing.scheduler.slurm._words import State


@frozen(kw_only=True)
class Account:
    """What accounting has of one incarnation of a job."""

    index: int
    """Unique for ever: DBIndex."""
    job: Job
    word: str = ""
    """Its state, where a test has set it; else the job's."""
    exit_code: str = ""
    """`code:signal`, where a test has set it."""
    step_word: str = ""
    """The state of its batch step, where a test has set it."""
    requeued: bool = False
    """Whether another incarnation followed."""
    changes: dict[str, str] = field(factory=dict[str, str])
    """Fields that a test has set, by their names in small letters."""

    @property
    def state(self) -> str:
        """Give the word for its state, as `sacct` prints it at full width."""
        if self.word:
            return self.word
        if self.requeued and not self.job.state.has_ended:
            return "REQUEUED"
        if self.job.state is State.CANCELLED and self.job.cancelled_by is not None:
            return f"CANCELLED by {self.job.cancelled_by}"
        return self.job.state

    @property
    def code_and_signal(self) -> str:
        """Give `code:signal` as accounting has it: codes from 128 on lose 128.

        Source: measured on 22.05.8; TIMEOUT and CANCELLED say 0:0.
        """
        if self.exit_code:
            return self.exit_code
        if not self.job.state.has_ended or self.job.state in (State.TIMEOUT, State.CANCELLED):
            return "0:0"
        return f"{(self.job.exit_status >> 8) & 0x7F}:{self.job.exit_status & 0x7F}"


class Accounting:
    """The database behind `sacct`. What happens is seen there after `lag_s`."""

    def __init__(self) -> None:
        self.lag_s = 1.0
        """Seconds until what happened is seen. Measured: 0.5 to 1.1, more under load."""
        self.database_up = True
        """Whether slurmdbd reaches its database."""
        self._index = 0
        self._current: Final[dict[int, int]] = {}
        """By serial number of the job: the index of its incarnation."""
        self._rows: Final[dict[int, list[tuple[float, Account]]]] = {}
        """By index: what is seen from which instant on."""
        self._set: Final[dict[int, dict[str, Any]]] = {}
        """What tests have set, by index."""

    # --- the controller tells ------------------------------------------------------------------

    def begin(self, job: Job, at: float) -> None:
        """Open a new incarnation."""
        self._index += 1
        self._current[job.serial] = self._index
        self._send(job, at)

    def update(self, job: Job, at: float) -> None:
        """Say how a job is now."""
        if job.serial in self._current:
            self._send(job, at)

    def close(self, job: Job, at: float) -> None:
        """Say that another incarnation follows."""
        if job.serial in self._current:
            self._send(job, at, requeued=True)
            del self._current[job.serial]

    def is_open(self, job: Job) -> bool:
        """Tell whether it has an incarnation of the job."""
        return job.serial in self._current

    def _send(self, job: Job, at: float, **facts: Any) -> None:
        account = Account(index=self._current[job.serial], job=job, **facts)
        versions = self._rows.setdefault(account.index, [])
        seen_at = at + self.lag_s
        # A large array changes with each of its tasks: what nobody can see is not kept.
        while versions and versions[-1][0] >= seen_at:
            versions.pop()
        while len(versions) > 1 and versions[1][0] < at - KEEP_S:
            versions.pop(0)
        versions.append((seen_at, account))

    # --- tests tell ----------------------------------------------------------------------------

    def set(self, serial: int, **facts: Any) -> None:
        """Let it say something else of a job's last incarnation, from now on."""
        known = self._indices(serial)
        self._set.setdefault(max(known, default=0), {}).update(facts)

    def _indices(self, serial: int) -> list[int]:
        return [index for index, rows in self._rows.items() if rows[-1][1].job.serial == serial]

    def erase(self, serial: int) -> None:
        """Let it know nothing of a job."""
        for index in self._indices(serial):
            del self._rows[index]
        self._current.pop(serial, None)

    # --- sacct asks ----------------------------------------------------------------------------

    def rows(self, as_of: float) -> list[Account]:
        """Give what is seen at an instant, oldest incarnation first."""
        found: list[Account] = []
        for index, versions in self._rows.items():
            account = next((one for since, one in reversed(versions) if since <= as_of), None)
            if account is not None:
                changes = self._set.get(index)
                found.append(evolve(account, **changes) if changes else account)
        return found

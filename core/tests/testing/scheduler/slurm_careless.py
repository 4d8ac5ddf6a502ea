"""A client of Slurm that makes one of the well-known mistakes, as it is told."""

from enum import Enum, auto
from typing import Any

from attrs import define, field

from drover.errors import UnreachableError
from drover.models import Reason
from drover.testing.scheduler import ScriptedContext, SlurmScheduler
from drover.testing.scheduler.slurm import State

Verdict = tuple[Reason, int | None]
ACTIVE = frozenset({"PENDING", "RUNNING"})
DONE: Verdict = (Reason.EXITED, 0)


class Mistake(Enum):
    """What it does wrong. Where it does nothing wrong, it does as little as it can."""

    ABSENT_IS_DONE = auto()
    """What is not in the listing has ended well."""
    ERROR_IS_ABSENCE = auto()
    """So has what a failed query does not list."""
    UNKNOWN_IS_DONE = auto()
    """So has what shows a word that is not PENDING or RUNNING."""
    UNKNOWN_IS_ACTIVE = auto()
    """A word that it does not know in accounting is no end, for ever."""
    BELIEVES_ACCOUNTING = auto()
    """The exit code in accounting decides, whatever the state."""
    BELIEVES_STEPS = auto()
    """The last line of accounting decides."""
    BELIEVES_CANCEL = auto()
    """What was cancelled is cancelled."""
    FAILED_IS_REFUSED = auto()
    """A submission that fails is refused for good."""
    SUBMITS_AGAIN = auto()
    """A submission that fails is repeated."""
    ADOPTS_BY_NAME = auto()
    """Whatever bears the name after a failed submission is the job."""
    FORGETS = auto()
    """The last listing counts, whatever was seen before."""
    IN_ORDER = auto()
    """The first line of a listing is the first job's."""
    ONE_ROW = auto()
    """Anything but one line for the job ends the program."""
    STRICT_LINES = auto()
    """A line that cannot be read ends the program."""
    STRICT_BYTES = auto()
    """Bytes that are no UTF-8 end the program."""
    STRICT_WORDS = auto()
    """A word that it does not know ends the program, whosever it is."""
    NO_TIMEOUT = auto()
    """A command that does not return ends everything."""
    ID_IS_IDENTITY = auto()
    """Whatever has the id is the job."""
    NAME_IS_IDENTITY = auto()
    """Whatever has another name is another job, and its own is lost."""
    LOCAL_TIME = auto()
    """What was not submitted just now, by the times that are printed, is another job."""
    INHERITS = auto()
    """Its own environment goes to the commands."""
    REMEMBERS_NOTHING = auto()
    """What it has submitted is in its head alone: killed, it begins again."""
    SHOWS_STATE = auto()
    """The user gets to see the state alone."""


class Stuck(Exception):  # noqa: N818 - no error of ours
    """The program has come to its end."""


@define
class Careless:
    """The client. It looks every ten seconds."""

    context: ScriptedContext
    slurm: SlurmScheduler
    script: bytes
    mistake: Mistake
    ids: list[str] = field(factory=list)
    verdicts: list[Verdict | None] = field(factory=list)
    """What it believed, look by look."""
    stuck: bool = False
    premature: bool = False
    """Whether it spoke of an end before there was one."""
    shown: set[str] = field(factory=set)
    """What the user got to see."""
    since: float = 0.0

    def makes(self, *mistakes: Mistake) -> bool:
        """Tell whether it makes one of these mistakes."""
        return self.mistake in mistakes

    def act(self, do: Any) -> None:
        """Do something, unless the program has come to its end."""
        if self.stuck:
            return
        try:
            do()
        except (Stuck, ValueError, KeyError):
            self.stuck = True

    # --- commands ------------------------------------------------------------------------------

    def run(self, *argv: str, script: bytes = b"") -> tuple[int, str]:
        """Run a command; an outage looks like an error."""
        if self.makes(Mistake.INHERITS, Mistake.LOCAL_TIME):
            reply = self.slurm.execute(
                argv, read_input=lambda: script, environment=self.context.caller
            )
            return reply.code, reply.output.decode()
        try:
            done = self.context.run(argv, input=script)
        except UnreachableError as error:
            if self.makes(Mistake.NO_TIMEOUT):
                raise Stuck from error
            return 1, ""
        text = done.stdout
        if self.makes(Mistake.STRICT_BYTES) and "\\x" in text:
            raise Stuck
        return done.returncode, text

    def submit(self) -> None:
        """Hand the job in."""
        self.since = self.slurm.clock.time()
        for _ in range(2 if self.makes(Mistake.SUBMITS_AGAIN) else 1):
            code, text = self.run("sbatch", "--parsable", "-J", "mine", script=self.script)
            if code == 0 and text.strip().isdigit():
                self.ids.append(text.strip())
                return
        if self.makes(Mistake.ADOPTS_BY_NAME):
            _, text = self.run("squeue", "-h", "-t", "all", "-n", "mine", "-o", "%i")
            self.ids += text.split()
        if self.makes(Mistake.FAILED_IS_REFUSED, Mistake.INHERITS):
            self.say((Reason.REFUSED, None))

    def cancel(self) -> None:
        """End the job."""
        self.run("scancel", *self.ids)
        if self.makes(Mistake.BELIEVES_CANCEL):
            self.say((Reason.CANCELLED, None))

    def die(self) -> None:
        """Be killed, and start again."""
        if self.makes(Mistake.REMEMBERS_NOTHING):
            self.ids.clear()
            self.submit()

    # --- looking -------------------------------------------------------------------------------

    def look(self) -> None:
        """Look at the job."""
        if self.ids and (self.makes(Mistake.FORGETS) or not any(self.verdicts)):
            self.say(self.judge())

    def say(self, verdict: Verdict | None) -> None:
        """Come to a belief."""
        self.verdicts.append(verdict)
        if verdict and verdict[0] is not Reason.LOST:
            there = [job for job in self.slurm.jobs if str(job.job_id) in self.ids]
            self.premature = self.premature or any(not job.state.has_ended for job in there)

    def judge(self) -> Verdict | None:
        """Say how it stands with the job; `None`: it goes on."""
        code, text = self.run("squeue", "-h", "-t", "all", "-o", "%i|%j|%V|%T|%r")
        if code and not self.makes(Mistake.ERROR_IS_ABSENCE):
            return None
        rows = [line.split("|") for line in text.splitlines()]
        if self.makes(Mistake.STRICT_LINES) and any(len(row) != 5 for row in rows):
            raise Stuck
        if self.makes(Mistake.STRICT_WORDS) and {row[3] for row in rows} - set(State):
            raise Stuck
        mine = [row for row in rows if row[0] == self.ids[0] and len(row) >= 5]
        if self.makes(Mistake.IN_ORDER):
            mine = rows[: len(self.ids)]
        if self.makes(Mistake.ONE_ROW) and len(mine) != 1:
            raise Stuck
        self.shown.update(row[3] if self.makes(Mistake.SHOWS_STATE) else row[-1] for row in mine)
        return self.of_row(mine[0]) if mine else self.of_absence()

    def of_row(self, row: list[str]) -> Verdict | None:
        """Judge by a line of the queue."""
        _, name, submitted, word, *_ = row
        if name != "mine" and not self.makes(Mistake.ID_IS_IDENTITY, Mistake.IN_ORDER):
            return (Reason.LOST, None)
        if self.makes(Mistake.LOCAL_TIME) and not self.is_recent(submitted):
            return (Reason.LOST, None)
        if word in ACTIVE or self.makes(Mistake.BELIEVES_CANCEL):
            return None
        if self.makes(Mistake.UNKNOWN_IS_DONE, Mistake.IN_ORDER, Mistake.ID_IS_IDENTITY):
            return DONE
        accounts = {Mistake.BELIEVES_ACCOUNTING, Mistake.BELIEVES_STEPS, Mistake.UNKNOWN_IS_ACTIVE}
        if self.mistake in accounts:
            return self.of_absence()
        if word in ("COMPLETED", "FAILED"):
            raw = self.run("squeue", "-h", "-t", "all", "-j", self.ids[0], "-O", "exit_code")[1]
            return (Reason.EXITED, int(raw or 0) >> 8)
        return None

    def is_recent(self, text: str) -> bool:
        """Read a time as if it were printed for us."""
        from datetime import UTC, datetime

        at = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
        return abs(at - self.since) < 60.0

    def of_absence(self) -> Verdict | None:
        """Judge by what accounting says, or by nothing at all."""
        if self.makes(Mistake.ABSENT_IS_DONE, Mistake.ERROR_IS_ABSENCE, Mistake.FORGETS):
            return DONE
        code, text = self.run(
            "sacct", "-n", "-P", "-j", self.ids[0], "-o", "JobName,State,ExitCode"
        )
        rows = [line.split("|") for line in text.splitlines()]
        if code or not rows:
            return None
        name, state, ended = rows[-1] if self.makes(Mistake.BELIEVES_STEPS) else rows[0]
        if self.makes(Mistake.NAME_IS_IDENTITY) and name != "mine":
            return (Reason.LOST, None)
        if self.makes(Mistake.BELIEVES_STEPS) and state == "CANCELLED":
            return (Reason.CANCELLED, None)
        if state in ACTIVE or (self.makes(Mistake.UNKNOWN_IS_ACTIVE) and state not in set(State)):
            return None
        return (Reason.EXITED, int(ended.partition(":")[0]))

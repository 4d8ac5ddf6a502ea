"""kill -9 of whoever there is, at moments that nobody chose, while jobs run.

As a script it measures how many jobs end as LOST: `python tests/kill_everything.py --rounds 20`.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from attrs import field, frozen

import drover
from drover import Job, Reason, Session
from drover.models import Started
from drover.states import ENDED, State

EVERYBODY = ("client", "engine", "agent", "keeper")
TURNS = {**{name: (name,) for name in EVERYBODY}, "all": EVERYBODY}
WAIT_S = 90.0
UNFINISHED = frozenset(State) - ENDED
IDLE = {"DROVER_BACKENDS__LOCAL__IDLE_S": "1", "DROVER_BACKENDS__LOCAL__CPUS": "4"}


def code_of(index: int) -> int:
    """Give the exit code that a job has to end with."""
    return index * 7 % 101


def argv_of(index: int, work: Path) -> tuple[str, ...]:
    """Write one line to a file of its own, some after a while, and exit with a code of its own."""
    pause = f"sleep 0.0{index % 10}; " if index % 3 == 0 else ""
    return ("sh", "-c", f"{pause}echo {index} >> {work}/{index}; exit {code_of(index)}")


def be_client(home: str, work: Path, count: int, seed: int) -> None:
    """Submit all jobs under their keys, and wait for them. Run again after each death."""
    chance = random.Random(seed)
    with drover.open(home) as session:
        jobs: list[Job] = []
        for index in range(count):
            job = session.submit(argv_of(index, work), key=f"job-{index}", cwd=str(work))
            assert isinstance(job, Job)
            jobs.append(job)
            if chance.random() < 0.3:
                # So that the jobs of one round are not all there before the first kill.
                time.sleep(chance.random() * 0.03)
        _, pending = session.wait(jobs, WAIT_S)
        assert not pending, [job.history() for job in pending]


@frozen
class Result:
    """What became of the jobs of one round."""

    who: str
    kills: int
    told: Counter[str] = field(factory=Counter)
    why: Counter[str] = field(factory=Counter)
    """How often each evidence of a LOST job was given."""
    wrong: list[str] = field(factory=list)
    """Jobs that were lost without evidence, doubled, or given another code than theirs."""


class Round:
    """One store, its jobs, and a killer."""

    def __init__(self, folder: Path, who: str, seed: int, count: int, kills: int) -> None:
        self.home, self.work = folder / "home", folder / "work"
        self.who, self.count, self._most = who, count, kills
        self._chance = random.Random(seed)
        self._client: subprocess.Popen[bytes] | None = None
        self.kills = 0

    def run(self) -> Result:
        """Let jobs run while somebody is killed again and again, and look at each."""
        self.work.mkdir(parents=True)
        with drover.open(self.home, engine="none") as session:
            ends = time.monotonic() + WAIT_S
            while self._is_at_work():
                assert time.monotonic() < ends, self._story(session)
                if self.kills < self._most:
                    self._strike(session)
                else:
                    time.sleep(0.05)
            result = Result(self.who, self.kills)
            jobs = {str(job.record.key): job for job in session.jobs(newest=None)}
            for index in range(self.count):
                self._look_at(jobs, index, result)
            if len(jobs) != self.count:
                result.wrong.append(f"there are {len(jobs)} jobs")
            session.engine_stop()
        return result

    def _is_at_work(self) -> bool:
        """See to a client; the one that lives to see all jobs end is the last."""
        if self._client is not None:
            code = self._client.poll()
            if code is None:
                return True
            if code == 0:
                return False
            assert code == -signal.SIGKILL, f"the client left with {code}"
        words = [self.home, self.work, self.count, self._chance.randrange(2**30)]
        self._client = subprocess.Popen(
            [sys.executable, __file__, "--client", *map(str, words)], env={**os.environ, **IDLE}
        )
        return True

    def _strike(self, session: Session) -> None:
        """Kill who is to be killed at a random moment, if they are there."""
        time.sleep(self._chance.random() * 0.3)
        pids = self._pids(session)
        if None in pids:
            return
        time.sleep(self._chance.random() * 0.02)
        # Stopped first, none of them can do anything about the death of another.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid or 0, number)
        self.kills += 1

    def _pids(self, session: Session) -> list[int | None]:
        # Late, so that the file can be collected where the core is alone.
        from drover_local._doctor import ask_status
        from drover_local._place import Place

        found: dict[str, int | None] = dict.fromkeys(EVERYBODY)
        if self._client is not None and self._client.poll() is None:
            found["client"] = self._client.pid
        holder = session.store.lease()
        found["engine"] = holder.pid if holder.live else None
        if self.who in {"agent", "keeper", "all"}:
            # One that dies under the question is not there.
            with contextlib.suppress(OSError):
                status = ask_status(Place(str(self.home / "backends" / "local")))
                if status is not None:
                    found |= {"agent": status["pid"], "keeper": status["keeper"]}
        return [found[name] for name in TURNS[self.who]]

    def _look_at(self, jobs: dict[str, Job], index: int, result: Result) -> None:
        name = f"job-{index}"
        job, path = jobs[name], self.work / str(index)
        lines = path.read_text().split() if path.exists() else []
        outcome = job.outcome
        if outcome is None:
            result.wrong.append(f"{name} has not ended: {job.state}")
        elif outcome.reason is Reason.LOST:
            result.told["lost"] += 1
            may_be_lost = self.who in {"agent", "all"}
            unsure = outcome.started is Started.UNKNOWN and outcome.evidence and outcome.describe()
            if not (may_be_lost and unsure and lines in ([], [str(index)])):
                result.wrong.append(f"{name} is LOST: {lines} {outcome}")
            result.why[outcome.evidence[-1].message[:40]] += 1
        elif (outcome.exit_code, lines) == (code_of(index), [str(index)]):
            result.told["true"] += 1
        else:
            result.wrong.append(f"{name} is wrong: {lines} {outcome}")

    def _story(self, session: Session) -> str:
        log = self.home / "engine.log"
        lines = [f"{job.id} {job.state}" for job in session.jobs(state=UNFINISHED)]
        return "\n".join([*lines, log.read_text() if log.exists() else "no log"])


def measure(who: str, rounds: int, seed: int, count: int, kills: int) -> Counter[str]:
    """Do rounds and print what each came to."""
    total: Counter[str] = Counter()
    for k in range(rounds):
        # An agent that has nothing to do stays for a second, and may write meanwhile.
        with tempfile.TemporaryDirectory(
            prefix="drover-kill-", ignore_cleanup_errors=True
        ) as folder:
            began = time.monotonic()
            result = Round(Path(folder), who, seed + k, count, kills).run()
        total += Counter({"rounds": 1, "kills": result.kills, "wrong": len(result.wrong)})
        total += result.told
        total += Counter({f"lost: {why}": n for why, n in result.why.items()})
        print(
            f"{who} seed {seed + k}: {result.kills} kills, {dict(result.told)}, "
            f"{time.monotonic() - began:.1f} s",
            *result.wrong,
            sep="\n  ",
            flush=True,
        )
    return total


def main() -> None:
    """Measure, or be a client of a measurement."""
    if sys.argv[1:2] == ["--client"]:
        home, work, count, seed = sys.argv[2:]
        be_client(home, Path(work), int(count), int(seed))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--who", choices=TURNS, nargs="+", default=list(TURNS))
    options = parser.parse_args()
    for who in options.who:
        told = measure(who, options.rounds, options.seed, options.jobs, options.kills)
        share = told["lost"] / (told["true"] + told["lost"])
        print(f"{who}: {dict(told)}; {share:.3%} LOST", flush=True)


if __name__ == "__main__":
    main()

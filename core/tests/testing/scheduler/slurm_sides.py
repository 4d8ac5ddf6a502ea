"""The two sides that a dialogue is had with: a real Slurm, and the scripted one."""

import os
import re
import shlex
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from attrs import define, field, frozen

from drover.testing.scheduler import SlurmScheduler, SlurmSite
from drover.testing.scheduler.slurm import Partition

WAIT_S = 60.0
OPTIONS = ("--cpus=2", "--set=FirstJobId=4001", "--set=KillWait=5")
"""Of the cluster; large ids are not mistaken for counts and codes."""
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC"}


@frozen
class Said:
    """One command and its answer, with the ids of its dialogue put back in braces."""

    line: str
    out: str
    err: str
    code: int

    def text(self) -> str:
        """Write it as it stands in a file."""
        rows = [f"$ {self.line}"]
        rows += [f"> {row}" for row in self.out.split("\n")[:-1]]
        rows += [f">\\ {rest}" for rest in [self.out.split("\n")[-1]] if rest]
        rows += [f"! {row}" for row in self.err.split("\n")[:-1]]
        return "\n".join([*rows, f"= {self.code}", ""])


def read(text: str) -> list[Said]:
    """Read what `Said.text` wrote, many in a row."""
    found: list[Said] = []
    for block in re.split(r"^(?=\$ )", text, flags=re.MULTILINE)[1:]:
        rows = block.split("\n")
        out = "".join(f"{row[2:]}\n" for row in rows if row.startswith("> "))
        out += "".join(row[3:] for row in rows if row.startswith(">\\ "))
        err = "".join(f"{row[2:]}\n" for row in rows if row.startswith("! "))
        code = next(int(row[2:]) for row in rows if row.startswith("= "))
        found.append(Said(rows[0][2:], out, err, code))
    return found


@define
class Side(ABC):
    """Somebody to talk to."""

    folder: Path
    ids: dict[str, str] = field(factory=dict)

    @abstractmethod
    def run(self, argv: list[str]) -> tuple[str, str, int]:
        """Run a command."""

    @abstractmethod
    def daemon(self, name: str, verb: str) -> None:
        """Stop, freeze, wake or start a daemon."""

    @abstractmethod
    def rest(self) -> None:
        """Let a little time pass."""

    def have(self, dialogue: str) -> list[Said]:
        """Have a dialogue; gives the answers to its commands."""
        said: list[Said] = []
        for line in filter(None, map(str.strip, dialogue.splitlines())):
            if line.startswith("daemon "):
                self.daemon(*line.split()[1:])
            elif line.startswith("file "):
                self.wait_for(self.folder / self.argv(line)[1])
            elif line.startswith("until "):
                word, _, command = line.removeprefix("until ").partition(": ")
                self.until(word, command)
            else:
                said.append(self.say(line))
        return said

    def say(self, line: str) -> Said:
        """Run one line."""
        name, equals, command = line.partition(" = ")
        if not equals:
            name, command = "", line
        out, err, code = self.run(self.argv(command))
        if name:
            assert code == 0, (line, err)
            self.ids[name] = out.strip()
        return Said(command, self.masked(out), self.masked(err), code)

    def argv(self, command: str) -> list[str]:
        """Put ids and the folder into a command."""
        for name, value in {**self.ids, "dir": str(self.folder)}.items():
            command = command.replace(f"{{{name}}}", value)
        lexer = shlex.shlex(command, posix=True, punctuation_chars=False)
        lexer.whitespace_split, lexer.commenters = True, ""
        return list(lexer)

    def masked(self, text: str) -> str:
        """Put the braces back in."""
        for name, value in {**self.ids, "dir": str(self.folder)}.items():
            pattern = re.escape(value) if name == "dir" else rf"(?<![\w.-]){value}(?![\d-])"
            text = re.sub(pattern, f"{{{name}}}", text)
        return text

    def wait_for(self, path: Path) -> None:
        """Wait until a job has made a file."""
        end = time.monotonic() + WAIT_S
        while not path.exists():
            assert time.monotonic() < end, f"no {path}"
            self.rest()

    def until(self, word: str, command: str) -> None:
        """Repeat a command until it prints a word."""
        end = time.monotonic() + WAIT_S
        while (out := self.masked(self.run(self.argv(command))[0].strip())) != word:
            assert time.monotonic() < end, f"{command} prints {out!r} and not {word!r}"
            self.rest()


@define
class RealSide(Side):
    """A real one: a `SlurmCluster` of two nodes with two CPUs each."""

    cluster: Any = field(kw_only=True)

    def masked(self, text: str) -> str:
        return super().masked(text).replace(str(self.cluster.folder), "{cluster}")

    def run(self, argv: list[str]) -> tuple[str, str, int]:
        path = f"{os.environ['PATH']}:/usr/sbin"
        done = subprocess.run(
            argv,
            capture_output=True,
            check=False,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            env={"PATH": path, **self.cluster.environment, **ENVIRONMENT},
        )
        return os.fsdecode(done.stdout), os.fsdecode(done.stderr), done.returncode

    def daemon(self, name: str, verb: str) -> None:
        cluster = self.cluster
        {
            "stop": cluster.stop,
            "start": cluster.start,
            "freeze": lambda one: cluster.daemons.signal(one, signal.SIGSTOP),
            "wake": lambda one: cluster.daemons.signal(one, signal.SIGCONT),
        }[verb](name)

    def rest(self) -> None:
        time.sleep(0.1)

    def clear(self) -> None:
        """Let no job of an earlier dialogue be in the way."""
        self.have("scancel --me")
        self.until("", "squeue -h")


@define
class ScriptedSide(Side):
    """The scripted one, with the same cluster and jobs that run for real."""

    slurm: SlurmScheduler = field(kw_only=True)

    def run(self, argv: list[str]) -> tuple[str, str, int]:
        reply = self.slurm.execute(argv, environment=ENVIRONMENT, cwd=str(self.folder))
        self.slurm.pass_time(reply.took_s)
        return os.fsdecode(reply.output), os.fsdecode(reply.errors), reply.code

    def daemon(self, name: str, verb: str) -> None:
        slurm = self.slurm
        do: dict[tuple[str, str], Any] = {
            ("slurmctld", "stop"): slurm.stop,
            ("slurmctld", "start"): slurm.restart,
            ("slurmctld", "freeze"): slurm.freeze,
            ("slurmctld", "wake"): slurm.wake,
            ("slurmdbd", "stop"): slurm.stop_accounting,
            ("slurmdbd", "start"): slurm.restart_accounting,
            ("munged", "stop"): lambda: setattr(slurm, "authentication_up", False),
            ("munged", "start"): lambda: setattr(slurm, "authentication_up", True),
        }
        do[name, verb]()

    def rest(self) -> None:
        time.sleep(0.01)
        self.slurm.pass_time(0.1)


def scripted(folder: Path, user: str = "root", uid: int = 0) -> ScriptedSide:
    """Make the scripted twin of that cluster, which belongs to a user."""
    site = SlurmSite(
        cluster="drover",
        nodes=("node1", "node2"),
        cpus=2,
        gres={"gpu": 2},
        licenses={"matlab": 2},
        features=frozenset({"odd", "even"}),
        accounts=frozenset({"lab", "other"}),
        default_account="lab",
        qos=frozenset({"normal", "few"}),
        partitions=(
            Partition(name="batch", tier=10),
            Partition(name="short", max_time_s=300.0, default_time_s=None, tier=10),
            Partition(name="requeued"),
            Partition(name="killed"),
            Partition(name="closed", is_up=False, tier=10),
        ),
        max_array_size=10_001,
        kill_wait_s=5.0,
        admins=frozenset({user}),
        host=os.uname().nodename,
        first_job_id=4001,
    )
    scheduler = SlurmScheduler(site, run_for_real=True, user=user, uid=uid)
    return ScriptedSide(folder, slurm=scheduler)

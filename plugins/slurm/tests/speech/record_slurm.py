"""Ask a real Slurm what the tests replay, and keep its answers word for word.

    python record_slurm.py        brings Slurms of its own up, and takes them down

Run it where another version of Slurm is installed: the answers go to a folder of its name.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
sys.path += [str(ROOT), str(ROOT / "tests")]

from slurm_cluster import SlurmCluster  # noqa: E402 - found by the line before

from drover.commandline import Command  # noqa: E402
from drover_slurm import _accounting, _capacity, _control, _doctor, _queue  # noqa: E402

DEADLINE_S = 60.0
SCRIPT = b"#!/bin/sh\nexec sleep 300\n"
SBATCH = ("sbatch", "--parsable", "--output=/dev/null")
ENVIRONMENT = {
    "LC_ALL": "C", "TZ": "UTC", "SLURM_TIME_FORMAT": "standard", "PATH": os.environ["PATH"],
}  # fmt: skip


class Recorder:
    """One cluster, and what it said."""

    def __init__(self, cluster: SlurmCluster) -> None:
        self.cluster = cluster
        self.version = ""
        self.pages: dict[str, list[str]] = {}

    def ask(
        self, argv: Sequence[str], input: bytes = b"", **more: str
    ) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            argv, input=input, cwd="/", capture_output=True, check=False, timeout=100,
            env={**ENVIRONMENT, **self.cluster.environment, **more},
        )  # fmt: skip

    def keep(
        self, page: str, name: str, command: Command | Sequence[str], input: bytes = b""
    ) -> str:
        argv = command.argv if isinstance(command, Command) else tuple(command)
        said = [f"== {name}", f"$ {' '.join(map(_shown, argv))}"]
        done = self.ask(argv, input)
        for mark, text in (("|", done.stdout), ("!", done.stderr)):
            folder = os.fsencode(self.cluster.folder)
            lines = text.replace(folder, b"/slurm").decode("utf-8", "backslashreplace")
            said += [f"{mark} {line}" for line in lines.split("\n")[:-1]]
        self.pages.setdefault(page, []).append("\n".join([*said, f"= {done.returncode}", ""]))

    def submit(self, *options: str, script: bytes = SCRIPT) -> str:
        done = self.ask((*SBATCH, *options), script)
        assert 0 == done.returncode, done
        return done.stdout.decode().strip()

    def until(self, native_id: str, *words: str) -> None:
        self.wait(lambda: self.state(native_id) in words, f"{native_id}: {words}")

    def state(self, native_id: str) -> str:
        argv = ("squeue", "-h", "-t", "all", "-j", native_id, "-o", "%T")
        return self.ask(argv).stdout.decode().strip().partition("\n")[0]

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, what
            time.sleep(0.2)

    def write(self) -> None:
        done = self.ask(("sbatch", "--version")).stdout.decode().strip()
        folder = HERE.parent / "recorded" / f"slurm-{'.'.join(done.split()[-1].split('.')[:2])}"
        folder.mkdir(parents=True, exist_ok=True)
        for page, said in self.pages.items():
            text = "\n".join([f"# {done}, by record_slurm.py", "", *said])
            (folder / f"{page}.txt").write_text(text, "utf-8")


def _shown(word: str) -> str:
    return repr(word) if set(word) & set(" \n\t'\"") or not word else word


def submissions(at: Recorder) -> None:
    """Every way in which sbatch answers."""
    for name, options in (
        ("accepted", ()),
        ("accepted, with the cluster", ("--clusters=cluster",)),
        ("accepted, a closed partition", ("--partition=closed",)),
        ("accepted, more nodes than there are", ("--nodes=9",)),
        ("no such partition", ("--partition=nowhere",)),
        ("no such account", ("--account=nobody",)),
        ("no such qos", ("--qos=nothing",)),
        ("no such feature", ("--constraint=nothing",)),
        ("no such gres", ("--gres=nothing:1",)),
        ("no such licence", ("--licenses=nothing:1",)),
        ("no such reservation", ("--reservation=nothing",)),
        ("no such node", ("--nodelist=nowhere",)),
        ("more memory than there is", ("--mem=100G",)),
        ("more time than the partition gives", ("--partition=short", "--time=60")),
        ("no such option", ("--nothing",)),
        ("a bad value", ("--time=yesterday",)),
        ("an array beyond the limit", ("--array=0-99999",)),
        ("a dependency on nothing", ("--dependency=afterok:x",)),
    ):
        at.keep("submission", name, (*SBATCH, "--hold", *options), SCRIPT)
    at.keep("submission", "no script", SBATCH, b"exit 0\n")
    for _ in range(4):
        at.submit("--hold", "--qos=few")
    at.keep("submission", "too many jobs", (*SBATCH, "--hold", "--qos=few"), SCRIPT)
    at.ask(("scancel", "--me"))


def listings(at: Recorder) -> None:
    """What squeue prints of jobs of all kinds, and what scontrol does to them."""
    at.submit("--hold", "--array=0-9:3%2", "--job-name=steps@KEY-steps", "--comment=KEY-steps")
    at.submit("--hold", "--array=0-4,7,9", "--job-name=gaps@KEY-gaps", "--comment=KEY-gaps")
    at.submit("--hold", "--job-name=one|two\tthree@KEY-bars", "--comment=of a | stranger")
    at.submit("--hold", "--job-name=no comment")
    at.submit("--hold", "--job-name=two\nlines\t|", "--comment=two\nlines\t|")
    down = at.cluster.nodes[-1]
    at.ask(("scontrol", "update", f"nodename={down}", "state=drain", "reason=a test"))
    at.submit(f"--nodelist={down}", "--job-name=absent@KEY-absent", "--comment=KEY-absent")
    at.submit("--begin=now+1hour", "--job-name=later@KEY-later", "--comment=KEY-later")
    at.submit("--nodes=9", "--job-name=wide@KEY-wide", "--comment=KEY-wide")
    running = at.submit("--array=0-2", "--job-name=runs@KEY-runs", "--comment=KEY-runs")
    at.until(f"{running}_2", "RUNNING")
    ends = {}
    for name, script in (
        ("zero", "exit 0"), ("seven", "exit 7"), ("high", "exit 137"), ("killed", "kill -9 $$"),
    ):  # fmt: skip
        key = f"KEY-{name}"
        ends[name] = at.submit(
            f"--job-name={name}@{key}", f"--comment={key}", script=f"#!/bin/sh\n{script}\n".encode()
        )
    ends["unwritable"] = at.submit(
        "--output=/no/such/place/out", "--job-name=unwritable@KEY-unwritable",
        "--comment=KEY-unwritable",
    )  # fmt: skip
    held = at.submit("--hold", "--job-name=held@KEY-held", "--comment=KEY-held")
    at.ask(("scontrol", "hold", held))
    stopped = at.submit("--job-name=stopped@KEY-stopped", "--comment=KEY-stopped")
    at.until(stopped, "RUNNING")
    at.ask(("scontrol", "suspend", stopped))
    cancelled = at.submit("--job-name=gone@KEY-gone", "--comment=KEY-gone")
    at.until(cancelled, "RUNNING")
    at.ask(("scancel", cancelled))
    at.until(cancelled, "CANCELLED")
    requeued = at.submit("--requeue", "--job-name=again@KEY-again", "--comment=KEY-again")
    at.until(requeued, "RUNNING")
    at.ask(("scontrol", "requeue", requeued))
    at.until(requeued, "PENDING")
    for name in ("zero", "seven", "high", "killed", "unwritable"):
        at.until(ends[name], "COMPLETED", "FAILED")
    user = at.ask(("id", "-un")).stdout.decode().strip()
    at.keep("listing", "all kinds", _queue.list_command(user, 30))
    ids = [*ends.values(), cancelled, requeued, f"{running}_1", stopped]
    at.keep("details", "of many", _queue.details_command(ids, 30))
    at.keep("details", "one unknown among them", _queue.details_command([*ids[:1], "999999"], 30))
    at.keep("details", "one that is unknown", _queue.details_command(["999999"], 30))
    at.ask(("scontrol", "resume", stopped))
    at.ask(("scontrol", "update", f"nodename={down}", "state=resume"))
    at.wait(lambda: ends["seven"] in _accounts(at, ends["seven"], "FAILED"), "accounting")
    at.keep("accounts", "of many", _accounting.command(ids, 30))
    at.keep("accounts", "by name", _accounting.search_command(
        ["seven@KEY-seven", "runs@KEY-runs", "held@KEY-held"], "2020-01-01T00:00:00", 30
    ))  # fmt: skip
    at.keep("accounts", "of nobody", _accounting.command(["999999"], 30))
    steering(at, held, running, ends["zero"])
    at.ask(("scancel", "--me"))


def _accounts(at: Recorder, native_id: str, word: str) -> str:
    argv = _accounting.command([native_id], 30).argv
    text = at.ask(argv).stdout.decode()
    return text if word in text else ""


def steering(at: Recorder, held: str, running: str, ended: str) -> None:
    """What commands say that change something."""
    at.keep("control", "release one that is held", ("scontrol", "release", held))
    at.keep("control", "hold one of many that is unknown", ("scontrol", "uhold", f"{held},999999"))
    at.keep("control", "hold one that has ended", ("scontrol", "uhold", ended))
    at.keep("control", "suspend one that waits", ("scontrol", "suspend", held))
    at.keep("control", "cancel one of many that is unknown", ("scancel", held, "999999"))
    at.keep("control", "cancel what is no id", ("scancel", "x"))
    at.keep("control", "signal", (*_control._signal(15), f"{running}_0"))


def outages(at: Recorder) -> None:
    """What each command says when nobody answers."""
    user = at.ask(("id", "-un")).stdout.decode().strip()
    waiting = at.submit("--hold")
    commands: dict[str, Sequence[str]] = {
        "sbatch": SBATCH, "squeue": _queue.list_command(user, 30).argv,
        "details": _queue.details_command([waiting], 30).argv,
        "scancel": ("scancel", waiting), "scontrol": ("scontrol", "uhold", waiting),
        "config": _doctor.config_command().argv, "sinfo": _capacity.command(30).argv,
        "sacct": _accounting.command([waiting], 30).argv,
    }  # fmt: skip
    at.keep("site", "config", commands["config"])
    at.keep("site", "sinfo", commands["sinfo"])
    at.keep("site", "partitions", ("sinfo", "-h", "-a", "-o", _doctor._PARTITION))
    at.keep("site", "sacct", ("sacct", "-n", "-P", "-X", "-S", "now", "-o", "JobID"))
    for daemon, names in (
        ("slurmdbd", ("sbatch", "sacct")),
        ("slurmctld", commands),
        ("munged", ("sbatch", "config")),
    ):
        with at.cluster.without(daemon):
            for name in names:
                at.keep("outages", f"{daemon} is down: {name}", commands[name], SCRIPT)
    with at.cluster.frozen("slurmctld"):
        for name, argv in commands.items():
            at.keep("outages", f"slurmctld hangs: {name}", argv, SCRIPT)
    at.ask(("scancel", "--me"))


def without_accounting(at: Recorder) -> None:
    """What a site says that keeps no accounts."""
    at.keep("site", "config, no accounting", _doctor.config_command())
    at.keep("site", "sacct, no accounting", _accounting.command(["1"], 30))


def main() -> None:
    with SlurmCluster("--set=MessageTimeout=5") as cluster:
        recorder = Recorder(cluster)
        for part in (submissions, listings, outages):
            part(recorder)
        with SlurmCluster("--no-accounting", nodes=1) as bare:
            pages = recorder.pages
            recorder = Recorder(bare)
            recorder.pages = pages
            without_accounting(recorder)
        recorder.cluster = cluster
        recorder.write()


if __name__ == "__main__":
    main()

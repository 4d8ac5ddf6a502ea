"""Record what a real Grid Engine says, for the tests that need none.

    eval "$(clusters/gridengine/up)"; python plugins/drmaa/tests/speech/record_gridengine.py

Wants a cluster of its own with the queue all.q and the parallel environment smp; submits jobs as
the backend names them, and leaves nothing running.
"""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

PAGES = Path(__file__).parents[1] / "recorded"
VERSION = "8.1.9"
QSUB = ("qsub", "-terse", "-b", "y", "-o", "/dev/null", "-j", "y")


class Recorder:
    """Runs commands, and keeps what they said."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.user = subprocess.check_output(["id", "-un"], text=True).strip()

    def note(self, name: str, *argv: str) -> str:
        """Run a command and keep what it said under a name."""
        done = self.run(*argv)
        lines = [f"\n== {name}", f"$ {shlex.join(argv)}"]
        lines += [f"| {line}" for line in done.stdout.splitlines()]
        lines += [f"! {line}" for line in done.stderr.splitlines()]
        self.parts.append("\n".join([*lines, f"= {done.returncode}"]))
        return done.stdout

    def run(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as the backend does."""
        return subprocess.run(
            argv,
            env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def submit(self, name: str, *words: str) -> str:
        """Submit a job, and give its number."""
        done = self.run(*QSUB, "-N", name, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.split(".")[0].strip()

    def until(self, number: str, letters: str) -> None:
        """Wait until a job is in a state; "" for one that has left."""
        ends = time.monotonic() + 60
        while True:
            rows = [row.split() for row in self.run("qstat", "-u", "*").stdout.splitlines()]
            states = {row[4] for row in rows if row and row[0] == number}
            if letters in states or (not letters and not states):
                return
            assert time.monotonic() < ends, (number, states)
            time.sleep(0.2)

    def write(self, name: str) -> None:
        """Write a page."""
        folder = PAGES / f"gridengine-{VERSION}"
        folder.mkdir(parents=True, exist_ok=True)
        text = f"Grid Engine {VERSION}, by {Path(__file__).name}\n" + "\n".join(self.parts) + "\n"
        (folder / f"{name}.txt").write_text(text, "utf-8")
        self.parts.clear()


def main() -> int:  # noqa: PLR0915 - one thing after the other
    """Record all pages."""
    r = Recorder()
    listing = ("qstat", "-xml", "-u", r.user, "-s")
    running = r.submit("run+KEY-run", "sleep", "600")
    array = r.submit("array+KEY-array", "-t", "1-3", "sleep", "600")
    held = r.submit("held+KEY-held", "-h", "-t", "1-10", "sleep", "600")
    system = r.submit("system+KEY-system", "sleep", "600")
    r.run("qhold", "-h", "o", system)
    waits = r.submit("waits+KEY-waits", "-hold_jid", running, "sleep", "600")
    failed = r.submit("failed+KEY-failed", "-wd", "/nonexistent", "sleep", "600")
    odd = r.submit("odd<&>name", "sleep", "600")
    for number, letters in ((running, "r"), (array, "r"), (failed, "Eqw"), (odd, "r")):
        r.until(number, letters)
    r.run("qmod", "-sj", f"{array}.2")
    r.run("qhold", "-h", "u", f"{array}.3")
    r.run("qrls", "-h", "u", f"{held}.2")
    r.until(array, "s")
    r.note("listing", *listing, "prsz")
    r.note("held by user", *listing, "hu")
    r.note("held by operator", *listing, "ho")
    r.note("held by system", *listing, "hs")
    r.note("why it failed", "qstat", "-j", failed)
    r.note("why of one that is gone", "qstat", "-j", "999999")
    r.note("nobody's", "qstat", "-xml", "-u", "nobody", "-s", "prsz")
    r.write("queue")

    r.note("hold", "qhold", "-h", "u", waits)
    r.note("release", "qrls", "-h", "u", waits)
    r.note("suspend", "qmod", "-sj", running)
    r.note("suspend again", "qmod", "-sj", running)
    r.note("suspend a waiting one", "qmod", "-sj", waits)
    r.note("resume", "qmod", "-usj", running)
    r.note("resume again", "qmod", "-usj", running)
    r.note("delete", "qdel", running)
    r.note("delete a held one", "qdel", held)
    r.note("delete an unknown one", "qdel", "999999")
    r.note("delete one of each", "qdel", array, "999999")
    r.note("hold an unknown one", "qhold", "-h", "u", "999999")
    r.note("suspend an unknown one", "qmod", "-sj", "999999")
    r.run("qdel", system, waits, failed, odd)
    for number in (running, array, odd):
        r.until(number, "")
    r.write("control")

    r.note("deleted", "qacct", "-j", running)
    r.note("array", "qacct", "-j", array)
    r.note("deleted before it ran", "qacct", "-j", held)
    r.note("failed", "qacct", "-j", failed)
    exits = r.submit("exits+KEY-exits", "sh", "-c", "'exit 3'")
    limit = r.submit("limit+KEY-limit", "-l", "h_rt=2", "sleep", "600")
    again = r.submit("again+KEY-again", "-r", "y", "sleep", "20")
    r.until(again, "r")
    r.run("qmod", "-rj", again)
    for number in (exits, limit, again):
        r.until(number, "")
    r.note("exited", "qacct", "-j", exits)
    r.note("over its limit", "qacct", "-j", limit)
    r.note("run again", "qacct", "-j", again)
    r.note("by pattern", "qacct", "-o", r.user, "-j", "*+KEY-e*")
    r.write("accounts")

    r.note("queues", "qstat", "-f")
    r.note("environments", "qconf", "-spl")
    os.environ["SGE_QMASTER_PORT"], port = "1", os.environ["SGE_QMASTER_PORT"]
    r.note("no master", "qstat", "-f")
    r.note("no master to delete", "qdel", "1")
    os.environ["SGE_QMASTER_PORT"] = port
    os.environ["SGE_ROOT"], root = "/nonexistent", os.environ["SGE_ROOT"]
    r.note("no root", "qstat", "-f")
    os.environ["SGE_ROOT"] = root
    r.run("qmod", "-d", "all.q")
    r.note("disabled", "qstat", "-f")
    r.run("qmod", "-e", "all.q")
    r.write("site")
    return 0


if __name__ == "__main__":
    sys.exit(main())

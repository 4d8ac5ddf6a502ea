"""Run a command with a scripted Slurm on PATH: `python -m drover.testing.scheduler -- COMMAND`.

Jobs run for real, on this machine. Without a command it serves until it is interrupted.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading

from drover.testing._clock import SystemClock
from drover.testing.scheduler._programs import ScriptedPrograms
from drover.testing.scheduler.slurm import SlurmScheduler, SlurmSite


def main(arguments: list[str]) -> int:
    """Serve; gives the exit code of the command."""
    parser = argparse.ArgumentParser(prog="python -m drover.testing.scheduler", description=__doc__)
    parser.add_argument("--no-accounting", action="store_true", help="a site without slurmdbd")
    parser.add_argument("command", nargs="*", help="what to run; default: wait")
    options = parser.parse_args(arguments)
    site = SlurmSite(accounting=not options.no_accounting, kill_wait_s=5.0)
    with (
        SlurmScheduler(site, run_for_real=True, clock=SystemClock()) as slurm,
        ScriptedPrograms(slurm) as programs,
    ):
        if options.command:
            environment = {**os.environ, "PATH": programs.path}
            return subprocess.run(options.command, env=environment, check=False).returncode
        over = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: over.set())
        print(f"export PATH={programs.folder}:$PATH", flush=True)
        over.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

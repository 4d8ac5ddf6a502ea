"""What outlived a cluster's daemons is killed, whatever it does meanwhile."""

import os
import subprocess
import time
from pathlib import Path

from clusters.daemons import start_time
from clusters.leftovers import Process, below, kill, marked

LONG = f"700.{os.getpid()}"
# Its children have no variables, and are known by their parent alone.
BREEDER = f"""
i=0
while [ $i -lt 400 ]; do env -i setsid sleep {LONG} & i=$((i+1)); done
wait
"""


def sleeping() -> list[int]:
    wanted = f"sleep\0{LONG}\0".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted == (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return [pid for pid in found if start_time(pid) is not None]


def test_what_is_born_while_we_look_goes_too() -> None:
    """Its parent would be dead when we look again, and nothing would tell whose it was."""
    mark = {"DROVER_TEST_MARK": str(os.getpid())}

    def ours(processes: list[Process]) -> list[Process]:
        watchers = marked(processes, mark)
        jobs = {row.pid: row for row in below(watchers, processes)}
        return [*jobs.values(), *(row for row in watchers if row.pid not in jobs)]

    with subprocess.Popen(["sh", "-c", BREEDER], env={**os.environ, **mark}) as breeder:
        ends = time.monotonic() + 30.0
        while len(sleeping()) < 5:
            assert time.monotonic() < ends
            time.sleep(0.01)
        try:
            killed = kill(ours)

            assert breeder.pid in {row.pid for row in killed}
            assert [] == sleeping()
        finally:
            for pid in sleeping():
                os.kill(pid, 9)

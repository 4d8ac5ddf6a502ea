"""Drover's processes while it is measured: which they are, what they use, that they leave."""

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

import psutil

import drover

WAIT_S = 60.0
HERE = "client"
"""The name of this process among Drover's."""


@contextlib.contextmanager
def warm(folder: Path, slots: int) -> Generator[drover.Session]:
    """Open a fresh store whose engine and agent are up, as the peers' workers are.

    At the end the processes leave.
    """
    os.environ["DROVER_BACKENDS__LOCAL__CPUS"] = str(slots)
    # Longer than it is looked at while idle; gone when told, or if this process is killed.
    os.environ["DROVER_ENGINE__IDLE_S"] = "120"
    os.environ["DROVER_BACKENDS__LOCAL__IDLE_S"] = "0"
    with drover.open(folder / "store") as session:
        first = session.submit(["echo", "kept"])
        assert isinstance(first, drover.Job)
        assert first.wait(WAIT_S).exit_code == 0
        assert first.stdout.read() == "kept\n", "outputs are not kept"
        processes = servants(session)
        assert set(processes) == {"engine", "keeper", "agent"}
        try:
            yield session
        finally:
            session.engine_stop(WAIT_S)
            _, staying = psutil.wait_procs(list(processes.values()), WAIT_S)
            assert not staying, f"these did not leave: {staying}"


def servants(session: drover.Session) -> dict[str, psutil.Process]:
    """Find the engine, the keeper and the agent of a store."""
    found = {"engine": psutil.Process(session.engine_status().pid)}
    place = str(session.home / "backends" / "local")
    ours = [row for row in psutil.process_iter(["ppid", "cmdline"]) if place in _words(row)]
    pids = {row.pid for row in ours}
    for row in ours:
        # The agent is forked by its keeper and has the same command line.
        found["agent" if row.info["ppid"] in pids else "keeper"] = row
    return found


def _words(process: psutil.Process) -> list[str]:
    return process.info["cmdline"] or []


class Meter:
    """Tell what Drover's processes, this one among them, use from here on."""

    def __init__(self, session: drover.Session) -> None:
        self._processes = {**servants(session), HERE: psutil.Process()}
        self._before = self._read()

    def _read(self) -> dict[str, float]:
        return {name: cpu_s(one.pid) for name, one in self._processes.items()}

    def cpu_s(self) -> dict[str, float]:
        """Give the seconds of CPU by process; those of the jobs are not among them."""
        after = self._read()
        return {name: round(after[name] - self._before[name], 4) for name in after}

    def peaks_mib(self) -> dict[str, float]:
        """Give the peak memory by process since each began."""
        return {name: peak_mib(one.pid) for name, one in self._processes.items()}


def cpu_s(pid: int) -> float:
    """Read how long all threads of a process were on a CPU.

    Source: proc(5), /proc/PID/schedstat: nanoseconds, where the ticks of `stat` are 10 ms.
    """
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # A thread may end meanwhile.
            total += int((task / "schedstat").read_text("ascii").split()[0])
    return total / 1e9


def switches(pid: int) -> int:
    """Count how often the threads of a process have gone to sleep."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += int(_status_of(task)["voluntary_ctxt_switches"])
    return total


def peak_mib(pid: int) -> float:
    """Read the peak memory of a process.

    `ru_maxrss` would count its parent's from before the exec.
    """
    return round(int(_status_of(Path(f"/proc/{pid}"))["VmHWM"].split()[0]) / 1024, 1)


def _status_of(folder: Path) -> dict[str, str]:
    lines = (folder / "status").read_text("ascii", "replace").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

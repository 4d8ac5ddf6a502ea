"""The process above the agent: it waits, and so keeps the exit codes if the agent is killed.

It is the reaper of everything below it (PR_SET_CHILD_SUBREAPER), so the children of a dead agent
become its own. It holds the lock of the place together with the agent: the lock is free only
when both are proved dead, and only then can another pair begin. It does nothing else, so that
there is nothing it could die of.

Run as `python -P -m drover_local._keeper FOLDER`; exits with 0 when the agent listens, with
BUSY when another pair has the place.
"""

import ctypes
import fcntl
import os
import resource
import signal
import sys
import time
import traceback
from typing import Any, Final

from drover_local._identity import boot_ns, has_executed, read_stat
from drover_local._orphans import OrphanWriter, Tally
from drover_local._place import Place
from drover_local._tree import read_token

BUSY: Final = 75
_READY: Final = b"r"
_BUSY: Final = b"b"
_PR_SET_CHILD_SUBREAPER: Final = 36
_DEATHS: Final = 20
_SHORT_LIFE_S: Final = 10.0
# A child that was cloned but has not executed its command yet shows the agent's environment.
_SCANS: Final = 20
_SCAN_S: Final = 0.0005
_NEVER: Final = 2**63


def main() -> int:
    """Begin a pair in the background and tell by the exit code what became of it."""
    os.umask(os.umask(0) & 0o077)
    place = Place(sys.argv[1])
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        word = os.read(reader, 1)
        return 0 if word == _READY else BUSY if word == _BUSY else 1
    os.close(reader)
    try:
        _keep(place, writer)
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stderr.flush()
        os._exit(1)


def _keep(place: Place, ready: int) -> None:
    lock = os.open(place.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.write(ready, _BUSY)
        os._exit(BUSY)
    os.chdir("/")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    tally = Tally(boot_ns() if _become_subreaper() else _NEVER)
    writer = OrphanWriter(place.path("orphans"))
    deaths = 0
    while True:
        born = time.monotonic()
        agent = _fork_agent(place, ready, tally)
        is_first = ready >= 0
        if is_first:
            os.close(ready)
            ready = -1
        status = _watch(agent, writer, tally)
        if status == 0:
            writer.clear()
            os._exit(0)
        deaths = deaths + 1 if time.monotonic() - born < _SHORT_LIFE_S else 0
        if (os.WIFEXITED(status) and deaths > (0 if is_first else 1)) or deaths > _DEATHS:
            # It fails by itself, soon; the jobs' ends are told by the kernel or not at all.
            os._exit(1)
        if deaths > 1:
            time.sleep(min(0.05 * 2**deaths, 1.0))


def _become_subreaper() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    done: int = ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return done == 0


def _fork_agent(place: Place, ready: int, tally: Tally) -> int:
    keeper = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        from drover_local._agent import run

        code = run(place, keeper, tally, lambda: os.write(ready, _READY) if ready >= 0 else 0)
    except BaseException:  # noqa: BLE001 - the last frame of a process: it is told in the log
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _watch(agent: int, writer: OrphanWriter, tally: Tally) -> int:
    """Collect children until the agent is dead; note the jobs it leaves behind.

    Returns:
        The agent's wait status.
    """
    while True:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        if found is None:
            continue
        pid = found.si_pid
        if pid == agent:
            status = found.si_status if found.si_code != os.CLD_EXITED else found.si_status << 8
            if status:
                _note_tokens(agent, writer)
            os.waitpid(pid, 0)
            return int(status)
        stat, executed = read_stat(pid), has_executed(pid)
        tally.reaping()
        _, status, usage = os.wait4(pid, 0)
        if writer.add(_end(pid, stat, status, usage) | {"executed": executed}):
            tally.wrote()
        # The agent is not collected yet, so the number is still its own.
        os.kill(agent, signal.SIGUSR1)


# wait4 imports `resource` on first use, which may be too late: the signature names it.
def _end(
    pid: int,
    stat: tuple[str, int, int, int] | None,
    status: int,
    usage: resource.struct_rusage,
) -> dict[str, Any]:
    return {
        "pid": pid,
        "ticks": stat[3] if stat else None,
        "session": stat[2] if stat else None,
        "status": status,
        "at": time.time(),
        "user_s": usage.ru_utime,
        "system_s": usage.ru_stime,
        "rss": usage.ru_maxrss * 1024,
    }


def _note_tokens(agent: int, writer: OrphanWriter) -> None:
    """Note which token each child bears: the agent may have died before it knew the number."""
    noted: set[int] = set()
    for _ in range(_SCANS):
        waiting = False
        for pid in _children():
            if pid == agent or pid in noted:
                continue
            row = read_stat(pid)
            if row is None or row[0] == "Z":
                continue
            token = read_token(pid)
            if token:
                noted.add(pid)
                writer.add({"token": token, "pid": pid, "ticks": row[3]})
            else:
                waiting = True
        if not waiting:
            return
        time.sleep(_SCAN_S)


def _children() -> list[int]:
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(main())

"""Tell one process from another that has its number later, and one boot from the next.

A process is known by the boot, its number and its start. The start is kept as the span of
`CLOCK_BOOTTIME` in which it was made, which costs no look into /proc at every spawn.
"""

import os
import time
from typing import Final

# Linux gives start times in USER_HZ, which is 100 on every architecture that CPython supports.
TICK_NS: Final = 10**9 // os.sysconf("SC_CLK_TCK")
_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
# PF_FORKNOEXEC of include/linux/sched.h: what was forked and has executed no command yet.
_NOT_EXECUTED: Final = 0x40


def boot_id() -> str:
    """Name this boot of the machine; another one has another name."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        import psutil

        return f"boot-{psutil.boot_time():.0f}"


def boot_ns() -> int:
    """Give nanoseconds since the boot, time asleep included."""
    return time.clock_gettime_ns(_BOOT_CLOCK)


def read_stat(pid: int) -> tuple[str, int, int, int] | None:
    """Look at a process.

    Returns:
        Its state letter, parent, session and start in ticks since the boot; `None` if there is
        no such process.

    Source: proc_pid_stat(5).
    """
    rest = _fields(pid)
    if rest is None:
        return None
    return rest[0].decode("ascii"), int(rest[1]), int(rest[3]), int(rest[19])


def has_executed(pid: int) -> bool:
    """Tell whether a process, be it dead and not reaped, has executed a command since its fork."""
    rest = _fields(pid)
    return rest is not None and not int(rest[6]) & _NOT_EXECUTED


def _fields(pid: int) -> list[bytes] | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            data = file.read(4096)
    except OSError:
        return None
    # The command's name may hold blanks and parentheses: what counts stands after the last one.
    rest = data[data.rfind(b")") + 2 :].split(b" ", 20)
    return rest if len(rest) >= 20 else None


def start_ticks(pid: int) -> int | None:
    """Give a process's start in ticks since the boot, `None` if it is not there."""
    if os.path.isdir("/proc/self"):
        row = read_stat(pid)
        return row[3] if row else None
    import psutil

    try:
        return int((psutil.Process(pid).create_time() - psutil.boot_time()) * 10**9 / TICK_NS)
    except psutil.Error:
        return None


def started_within(ticks: int | None, earliest_ns: int, latest_ns: int) -> bool:
    """Tell whether a start lies in a span of the boot's clock."""
    if ticks is None:
        return False
    return earliest_ns // TICK_NS <= ticks <= latest_ns // TICK_NS

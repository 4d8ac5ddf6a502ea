"""Which machine this is, since when it runs, and which process is which."""

import os
import platform
import time
from pathlib import Path
from typing import Final

_NETWORK: Final = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "fhgfs", "ceph",
        "afs", "9p", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "orangefs", "panfs", "wekafs",
    }
)  # fmt: skip


class SystemClock:
    """Tell the real time."""

    def time(self) -> float:
        """Give seconds since 1970 UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Give seconds since an instant that all processes of this boot share."""
        return time.monotonic()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def boot_id() -> str:
    """Name this boot of this machine; another one after a reboot.

    Source: proc(5), /proc/sys/kernel/random/boot_id. Elsewhere the instant of the boot, to
    ten seconds, stands for it.
    """
    override = os.environ.get("DROVER_BOOT_ID")
    if override:
        return override
    return (
        _read("/proc/sys/kernel/random/boot_id")
        or f"boot-{round((time.time() - time.monotonic()) / 10)}"
    )


def machine_id() -> str:
    """Name this machine: machine-id(5), or its host name."""
    return _read("/etc/machine-id") or platform.node()


def host_name() -> str:
    """Give the machine's name for people."""
    return platform.node() or "localhost"


def process_started(pid: int) -> str:
    """Give a mark of when a process began, in clock ticks since boot; empty if it is gone.

    Together with boot id and pid it names a process for ever: pids are used again. A process
    that is dead but not reaped counts as gone.

    Source: proc(5), /proc/PID/stat fields 3 and 22. Where there is no /proc, a pid that can be
    signalled gives the mark `"alive"`.
    """
    stat = _read(f"/proc/{pid}/stat")
    if stat:
        fields = stat.rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "alive"
    return "alive"


def file_system(path: Path) -> str:
    """Name the type of the file system that holds *path*; empty if the system does not tell.

    Source: proc(5), /proc/self/mountinfo.
    """
    best, kind = "", ""
    real = os.path.realpath(path)
    for line in _read("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        mount = left.split()[4].encode().decode("unicode_escape")
        inside = real == mount or real.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, right.split()[0]
    return kind


def is_network(kind: str) -> bool:
    """Tell whether a file system type is shared over a network: SQLite's locks fail there."""
    return kind in _NETWORK

"""Where the backend keeps its files, and how its socket is reached."""

import os
import socket
import zlib
from typing import Final

# sun_path holds 108 bytes with its NUL, on other systems than Linux 104.
_LONGEST: Final = 100
_LOG_MAX: Final = 2**20


def kept_name(job_id: str, number: int, restart: int, suffix: str) -> str:
    """Name the file, in the folder of outputs, that is kept for a stream of an attempt.

    256 folders share the files of all jobs, so that no folder grows without bounds and none is
    made per job.
    """
    shard = zlib.crc32(job_id.encode("utf-8", "surrogateescape")) & 0xFF
    return f"{shard:02x}/{job_id.replace('/', '_')}.{number}.{restart}.{suffix}"


class Place:
    """The folder `home/backends/NAME`, private to the user."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.output = os.path.join(folder, "output")
        self.log = os.path.join(folder, "agent.log")
        self.lock = os.path.join(folder, "agent.lock")
        self._fd = -1

    def path(self, name: str) -> bytes:
        """Give the path of one of its files."""
        return os.fsencode(os.path.join(self.folder, name))

    def make(self) -> None:
        """Make the folders, with mode 0700 whatever the umask is.

        Raises:
            OSError: They cannot be made.
        """
        for folder in (os.path.dirname(self.folder), self.folder, self.output):
            os.makedirs(folder, mode=0o700, exist_ok=True)
            if os.stat(folder).st_mode & 0o777 != 0o700:
                os.chmod(folder, 0o700)

    def address(self) -> str:
        """Give the socket's address.

        A path too long for a socket is named through a descriptor of its folder, which needs
        no second folder that others could tamper with.

        Raises:
            OSError: The path is too long, and this system has no /proc.
        """
        path = os.path.join(self.folder, "agent.sock")
        if len(os.fsencode(path)) <= _LONGEST:
            return path
        if not os.path.isdir("/proc/self/fd"):
            raise OSError(f"{path!r} is too long for a socket: choose a shorter --home")
        if self._fd < 0:
            self._fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}/agent.sock"

    def connect(self, timeout_s: float) -> socket.socket:
        """Reach the agent.

        Raises:
            OSError: None listens here.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout_s)
            sock.connect(self.address())
        except OSError:
            sock.close()
            raise
        return sock

    def open_log(self) -> int:
        """Open the agent's log, begun anew once it is large."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(self.log, flags, 0o600)
        os.fchmod(fd, 0o600)
        if os.fstat(fd).st_size > _LOG_MAX:
            os.ftruncate(fd, 0)
        return fd

    def log_tail(self) -> str:
        """Give the last line of the log, for people."""
        try:
            with open(self.log, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 2000))
                lines = file.read().decode("utf-8", "backslashreplace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""

    def close(self) -> None:
        """Let go of the folder."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

"""Start one command: resolve it, open its files in the child, say exactly what went wrong.

`posix_spawn` because it costs the same whatever the size of the agent; it cannot change the
directory, so the agent, which has one thread, goes there itself. A failure names the command
even if it was a file that could not be opened, hence `explain`.
"""

import errno
import os
import signal
import stat
import time
from typing import Any, Final

from drover_local._job import Job

_DEFAULT_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
# How long a found command is believed in: a new one earlier in PATH is seen after this.
_FOUND_S: Final = 1.0
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_OUTPUT: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC


class LaunchError(Exception):
    """The command could not be started. Stays inside the agent; its text goes to the user."""


class NoRoomError(LaunchError):
    """No room on the disk for its output, or for another process: it can be tried again."""


class Spawner:
    """Start commands, remembering for a moment where they were found."""

    def __init__(self, home_fd: int, output: str) -> None:
        self._home_fd = home_fd
        self._output = output
        self._shards: set[str] = set()
        self._found: dict[tuple[str, str], tuple[float, str]] = {}
        self._away = False
        # The C library asks the kernel about each one that is not named before it resets it.
        self._signals = tuple(signal.valid_signals())

    @staticmethod
    def prepare(job: Job) -> None:
        """Make ahead of its turn what opens a job's files in the child."""
        what = job.what
        out, err = what["stdout"], what.get("stderr")
        job.actions = (
            (os.POSIX_SPAWN_OPEN, 0, what.get("stdin", "/dev/null"), os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, out, _OUTPUT, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2)
            if err is None
            else (os.POSIX_SPAWN_OPEN, 2, err, _OUTPUT, 0o600),
        )
        shard = out[: out.rfind("/")]
        if "stdin" not in what and (err is None or err[: err.rfind("/")] == shard):
            # Where others' output has gone nothing is to be made or looked at.
            job.shard = shard

    def spawn(self, job: Job) -> int:
        """Start a job's command in a session of its own.

        Returns:
            Its process id.

        Raises:
            NoRoomError: It does not run now; it can be tried again.
            LaunchError: It does not run and will not.
        """
        what = job.what
        try:
            os.chdir(what["cwd"])
        except OSError as exc:
            raise LaunchError(f"working directory {_show(what['cwd'])}: {_why(exc)}") from None
        self._away = True
        if job.shard not in self._shards:
            self._make_shards(what)
            for name in ("stdin", "stdout", "stderr"):
                self._refuse_no_file(name, what.get(name))
        path: str = what["argv"][0]
        if "/" not in path:
            path = self._resolve(path, job.environment)
        try:
            return self._start(path, what, job)
        except OSError:
            # What was remembered may be wrong by now; nothing has run, so try again without.
            self._found.clear()
            self._shards.clear()
        except ValueError as exc:
            raise LaunchError(f"command {_show(path)}: {exc}") from None
        self._make_shards(what)
        if "/" not in what["argv"][0]:
            path = self._resolve(what["argv"][0], job.environment)
        try:
            return self._start(path, what, job)
        except OSError as exc:
            raise self._failure(exc, path, what) from None

    def _failure(self, exc: OSError, path: str, what: dict[str, Any]) -> LaunchError:
        if exc.errno == errno.EAGAIN:
            # fork(2): as many as the user, or the control group, may have. It says nothing of the
            # command, and all that wait would fail within a moment.
            return NoRoomError(f"no more processes can be made: {_why(exc)}")
        if exc.errno in _FULL:
            for name in ("stdout", "stderr"):
                kept = what.get(name, "")
                if kept.startswith(self._output) and (why := _check_output(name, kept)):
                    return NoRoomError(why)
        return LaunchError(explain(exc, path, what))

    def come_back(self) -> None:
        """Leave the directory of the last job, so that it can be unmounted."""
        if self._away:
            os.fchdir(self._home_fd)
            self._away = False

    def _start(self, path: str, what: dict[str, Any], job: Job) -> int:
        if job.cpu_ids:
            return self._start_bound(path, what, job)
        return os.posix_spawn(
            path,
            what["argv"],
            job.environment,
            file_actions=job.actions,
            setsid=True,
            setsigmask=(),
            setsigdef=self._signals,
        )

    def _start_bound(self, path: str, what: dict[str, Any], job: Job) -> int:
        cpu_ids, job.cpu_ids = job.cpu_ids, ()
        bound = os.sched_getaffinity(0)
        # The child inherits it, so that not even its first thread runs elsewhere.
        os.sched_setaffinity(0, cpu_ids)
        try:
            return self._start(path, what, job)
        finally:
            job.cpu_ids = cpu_ids
            os.sched_setaffinity(0, bound)

    def _make_shards(self, what: dict[str, Any]) -> None:
        for path in (what["stdout"], what.get("stderr", "")):
            if path.startswith(self._output):
                self._make_shard(path[: path.rfind("/")])

    def _make_shard(self, shard: str) -> None:
        if shard in self._shards:
            return
        try:
            os.makedirs(shard, mode=0o700, exist_ok=True)
        except OSError as exc:
            kind = NoRoomError if exc.errno in _FULL else LaunchError
            raise kind(f"folder for output {_show(shard)}: {_why(exc)}") from None
        self._shards.add(shard)

    def _refuse_no_file(self, name: str, path: str | None) -> None:
        # Opening a pipe waits for its other end, and the agent with all its jobs would wait too.
        # A folder can be opened as stdin; nobody can read from it.
        if path is None or path.startswith(self._output):
            return
        try:
            mode = os.stat(path).st_mode
        except OSError:
            return
        if stat.S_ISFIFO(mode):
            raise LaunchError(f"{name} {_show(path)}: a named pipe cannot be used here")
        if stat.S_ISDIR(mode):
            raise LaunchError(f"{name} {_show(path)}: it is a folder")

    def _resolve(self, name: str, environment: dict[bytes, bytes]) -> str:
        if "/" in name:
            return name
        search = os.fsdecode(environment.get(b"PATH", b"")) or _DEFAULT_PATH
        now = time.monotonic()
        known = self._found.get((search, name))
        if known and known[0] > now:
            return known[1]
        if len(self._found) > 1000:
            self._found.clear()
        denied = ""
        for folder in search.split(":"):
            path = f"{folder or '.'}/{name}"
            if os.access(path, os.X_OK) and not os.path.isdir(path):
                if folder.startswith("/"):
                    self._found[search, name] = (now + _FOUND_S, path)
                return path
            if not denied and os.path.isfile(path):
                denied = path
        if denied:
            raise LaunchError(f"command {_show(denied)}: it is not executable (chmod +x)")
        blanks = any(map(str.isspace, name))
        hint = "; it has blanks: for a line of the shell give sh, -c and the line" if blanks else ""
        text = f"command {_show(name)}: not found in the job's PATH{hint}. PATH is {search!r}"
        raise LaunchError(text)


def explain(exc: OSError, path: str, what: dict[str, Any]) -> str:
    """Find out which of a command's files a failed spawn was about.

    Args:
        exc: What `posix_spawn` raised; its file name is always the command's.
        path: The command, as it was to be executed.
        what: The job; the agent is in its working directory.
    """
    if exc.errno in {errno.ENOMEM, errno.E2BIG}:
        return f"command {_show(path)}: {_why(exc)}"
    return (
        _check_input(what.get("stdin", "/dev/null"))
        or _check_output("stdout", what["stdout"])
        or _check_output("stderr", what.get("stderr", "/dev/null"))
        or _check_command(path)
        or f"command {_show(path)}: {_why_not_executed(exc, path)}"
    )


def _check_input(path: str) -> str:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as exc:
        return f"stdin {_show(path)}: {_why(exc)}"
    return ""


def _check_output(name: str, path: str) -> str:
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
    except OSError as exc:
        return f"{name} {_show(path)}: {_why(exc)}"
    return ""


def _check_command(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except OSError as exc:
        return f"command {_show(path)}: {_why(exc)}"
    if stat.S_ISDIR(mode):
        return f"command {_show(path)}: it is a folder"
    if not os.access(path, os.X_OK):
        return f"command {_show(path)}: it is not executable (chmod +x)"
    return ""


def _why_not_executed(exc: OSError, path: str) -> str:
    """Say what is wrong with a file that is there and is executable."""
    try:
        with open(path, "rb") as file:
            line = file.readline(256)
    except OSError:
        line = b""
    if exc.errno == errno.ENOEXEC:
        return f"{_why(exc)}; {_FORMATS.get(line[:4], _NO_SCRIPT)}"
    if exc.errno in {errno.ENOENT, errno.EACCES} and line.startswith(b"#!"):
        # The kernel's words are about the interpreter, not about the script.
        word = line[2:].strip(b" \t\n").replace(b"\t", b" ").partition(b" ")[0]
        name = _show(os.fsdecode(word))
        ending = "; the line ends with a carriage return" if b"\r" in word else ""
        wrong = "is not there" if exc.errno == errno.ENOENT else "cannot be executed"
        return f"its first line names the interpreter {name}, which {wrong}{ending}"
    return _why(exc)


_NO_SCRIPT: Final = "a script needs a first line such as #!/bin/sh"
_FORMATS: Final = {b"\x7fELF": "it is damaged, or made for another kind of machine"}


def _show(path: str) -> str:
    return repr(path)


def _why(exc: OSError) -> str:
    return (exc.strerror or str(exc)).lower()

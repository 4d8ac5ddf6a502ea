"""Run one attempt's command on a compute node: claim it, run it, record its end.

    wrapper.py FOLDER NATIVE_ID [RESTART]
    wrapper.py --of LIST INDEX NATIVE_ID [RESTART]

FOLDER is the attempt's own folder and holds `task.json`. LIST is a file of many tasks, one a line
after its head, from which INDEX chooses: an array of a scheduler is one list. INDEX, NATIVE_ID
and RESTART may name variables of the scheduler in braces, such as `{JOB_ID}.{SGE_TASK_ID}` or
`{SLURM_RESTART_COUNT}`; `{SGE_TASK_ID-1}` is a number less one. A RESTART that ends with `+` says
only whether the job was run before: its earlier starts are counted.

This file stands alone: it is copied to file systems where drover is not installed, so it imports
the standard library only and keeps to what Python 3.6 understands. The rest of drover imports it,
never the other way round.

What it promises:

1. Before the command it takes the first free entry of `claim.0`, `claim.1`... by link(2) and
   reads it back. In doubt it runs nothing.
2. No shell ever sees a word of the user's: argv, environment and paths come from `task.json`.
3. The exit record is complete or absent, and it names the claim under which the command ran.
"""

# Python 3.6 knows neither `X | None`, nor builtin generics, nor the newer calls.
# ruff: noqa: UP006, UP035, UP045, PTH104, PTH108, PTH109, PTH118, PTH123

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, cast

VERSION = 1
TASK = "task.json"
STRUCK = ".struck"
"""Ending of a file beside a list, with the indices of tasks that must not be run any more."""
BEFORE = ".before"
"""Ending of a file beside a list: what the jobs came to that had to end before its tasks. The
first task to know it says so, and no other has to read thousands of records."""
LOOK_AFTER = 50
"""Records that are read between two looks whether another task has said so meanwhile."""
UNRUN_EXIT = 118
"""Exit code of a wrapper that ran nothing. Free in sysexits.h, shells, Slurm and Grid Engine."""
MASKED_EXIT = 98
"""Stands for a command's own exit code that the scheduler would misread."""
RESERVED = frozenset([99, 100, UNRUN_EXIT])
"""99 makes Grid Engine run the job again, 100 puts it into the error state: sge_conf(5)."""
KILLER = int(getattr(signal, "SIGRTMAX", signal.SIGUSR2))
"""Asks the wrapper to kill its command: schedulers that are asked to KILL send TERM first."""
_FORWARDED = (
    "SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGABRT",
    "SIGTRAP", "SIGIO", "SIGPWR", "SIGPROF", "SIGVTALRM", "SIGSYS",
)  # fmt: skip
FORWARDED = frozenset(
    [int(getattr(signal, name)) for name in _FORWARDED if hasattr(signal, name)]
    + list(range(int(getattr(signal, "SIGRTMIN", KILLER)), KILLER))
)
"""What the wrapper passes on. The rest cannot be caught (KILL, STOP), is ignored or stops where
nobody catches it, or is the wrapper's own: its clock (ALRM), its pipes (PIPE, XFSZ), its faults
(SEGV, BUS, FPE, ILL)."""
TICK_S = 5.0
"""Between two looks at the clock while a wall time runs: how a stop of all processes is noticed."""
GRACE_S = 10.0
"""Between TERM and KILL for a command that is over its wall time."""
CANCEL = "cancel.json"
"""Left in the folder before an attempt is cancelled: `grace_s`, seconds between TERM and KILL."""
PATIENCE_S = (0.1, 1.0, 5.0, 15.0, 30.0)
"""Delays between tries to write an exit record: without it nobody knows the true end."""
LISTEN_S = 1.0
"""Between two looks at what is asked by file, where the scheduler passes no signals on."""
REQUESTS = "requests"
"""File in an attempt's folder with lines `RESTART SIGNAL WHY`; WHY is `cancel` or `signal`."""
ENDING = frozenset([KILLER, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])

Json = Dict[str, Any]


class Unrun(Exception):  # noqa: N818 - not an error: the promise that nothing was run
    """Nothing was run and nothing will be; the text says why."""


class LaunchError(Exception):
    """The claim is ours, but the command could not be started."""

    def __init__(self, why: str, code: int, signal: Optional[int] = None) -> None:
        super().__init__(why)
        self.code = code
        self.signal = signal


# --- files -------------------------------------------------------------------------------------


def write_new(path: str, content: Mapping[str, Any], durable: bool = True) -> None:
    """Write JSON to a file that must not exist, private to the user and on the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(json.dumps(content, sort_keys=True).encode("ascii") + b"\n")
            if durable:
                file.flush()
                os.fsync(file.fileno())
    except OSError:
        _unlink(path)
        raise


def write_whole(folder: str, name: str, content: Mapping[str, Any], durable: bool = True) -> None:
    """Put a JSON file in place in one step: readers see all of it or none."""
    draft = os.path.join(folder, "." + name + "-" + os.urandom(8).hex())
    try:
        write_new(draft, content, durable)
        os.rename(draft, os.path.join(folder, name))
    except OSError:
        _unlink(draft)
        raise
    if durable:
        sync_folder(folder)


def sync_folder(folder: str) -> None:
    """Make names in *folder* durable, where its file system can."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Some network file systems refuse to sync a directory; they do it by themselves.
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def read_json(path: str) -> Optional[Json]:
    """Read a JSON object; `None` if there is no file, `{}` if it holds something else.

    Raises:
        OSError: The file is there, or may be, and cannot be read.
    """
    try:
        with open(path, "rb") as file:
            content: Any = json.loads(file.read().decode("ascii"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        return {}
    return cast(Json, content) if isinstance(content, dict) else {}


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


# --- claims ------------------------------------------------------------------------------------


def append_claim(
    folder: str,
    entry: Mapping[str, Any],
    refusal: Callable[[Sequence[Json]], str],
    durable: bool = True,
) -> Tuple[Optional[Json], List[Json], str]:
    """Put *entry* at the first free place, unless what stands before it forbids.

    Args:
        folder: The attempt's folder.
        entry: What to write, without a nonce.
        refusal: Given the entries before the free place, says why not; "" to go on.
        durable: Whether it must outlive a power cut.

    Returns:
        The entry as it stands, or `None`; those before it, oldest first; why it was refused.

    Raises:
        OSError: In doubt. The entry may or may not stand there.
    """
    nonce = os.urandom(16).hex()
    draft = os.path.join(folder, ".claim-" + nonce)
    write_new(draft, dict(entry, version=VERSION, nonce=nonce), durable)
    seen: List[Json] = []
    try:
        while True:
            found = read_claim(folder, len(seen)) or _link(draft, folder, len(seen))
            if found["nonce"] == nonce:
                if durable:
                    sync_folder(folder)
                return found, seen, ""
            seen.append(found)
            why = refusal(seen)
            if why:
                return None, seen, why
    finally:
        _unlink(draft)


def read_claim(folder: str, index: int) -> Optional[Json]:
    """Read one entry; `None` if the place is free.

    Returns:
        At least `kind` (`start`, `closed`, or `unreadable`), `nonce` and `index`.
    """
    entry = read_json(os.path.join(folder, f"claim.{index}"))
    if entry is None:
        return None
    if entry.get("kind") not in ("start", "closed") or not isinstance(entry.get("nonce"), str):
        entry = {"kind": "unreadable", "nonce": ""}
    return dict(entry, index=index)


def read_claims(folder: str) -> List[Json]:
    """Read all entries, oldest first. Empty if there are none, or no folder."""
    entries: List[Json] = []
    while True:
        entry = read_claim(folder, len(entries))
        if entry is None:
            return entries
        entries.append(entry)


def _link(draft: str, folder: str, index: int) -> Json:
    """Try to take a place and give the entry that stands there afterwards."""
    reply: Optional[OSError] = None
    try:
        os.link(draft, os.path.join(folder, f"claim.{index}"))
    except OSError as error:
        # A file system across a network may say "exists" of the very link it has just made
        # (its answer got lost, the request was repeated), so that only the content decides.
        reply = error
    found = read_claim(folder, index)
    if found is None:
        raise reply or OSError(f"claim.{index} was made and is not there")
    return found


def start_refusal(entries: Sequence[Json], native_id: str, restart: int, requeue: bool) -> str:
    """Say why a start may not follow these entries; "" if it may."""
    for entry in entries:
        place = f"claim.{entry['index']}"
        if entry["kind"] == "closed":
            return f"the attempt is closed ({entry.get('why', '')})"
        if entry["kind"] != "start":
            return f"{place} cannot be read"
        owner = f"{entry.get('native_id')} restart {entry.get('restart')}"
        if not requeue:
            return f"{place} belongs to {owner}"
        if entry.get("native_id") != native_id:
            return f"{place} belongs to another job, {owner}"
        if not isinstance(entry.get("restart"), int) or entry["restart"] >= restart:
            return f"{place} is of this start or a later one, {owner}"
    return ""


def start_entry(native_id: str, restart: int) -> Json:
    """Describe a start by this process."""
    return {
        "kind": "start",
        "native_id": native_id,
        "restart": restart,
        "at": time.time(),
        "host": os.uname().nodename,
        "process": identify(os.getpid()),
    }


def identify(pid: int) -> Json:
    """Give what tells a process from a later one with the same pid: boot, pid, start time.

    Source: proc(5), field 22 of /proc/PID/stat, in clock ticks since boot. Elsewhere "" and 0.
    """
    boot, ticks = "", 0
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        with open(f"/proc/{pid}/stat", "rb") as stat:
            # The second field is the name in parentheses and may hold anything.
            ticks = int(stat.read().rpartition(b")")[2].split()[19])
    return {"boot_id": boot, "pid": pid, "start_ticks": ticks}


# --- the task ----------------------------------------------------------------------------------


def read_task(folder: str) -> Json:
    """Read what is to be run.

    Raises:
        Unrun: It is not there or not a task.
    """
    try:
        task = read_json(os.path.join(folder, TASK))
    except OSError as error:
        raise Unrun(f"{TASK} cannot be read: {error}") from error
    if task is None:
        raise Unrun(f"the folder or its {TASK} is missing")
    return check_task(task, TASK)


def check_task(task: Json, name: str) -> Json:
    """Give a task back if it is one.

    Raises:
        Unrun: It is not.
    """
    argv = task.get("argv")
    if task.get("version") != VERSION or not isinstance(argv, list) or not argv:
        raise Unrun(f"{name} is not a task that this wrapper understands")
    return task


def read_listed_task(path: str, index: int) -> Json:
    """Read what is to be run off a list; the head of the list holds what its tasks share.

    Raises:
        Unrun: It is not there or not a task.
    """
    try:
        with open(path, "rb") as file:
            head = json.loads(file.readline().decode("ascii"))
            if not 0 <= index < len(head["members"]):
                raise Unrun(f"{path} has no task {index}")
            for _ in range(index):
                file.readline()
            line = file.readline()
        entry = json.loads(line.decode("utf-8"))
        own = dict(head["bases"].get(entry.get("base"), {}))
        own.update(entry.get("env", {}))
        # What the head sets is right for every task of this scheduler, whatever is inherited.
        own.update(head.get("env", {}))
        task = dict(head["common"], **entry)
        if "after" in head["common"] and len(head["members"]) > 1:
            task["before"] = path + BEFORE
        token, folder = head["members"][index]
        task.update(version=head["version"], env=own, token=str(token), folder=str(folder))
        make_folder(path, index, os.fsdecode(to_bytes(task["folder"])))
    except OSError as error:
        raise Unrun(f"the list cannot be read: {error}") from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise Unrun(f"line {index} of {path} is no task: {error!r}") from error
    return check_task(task, path)


def to_bytes(text: str) -> bytes:
    """Encode as drover decoded it, whatever the locale of this node."""
    return text.encode("utf-8", "surrogateescape")


def environment(task: Mapping[str, Any]) -> Dict[bytes, bytes]:
    """Build the command's environment: the task's, and what the scheduler set on this node.

    `pass_env` lists names to take over, a trailing `*` standing for any ending. The task wins.
    """
    names = task.get("pass_env", [])
    whole = frozenset(to_bytes(name) for name in names if not name.endswith("*"))
    heads = tuple(to_bytes(name[:-1]) for name in names if name.endswith("*"))
    passed = {
        name: value
        for name, value in os.environb.items()
        if name in whole or (heads and name.startswith(heads))
    }
    passed.update((to_bytes(name), to_bytes(text)) for name, text in task.get("env", {}).items())
    return passed


def open_streams(
    task: Mapping[str, Any], folder: str, restart: int, fresh: bool = True
) -> List[int]:
    """Open stdin, stdout and stderr, relative to the command's working directory.

    Raises:
        LaunchError: One cannot be opened; none is left open.
    """
    base = to_bytes(task["cwd"]) if task.get("cwd") else b""
    # Append, so that two streams to one file do not overwrite each other.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    handles: List[int] = []
    try:
        source = to_bytes(task["stdin"]) if task.get("stdin") else os.devnull.encode()
        handles.append(os.open(os.path.join(base, source), os.O_RDONLY | os.O_CLOEXEC))
        for name in ("stdout", "stderr"):
            if name == "stderr" and task.get("join_output"):
                handles.append(handles[1])
                continue
            path = os.fsencode(os.path.join(folder, f"{name}.{restart}"))
            shared = name == "stderr" and task.get("stderr") == task.get("stdout")
            if task.get(name):
                path = os.path.join(base, to_bytes(task[name]))
            truncate = os.O_TRUNC if fresh and not shared else 0
            handles.append(os.open(path, flags | truncate, 0o600))
    except OSError as error:
        close_all(handles)
        raise LaunchError(str(error), 126) from error
    return handles


def close_all(handles: Sequence[int]) -> None:
    """Close each file descriptor once."""
    for handle in frozenset(handles):
        os.close(handle)


def command_line(task: Mapping[str, Any]) -> List[bytes]:
    """Give the argv to execute; with `pre_launch` a shell that sources it and becomes the command.

    The shell's text is fixed, the user's words are its arguments.
    """
    argv = [to_bytes(word) for word in task["argv"]]
    if not task.get("pre_launch"):
        return argv
    prelude = _script_path(task, "pre_launch")
    return [b"/bin/sh", b"-c", b'prelude=$1; shift; . "$prelude"; exec "$@"', b"drover", prelude,
            *argv]  # fmt: skip


def _script_path(task: Mapping[str, Any], name: str) -> bytes:
    path = os.path.join(to_bytes(task.get("cwd") or os.getcwd()), to_bytes(task[name]))
    if not os.access(path, os.R_OK):
        raise LaunchError(f"{name} {task[name]!r} cannot be read", 126)
    return path


def make_folder(path: str, index: int, folder: str) -> None:
    """Make the folder of a task of a list, unless the task was struck off.

    Making ten thousand of them before an array is handed over takes longer than all the rest.

    Raises:
        Unrun: It was struck off.
        OSError: It cannot be made.
    """
    struck = b""
    with contextlib.suppress(FileNotFoundError), open(path + STRUCK, "rb") as file:
        struck = file.read()
    if str(index).encode("ascii") in struck.split():
        raise Unrun(f"task {index} of {path} was struck off")
    # Those above it as well: `makedirs` gives its mode to the last one alone.
    mask = os.umask(0o077)
    try:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - a path of any bytes
    finally:
        os.umask(mask)


# --- running -----------------------------------------------------------------------------------


class Runner:
    """Start the command, pass signals on to it, reap it."""

    def __init__(
        self,
        own_session: bool,
        shared: Sequence[int] = (),
        wall_time: Optional[float] = None,
        listens: bool = False,
    ) -> None:
        self.own_session = own_session
        self.shared = frozenset(shared)
        self.wall_time = wall_time
        self.listens = listens
        self.is_cancelled = False
        """Whether a request to end came by file, and was passed on."""
        self.has_grace = False
        """Whether a cancel with a grace of its own was heeded."""
        self._requests: Optional[Requests] = None
        self.is_over = False
        """Whether the wall time has passed, and TERM was sent for it."""
        self._deadline = self._kill_at = float("inf")
        self._tick_at = 0.0
        self._folder = ""
        self.child = 0
        self.early: List[int] = []
        for number in FORWARDED | {KILLER}:
            signal.signal(number, self._forward)

    def _forward(self, number: int, _frame: Optional[FrameType]) -> None:
        if not self.child:
            self.early.append(number)
            return
        if number == signal.SIGTERM:
            self._heed_grace()
        if number in self.shared:
            # The scheduler sends it to every process of the job: the command has it already.
            return
        self._pass_on(number)

    def _heed_grace(self) -> None:
        """Kill the command when the grace is over that was given with a cancel.

        The scheduler has one of its own, mostly a longer one.
        """
        grace_s: Any = None
        with contextlib.suppress(OSError):
            grace_s = (read_json(os.path.join(self._folder, CANCEL)) or {}).get("grace_s")
        if isinstance(grace_s, (int, float)):
            self.has_grace = True
            self._kill_at = min(self._kill_at, time.monotonic() + grace_s)
            self._set_alarm()

    def _pass_on(self, number: int) -> None:
        number = signal.SIGKILL if number == KILLER else number
        with contextlib.suppress(ProcessLookupError):
            if self.own_session:
                os.killpg(self.child, number)
            else:
                os.kill(self.child, number)

    def start(self, task: Mapping[str, Any], folder: str, restart: int) -> None:
        """Start the command.

        Raises:
            LaunchError: It did not start.
        """
        for number in ENDING.intersection(self.early):
            told = int(signal.SIGKILL) if number == KILLER else int(number)
            raise LaunchError(f"signal {told} came before the start", 128 + told, told)
        self._folder = folder
        argv = command_line(task)
        handles = open_streams(task, folder, restart)
        try:
            self.child = spawn(task, argv, handles, self.own_session)
        finally:
            close_all(handles)
        while self.early:
            self._pass_on(self.early.pop(0))
        if self.listens:
            self._requests = Requests(folder, restart)
        if self.wall_time is not None:
            self._deadline = time.monotonic() + self.wall_time
        if self.wall_time is not None or self.listens:
            self._set_alarm()

    def _set_alarm(self) -> None:
        now = time.monotonic()
        tick_s = LISTEN_S if self.listens else TICK_S
        wait_s = max(0.001, min(tick_s, self._deadline - now, self._kill_at - now))
        self._tick_at = now + wait_s
        signal.signal(signal.SIGALRM, self._look_at_clock)
        signal.setitimer(signal.ITIMER_REAL, wait_s)

    def _listen(self) -> None:
        """Pass on what is asked by file. What is to end the job goes to all its processes."""
        for number, why in self._requests.read() if self._requests else ():
            if not self.child:
                return
            self.is_cancelled = self.is_cancelled or why == "cancel"
            leads = os.getpgrp() == os.getpid() and not self.own_session
            with contextlib.suppress(ProcessLookupError):
                if number in self.shared and leads:
                    os.killpg(0, number)
                else:
                    os.kill(self.child, number)
                    if number == signal.SIGTERM:
                        self._heed_grace()

    def _look_at_clock(self, _number: int, _frame: Optional[FrameType]) -> None:
        """End the command when its time is over; time in which all was stopped does not count."""
        self._listen()
        now = time.monotonic()
        if now - self._tick_at > 1.0:
            self._deadline += now - self._tick_at
            self._kill_at += now - self._tick_at
        if self.child and now >= self._kill_at:
            self._pass_on(signal.SIGKILL)
        elif now < self._deadline:
            self._set_alarm()
        elif self.child and not self.is_over:
            self.is_over = True
            self._pass_on(signal.SIGTERM)
            self._deadline = now + GRACE_S
            self._set_alarm()
        elif self.child:
            self._pass_on(signal.SIGKILL)

    def reap(self) -> Tuple[int, resource.struct_rusage]:
        """Wait for the end of the command: its wait status and its resource usage."""
        child = self.child
        # Look first and reap after: no signal may be passed on to a pid that is free again.
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        self.child = 0
        _, status, usage = os.wait4(child, 0)
        return status, usage


class Requests:
    """What is asked of a command by file: where a scheduler has no way to signal a job."""

    def __init__(self, folder: str, restart: int) -> None:
        self._path = os.path.join(folder, REQUESTS)
        self._restart = restart
        self._offset = 0
        # Made here: that a file is there is asked of a file server at each look, that one is not
        # is remembered for up to a minute.
        with contextlib.suppress(OSError):
            os.close(os.open(self._path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def read(self) -> List[Tuple[int, str]]:
        """Give what was asked since the last time: signals, and why."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                text = file.read()
        except OSError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        found: List[Tuple[int, str]] = []
        for line in whole.decode("ascii", "replace").splitlines():
            match = re.match(r"(\d+) (\d+) (cancel|signal)$", line)
            if match and int(match.group(1)) == self._restart and 0 < int(match.group(2)) < 65:
                found.append((int(match.group(2)), match.group(3)))
        return found


def spawn(
    task: Mapping[str, Any], argv: Sequence[bytes], handles: Sequence[int], own_session: bool
) -> int:
    """Start a process and give its pid; it is the caller's to reap.

    Raises:
        LaunchError: It did not start.
    """
    cwd = to_bytes(task["cwd"]) if task.get("cwd") else None
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=environment(task),
            stdin=handles[0],
            stdout=handles[1],
            stderr=handles[2],
            start_new_session=own_session,
        )
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        raise LaunchError(str(error), 127 if missing else 126) from error
    process.returncode = 0  # It is reaped by its pid, the object must not wait for it.
    return process.pid


def ending(status: int) -> Json:
    """Read a wait status."""
    if os.WIFSIGNALED(status):
        dumped = os.WCOREDUMP(status)
        return {"exit_code": None, "signal": os.WTERMSIG(status), "core_dumped": dumped}
    return {"exit_code": os.WEXITSTATUS(status), "signal": None, "core_dumped": False}


def run_post_launch(task: Mapping[str, Any], folder: str, restart: int, code: int) -> str:
    """Source `post_launch`; the command's end stands whatever becomes of it.

    Returns:
        What went wrong, or "".
    """
    after = dict(task, stdin=None)
    after["env"] = dict(task.get("env", {}), DROVER_EXIT_CODE=str(code))
    try:
        argv = [b"/bin/sh", b"-c", b'. "$1"', b"drover", _script_path(task, "post_launch")]
        handles = open_streams(after, folder, restart, fresh=False)
        try:
            child = spawn(after, argv, handles, own_session=False)
        finally:
            close_all(handles)
        status = os.waitpid(child, 0)[1]
    except (LaunchError, OSError) as error:
        return f"post_launch: {error}"
    return f"post_launch ended with wait status {status}" if status else ""


def exit_code(end: Mapping[str, Any]) -> int:
    """Choose what to tell the scheduler: the command's own code wherever it can stand it."""
    if end["signal"] is not None:
        return 128 + int(end["signal"])
    return MASKED_EXIT if end["exit_code"] in RESERVED else int(end["exit_code"])


def run(folder: str, task: Json, claim: Json, runner: Runner) -> int:
    """Run the claimed command and record its end. Gives the wrapper's exit code."""
    restart = claim["restart"]
    record = new_record(task, claim)
    begun = time.monotonic()
    try:
        runner.start(task, folder, restart)
    except LaunchError as error:
        record.update(started="no", message=str(error), ended_at=time.time())
        record.update(exit_code=None, signal=error.signal, core_dumped=False)
        leave_record(folder, f"exit.{restart}.json", record)
        spread(task)
        return error.code
    started = dict(record, process=identify(runner.child), own_session=runner.own_session)
    # It only helps others to see the command run; its end must be waited for in any case.
    with contextlib.suppress(OSError):
        write_whole(folder, f"start.{restart}.json", started)
    spread(task)
    status, used = runner.reap()
    record.update(ending(status), started="yes", ended_at=time.time(), over=runner.is_over)
    record["cancelled"] = runner.is_cancelled or runner.has_grace
    record["usage"] = {
        "cpu_user_s": used.ru_utime,
        "cpu_system_s": used.ru_stime,
        "max_rss_bytes": used.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "wall_s": time.monotonic() - begun,
    }
    code = exit_code(record)
    if task.get("post_launch"):
        record["message"] = run_post_launch(task, folder, restart, code)
    leave_record(folder, f"exit.{restart}.json", record)
    spread(task)
    if runner.is_cancelled and os.getpgrp() == os.getpid():
        # Children that outlive the command are nobody's, and a scheduler may leave them alone.
        os.killpg(0, signal.SIGKILL)
    return code


def spread(task: Mapping[str, Any]) -> None:
    """Leave word that there is something to read: a file in a folder that somebody looks at."""
    if task.get("news"):
        name = "{}.{}".format(task.get("token", ""), os.urandom(4).hex())
        # Without it they see the same, a little later.
        with contextlib.suppress(OSError):
            handle = os.open(
                os.path.join(to_bytes(task["news"]), os.fsencode(name)),
                os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC,
                0o600,
            )
            os.close(handle)


def new_record(task: Mapping[str, Any], claim: Mapping[str, Any]) -> Json:
    """Begin a record with what names its attempt and its claim."""
    record = {key: claim[key] for key in ("nonce", "native_id", "restart", "host")}
    record.update(version=VERSION, token=task.get("token", ""), claim=claim["index"])
    record.update(started_at=time.time(), message="", usage=None)
    return record


def say(text: str) -> None:
    """Tell people what went wrong, where there is room for it: the log is on a disk as well.

    Past Python's own stream, which would raise where it cannot write, and, as it keeps what it
    has not written, end the process with a code that is not the command's.
    """
    with contextlib.suppress(OSError):
        os.write(2, f"drover: {text}\n".encode("utf-8", "backslashreplace"))


def leave_record(folder: str, name: str, record: Mapping[str, Any]) -> None:
    """Write a record, and try again for a while where a disk is full or a server away."""
    for delay_s in (*PATIENCE_S, None):
        try:
            write_whole(folder, name, record)
        except OSError as error:
            say(f"{name} cannot be written: {error}")
            if delay_s is not None:
                time.sleep(delay_s)
        else:
            return


# --- the program -------------------------------------------------------------------------------


def expand(text: str) -> str:
    """Replace `{NAME}` by the variable of that name, "" if it is not set.

    `{NAME-1}` is its value less one: some schedulers count from 1. What is no number is "".
    """

    def value(match: "re.Match[str]") -> str:
        found = os.environ.get(match.group(1), "")
        if match.group(2) is None:
            return found
        return str(int(found) - 1) if found.isdigit() else ""

    return re.sub(r"\{(\w+?)(-1)?\}", value, text)


def restart_of(text: str) -> Tuple[int, bool]:
    """Read which start this is, or at least how many; tell whether earlier ones are to be counted.

    Raises:
        ValueError: It is no number.
    """
    counts = text.endswith("+")
    return int(text.rstrip("+") or 0), counts


def claim_start(
    folder: str, task: Mapping[str, Any], native_id: str, restart: int, counts: bool = False
) -> Json:
    """Take the claim for this start.

    Where *counts*, a restart is one more than there were: Grid Engine tells only that it is one.

    Raises:
        Unrun: It is not to be had, or nobody can say.
    """
    if not native_id.strip("._-"):
        raise Unrun("the scheduler's variables name no job")
    requeue = bool(task.get("requeue"))
    try:
        if counts and restart:
            own = [e for e in read_claims(folder) if e.get("native_id") == native_id]
            restart = max([int(e["restart"]) + 1 for e in own if e["kind"] == "start"] or [1])
        entry = start_entry(native_id, restart)
        claim, _, why = append_claim(
            folder, entry, lambda seen: start_refusal(seen, native_id, restart, requeue)
        )
    except OSError as error:
        raise Unrun(f"the claim is in doubt: {error}") from error
    if claim is None:
        raise Unrun(why)
    return claim


def check_predecessors(task: Mapping[str, Any]) -> None:
    """See that the jobs before this one came to what was asked of them.

    Schedulers take a job that they have forgotten for one that went well.

    Raises:
        Unrun: One did not, or nobody knows.
    """
    if not task.get("after"):
        return
    place = task.get("before")
    why = read_verdict(place)
    if why is None:
        why = judge_predecessors(task["after"], place)
        if place:
            # Without it each task looks for itself.
            folder, _, name = place.rpartition("/")
            with contextlib.suppress(OSError):
                write_whole(folder, name, {"why": why}, False)
    if why:
        raise Unrun(why)


def read_verdict(place: Optional[str]) -> Optional[str]:
    """Read what another task of the list has found: what did not come true, "" if all did.

    An end that stands in a record is the last one: what was found once is true for good.
    """
    found: Json = {}
    if place:
        with contextlib.suppress(OSError):
            found = read_json(place) or {}
    why = found.get("why")
    return why if isinstance(why, str) else None


def judge_predecessors(after: Sequence[Mapping[str, Any]], place: Optional[str]) -> str:
    """Read records until all is known. Gives what did not come true, "" if all did.

    Raises:
        Unrun: A record is missing or cannot be read.
    """
    count = 0
    for before in after:
        job, condition = before["job"], before["condition"]
        failed = named = False
        for folder in folders_before(before):
            named = True
            count += 1
            if count % LOOK_AFTER == 0:
                known = read_verdict(place)
                if known is not None:
                    return known
            failed = not ended_well(job, folder) or failed
            if failed and condition == "succeeded":
                break
        if not named:
            raise Unrun(f"job {job} is named without its elements")
        if not {"succeeded": not failed, "failed": failed, "ended": True}.get(condition):
            return f"job {job} had to be {condition}"
    return ""


def folders_before(before: Mapping[str, Any]) -> Iterator[str]:
    """Name the folders of a job, or of the elements of an array."""
    if "elements" not in before:
        yield os.fsdecode(to_bytes(before["folder"]))
        return
    for head, tail, text in before["elements"]:
        for index in read_indices(text):
            yield os.fsdecode(to_bytes(f"{head}{index}{tail}"))


def read_indices(text: str) -> Iterator[int]:
    """Read numbers and ranges, a step behind a colon: `0-99,105,200-300:10`."""
    for word in text.split(","):
        span, _, step = word.partition(":")
        first, _, last = span.partition("-")
        yield from range(int(first), int(last or first) + 1, int(step or 1))


def ended_well(job: str, folder: str) -> bool:
    """Tell by its record how a job ended.

    Raises:
        Unrun: There is none, or it cannot be read.
    """
    try:
        record = read_json(os.path.join(folder, "exit.0.json"))
    except OSError as error:
        raise Unrun(f"the record of job {job} cannot be read: {error}") from error
    if not record:
        raise Unrun(f"job {job} has left no record")
    return record.get("exit_code") == 0 and not (record.get("over") or record.get("cancelled"))


def note_unrun(folder: str, native_id: str, restart: int, why: str) -> None:
    """Leave a record that this start ran nothing, if there is a folder to leave it in."""
    say(f"nothing was run: {why}")
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", native_id)[:100]
    record = {
        "version": VERSION, "native_id": native_id, "restart": restart, "why": why,
        "at": time.time(), "host": os.uname().nodename,
    }  # fmt: skip
    # A missing folder is one of the reasons to be here.
    with contextlib.suppress(OSError):
        write_whole(folder, f"unrun.{safe}.{restart}.json", record)


def main(arguments: Sequence[str]) -> int:
    """Run one attempt. Gives the exit code of the process."""
    if arguments[:1] == ["--of"] and len(arguments) in (4, 5):
        return of_list(arguments[1], *[expand(word) for word in arguments[2:]])
    if len(arguments) not in (2, 3):
        sys.stderr.write(
            "usage: wrapper.py FOLDER NATIVE_ID [RESTART]\n"
            "       wrapper.py --of LIST INDEX NATIVE_ID [RESTART]\n"
        )
        return UNRUN_EXIT
    folder, native_id, restart = arguments[0], expand(arguments[1]), 0
    counts = False
    try:
        restart, counts = restart_of(expand(arguments[2] if len(arguments) > 2 else ""))
        task = read_task(folder)
    except (Unrun, ValueError) as error:
        note_unrun(folder, native_id, restart, str(error))
        return UNRUN_EXIT
    return claim_and_run(folder, task, native_id, restart, counts)


def of_list(path: str, index: str, native_id: str, restart: str = "") -> int:
    """Run one task of a list. Gives the exit code of the process."""
    try:
        task = read_listed_task(path, int(index))
        number, counts = restart_of(restart)
    except (Unrun, ValueError) as error:
        say(f"nothing was run: {error}")
        return UNRUN_EXIT
    # As bytes the path may be anything, whatever the locale of this node.
    return claim_and_run(os.fsdecode(to_bytes(task["folder"])), task, native_id, number, counts)


def claim_and_run(
    folder: str, task: Json, native_id: str, restart: int, counts: bool = False
) -> int:
    """Run a task if its claim is to be had. Gives the exit code of the process."""
    runner = Runner(
        bool(task.get("own_session")),
        task.get("shared_signals", ()),
        task.get("wall_time"),
        bool(task.get("listens")),
    )
    try:
        check_predecessors(task)
        claim = claim_start(folder, task, native_id, restart, counts)
    except Unrun as error:
        note_unrun(folder, native_id, restart, str(error))
        spread(task)
        return UNRUN_EXIT
    return run(folder, task, claim, runner)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Run one instance of a task on the cloud's node, beside drover's wrapper.

    python3 -I -S .drover/runner.py BATCH

It is uploaded with the wrapper and a plan, and started as the task's command line, which holds no
word of the user's: argv, environment and paths are in the plan. The instance is told by the
variable INSTANCE_ID. Everything that has to come back lies in `BATCH/INSTANCE/`, a name that no
other instance of the bucket has: the claim, the records of start and end, both streams whole,
and the outputs that were asked for.

This file stands alone, for the same reasons as the wrapper: standard library, Python 3.6.
"""

# Python 3.6 knows neither `X | None`, nor builtin generics, nor the newer calls.
# ruff: noqa: UP006, UP035, UP045, PTH

import codecs
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import threading
from typing import Any, BinaryIO, Dict, List, Optional, Sequence

HERE = os.path.dirname(os.path.abspath(__file__))
Json = Dict[str, Any]
LISTEN_S = 0.1
"""Between two looks at what is asked by file, and at what the command has written."""
ABORT_GRACE_S = 8.0
"""Between TERM and KILL where the cloud aborts: a little less than it may give us."""
OUTPUTS = "out.json"
UNRUN_EXIT = 118
"""The wrapper's: nothing was run."""
ESCAPE = 0xF700
"""A byte that is no readable text is shown as the character U+F700 plus its value."""


_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f\uf700-\uf7ff\udc80-\udcff]+")


class Escaping:
    """Write bytes as text from which they can be read back exactly.

    The cloud's streams are text. Readable UTF-8 stays as it is; any other byte becomes a
    character of the private area, and so do control characters and that area's own.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def feed(self, data: bytes, final: bool = False) -> str:
        """Give the text of what came; bytes that may begin a character are kept for later."""
        return _UNSAFE.sub(_escaped, self._decoder.decode(data, final))


def _escaped(found: "re.Match[str]") -> str:
    data = found.group().encode("utf-8", "surrogateescape")
    return "".join(chr(ESCAPE + byte) for byte in data)


class Follower:
    """Show what the command writes to a file, on a stream of the cloud's."""

    def __init__(self, path: str, target: BinaryIO) -> None:
        self._path = path
        self._target = target
        self._file: Optional[BinaryIO] = None
        self._escaping = Escaping()

    def look(self, final: bool = False) -> None:
        """Pass on what is new."""
        try:
            if self._file is None:
                self._file = open(self._path, "rb")  # noqa: SIM115 - it is read until the end
            while True:
                data = self._file.read(1 << 16)
                text = self._escaping.feed(data, final and not data)
                if text:
                    self._target.write(text.encode("utf-8"))
                    self._target.flush()
                if not data:
                    return
        except (OSError, ValueError):
            # It is not there yet, or the cloud listens no more. The files tell all afterwards.
            return


class Listener(threading.Thread):
    """Look for requests that came as resources, and pass the command's output on."""

    def __init__(
        self, instance: str, folder: str, wrapper: Any, followers: Sequence[Follower]
    ) -> None:
        super().__init__(daemon=True)
        self._path = os.path.join(HERE, "requests." + instance)
        self._folder = folder
        self._wrapper = wrapper
        self._followers = followers
        self._done = 0
        self._over = threading.Event()
        self.has_cancelled = False
        self.has_ended = False
        """Somebody asked for the end, by whichever signal."""

    def run(self) -> None:
        """Look until the end."""
        while not self._over.wait(LISTEN_S):
            self.look()

    def close(self) -> None:
        """Look for the last time."""
        self._over.set()
        self.join()
        for follower in self._followers:
            follower.look(final=True)

    def child(self) -> int:
        """Give the command's pid, which is its process group's as well; 0 before its start."""
        try:
            record = self._wrapper.read_json(os.path.join(self._folder, "start.0.json"))
            return int(record["process"]["pid"])
        except (OSError, KeyError, TypeError, ValueError):
            return 0

    def look(self) -> None:
        """Obey what is new, and show what is new."""
        for follower in self._followers:
            follower.look()
        try:
            with open(self._path, "rb") as file:
                lines = json.loads(file.read().decode("ascii"))
        except (OSError, ValueError):
            return
        for request in lines[self._done :]:
            if not self._obey(request):
                return
            self._done += 1

    def _obey(self, request: Json) -> bool:
        """Carry one request out; tell whether that could be done already."""
        number, why = int(request["signal"]), request.get("why")
        child = self.child()
        if not child:
            return False
        self.has_ended = self.has_ended or bool(request.get("ends"))
        if why == "cancel":
            self.has_cancelled = True
            grace = {"grace_s": request.get("grace_s", ABORT_GRACE_S)}
            self._wrapper.write_whole(self._folder, self._wrapper.CANCEL, grace, False)
            # The wrapper passes it on, and kills when the grace is over.
            os.kill(os.getpid(), signal.SIGTERM)
            number = int(signal.SIGCONT)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, number)
        return True


def lay_inputs(cwd: str) -> str:
    """Move inputs from where the cloud put them to where they are wanted.

    Returns:
        Why that failed, or "".
    """
    manifest = _read(os.path.join(HERE, "in", "manifest.json"))
    try:
        for entry in manifest.get("entries", ()):
            target = os.path.join(cwd, _native(entry["target"]))
            os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
            if entry["kind"] == "folder":
                os.makedirs(target, exist_ok=True)
            elif entry["kind"] == "link":
                if os.path.lexists(target):
                    os.unlink(target)
                os.symlink(_native(entry["to"]), target)
            else:
                draft = target + ".drover-part"
                shutil.copyfile(os.path.join(HERE, "in", entry["key"]), draft)
                os.chmod(draft, entry["mode"])
                os.rename(draft, target)
    except OSError as error:
        return f"inputs: {error}"
    return ""


def gather(folder: str, cwd: str, outputs: Sequence[str]) -> None:
    """Copy the outputs that are there to where the cloud takes them from, with a list of them."""
    entries: List[Json] = []
    missing: List[str] = []
    for number, source in enumerate(outputs):
        path = os.path.join(cwd, _native(source))
        try:
            _take(path, os.path.join(folder, "out"), str(number), str(number), entries)
        except OSError as error:
            missing.append(f"{source}: {error.strerror or error}")
    content = {"entries": entries, "missing": missing}
    with open(os.path.join(folder, OUTPUTS), "w") as file:
        json.dump(content, file)


def _take(path: str, base: str, key: str, name: str, entries: List[Json]) -> None:
    """List a file, link or folder, and copy files under keys that any store takes."""
    if os.path.islink(path) and "/" in name:
        link = os.fsencode(os.readlink(path)).decode("utf-8", "surrogateescape")
        entries.append({"name": name, "kind": "link", "to": link})
    elif os.path.isdir(path):
        entries.append({"name": name, "kind": "folder"})
        for number, word in enumerate(sorted(os.listdir(path))):
            inner = os.fsencode(word).decode("utf-8", "surrogateescape")
            _take(os.path.join(path, word), base, f"{key}.{number}",
                  f"{name}/{inner}", entries)  # fmt: skip
    else:
        os.makedirs(base, exist_ok=True)
        shutil.copyfile(path, os.path.join(base, key))
        status = os.stat(path)
        entries.append({"name": name, "kind": "file", "key": key, "mode": status.st_mode & 0o777,
                        "size": status.st_size})  # fmt: skip


def _native(text: str) -> str:
    """Give a path as this machine's file functions take it, whatever its locale."""
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def _read(path: str) -> Json:
    try:
        with open(path, "rb") as file:
            content: Json = json.loads(file.read().decode("ascii"))
    except (OSError, ValueError):
        return {}
    return content


def task_of(plan: Json, instance: str, work: str) -> Json:
    """Put together what the wrapper is to run.

    Raises:
        KeyError: The plan knows no such instance.
    """
    own = plan["members"][instance]
    task = dict(plan["common"], **own)
    task["env"] = dict(plan["bases"].get(own.get("base", ""), {}), **own.get("env", {}))
    task["own_session"] = True
    task["retried"] = plan.get("retried", False)
    if not plan["shared"]:
        # What the client knows as its folder is not here: the task's own folder stands for it.
        task["cwd"] = os.fsencode(work).decode("utf-8", "surrogateescape")
        if task.get("stdin"):
            path = os.path.join(HERE, task["stdin"])
            task["stdin"] = os.fsencode(path).decode("utf-8", "surrogateescape")
    return task


def leave_unrun(wrapper: Any, folder: str, native_id: str, why: str) -> int:
    """Say that nothing was run."""
    wrapper.note_unrun(folder, native_id, 0, why)
    return UNRUN_EXIT


def main(arguments: Sequence[str]) -> int:
    """Run this instance. Gives the exit code of the process."""
    sys.path.insert(0, HERE)
    import wrapper  # pyright: ignore[reportMissingImports] # it lies beside this file, on the node

    if len(arguments) != 1:
        sys.stderr.write("usage: runner.py BATCH\n")
        return UNRUN_EXIT
    instance = os.environ.get("INSTANCE_ID", "0")
    # Whatever the command runs in, what comes back lies beside what was brought.
    work = os.path.dirname(HERE)
    folder = os.path.join(work, arguments[0], instance)
    os.makedirs(folder, exist_ok=True)
    native_id = f"{arguments[0]}.{instance}"
    plan = _read(os.path.join(HERE, "plan.json"))
    if not plan:
        return leave_unrun(wrapper, folder, native_id, "its plan is gone")
    if os.path.exists(os.path.join(HERE, "closed." + instance)):
        return leave_unrun(wrapper, folder, native_id, "it was closed before it began")
    try:
        task = task_of(plan, instance, work)
    except (KeyError, TypeError) as error:
        return leave_unrun(wrapper, folder, native_id, "the plan has no such task: " + repr(error))
    return run(wrapper, folder, instance, native_id, task)


def run(wrapper: Any, folder: str, instance: str, native_id: str, task: Json) -> int:
    """Lay inputs, run the command under the wrapper, gather outputs."""
    cwd = _native(task["cwd"])
    problem = lay_inputs(cwd) if os.path.isdir(cwd) else ""
    if problem:
        return leave_unrun(wrapper, folder, native_id, problem)
    wrapper.write_whole(folder, wrapper.TASK, task, False)
    wrapper.write_whole(folder, wrapper.CANCEL, {"grace_s": ABORT_GRACE_S}, False)
    followers: List[Follower] = []
    for stream, target in (("stdout", sys.stdout.buffer), ("stderr", sys.stderr.buffer)):
        if not task.get(stream):
            followers.append(Follower(os.path.join(folder, stream + ".0"), target))
    listener = Listener(instance, folder, wrapper, followers)
    listener.start()
    code: int = wrapper.claim_and_run(folder, task, native_id, 0)
    child = listener.child()
    listener.close()
    if listener.has_cancelled and child:
        # What outlived the command and did not heed TERM.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    gather(folder, cwd, task.get("outputs", ()))
    # The environment may hold secrets, and nobody needs it any more.
    os.unlink(os.path.join(folder, wrapper.TASK))
    # What has failed the cloud would run again; the record says how the command ended.
    return 0 if task["retried"] and listener.has_ended else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Speak DRMAA in a process of its own: its library may block, crash or leak.

    python _worker.py LIBRARY CONTACT

One session, one thread: some libraries answer only the thread that opened it. A line of JSON in
is a question, a line of JSON out its answer; the first line out, before any question, tells what
the library is, or why there is none. The end of the input is the end of the session.

This file is run by its path and imports nothing of drover: it is up in a few milliseconds, and
what it loads stays out of every other process.
"""

import importlib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

Json = dict[str, Any]

LIBRARY: Final = "DRMAA_LIBRARY_PATH"
VECTORS: Final = frozenset({"drmaa_v_argv", "drmaa_v_env", "drmaa_v_email"})


def encoded(text: str) -> bytes:
    """Give the bytes that a path or argument was, whatever the locale."""
    return text.encode("utf-8", "surrogateescape")


class Worker:
    """One session with the library."""

    def __init__(self) -> None:
        # It has no types, and loads the library when it is imported.
        self._session: Any = importlib.import_module("drmaa").Session
        self._helpers: Any = importlib.import_module("drmaa.helpers")
        self._wrappers: Any = importlib.import_module("drmaa.wrappers")

    def begin(self, contact: str) -> Json:
        """Open the session, and tell who answers."""
        session = self._session()
        session.initialize(contact or None)
        version = session.version
        template = session.createJobTemplate()
        try:
            names = list(template.attributeNames)
        finally:
            session.deleteJobTemplate(template)
        names += list(self._helpers.vector_attribute_names_iterator())
        return {
            "system": session.drmsInfo,
            "implementation": session.drmaaImplementation,
            "version": f"{version.major}.{version.minor}",
            "contact": session.contact,
            "attributes": names,
            "library": str(getattr(self._wrappers, "libpath", "")),
        }

    def end(self) -> None:
        """Close the session; jobs are not touched."""
        self._session.exit()

    def submit(self, question: Mapping[str, Any]) -> Json:
        """Hand over one job, or *count* of them as bulk jobs."""
        template = self._session.createJobTemplate()
        try:
            for name, value in question["template"].items():
                self._set(template, name, value)
            count = int(question.get("count", 0))
            if not count:
                return {"ids": [self._session.runJob(template)]}
            return {"ids": list(self._session.runBulkJobs(template, 1, count, 1))}
        finally:
            self._session.deleteJobTemplate(template)

    def _set(self, template: Any, name: str, value: Any) -> None:
        # Not by the attributes of its classes: they cannot set a number, and cut nothing short
        # only if given bytes.
        key = name.encode("ascii")
        if name in VECTORS:
            words = self._helpers.string_vector([encoded(word) for word in value])
            self._helpers.c(self._wrappers.drmaa_set_vector_attribute, template, key, words)
        else:
            self._helpers.c(self._wrappers.drmaa_set_attribute, template, key, encoded(value))

    def status(self, question: Mapping[str, Any]) -> Json:
        """Say where jobs are, each by DRMAA's word, or why that cannot be told."""
        return {"status": self._each(question["ids"], self._session.jobStatus)}

    def control(self, question: Mapping[str, Any]) -> Json:
        """Do one thing to several jobs."""
        action = question["action"]

        def act(native_id: str) -> str:
            self._session.control(native_id, action)
            return ""

        return {"done": self._each(question["ids"], act)}

    def reap(self, question: Mapping[str, Any]) -> Json:
        """Say how jobs ended, those that have; it can be asked once."""
        return {"ended": self._each(question["ids"], self._wait)}

    def _wait(self, native_id: str) -> Json:
        info = self._session.wait(native_id, 0)
        return {
            "exited": bool(info.hasExited),
            "code": int(info.exitStatus),
            "signalled": bool(info.hasSignal),
            "signal": str(info.terminatedSignal or ""),
            "core": bool(info.hasCoreDump),
            "aborted": bool(info.wasAborted),
            "usage": dict(info.resourceUsage or {}),
        }

    def _each(self, ids: list[str], ask: Callable[[str], Any]) -> Json:
        told: Json = {}
        for native_id in ids:
            try:
                told[native_id] = ask(native_id)
            # A library that knows an error which has no class raises a plain Exception.
            except Exception as exc:  # noqa: BLE001
                told[native_id] = failure(exc)
        return told


def failure(exc: BaseException) -> Json:
    """Tell an error by its number, its class and its text."""
    text = str(exc).replace("\0", "").strip()
    match = re.match(r"code (\d+): ?", text)
    return {
        "error": type(exc).__name__,
        "code": int(match[1]) if match else 0,
        "text": text[match.end() :] if match else text,
    }


def main(library: str, contact: str) -> int:
    """Answer until there are no more questions."""
    # What the library itself prints must not get among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1)
    os.dup2(2, 1)
    if library:
        os.environ[LIBRARY] = library

    def say(answer: Json) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        worker = Worker()
    except (RuntimeError, OSError, AttributeError, ImportError) as exc:
        say({"failed": "library", **failure(exc), "library": os.environ.get(LIBRARY, "")})
        return 1
    try:
        say(worker.begin(contact))
    except Exception as exc:  # noqa: BLE001 - as above
        say({"failed": "session", **failure(exc), "library": os.environ.get(LIBRARY, "")})
        return 1
    doing: dict[str, Callable[[Mapping[str, Any]], Json]] = {
        "submit": worker.submit,
        "status": worker.status,
        "control": worker.control,
        "reap": worker.reap,
    }
    for line in sys.stdin.buffer:
        question: Json = json.loads(line)
        try:
            say(doing[question["do"]](question))
        except Exception as exc:  # noqa: BLE001 - as above
            say(failure(exc))
    worker.end()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))

"""A specification and DRMAA's job template, each made of the other."""

import json
import os
import pwd
import re
import shlex
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from attrs import evolve

from drover.commandline import Batch, Command
from drover.drmaa.vocabulary import (
    BLOCK_EMAIL,
    DEADLINE_TIME,
    DURATION_HLIMIT,
    DURATION_SLIMIT,
    JOB_CATEGORY,
    JOB_NAME,
    JOIN_FILES,
    JS_STATE,
    NATIVE_SPECIFICATION,
    OUTPUT_PATH,
    PLACEHOLDER_INCR,
    REMOTE_COMMAND,
    START_TIME,
    TRANSFER_FILES,
    V_ARGV,
    V_EMAIL,
    WCT_HLIMIT,
    WCT_SLIMIT,
    WD,
    escaped,
    filled,
    limit_of,
    next_instant,
    split_path,
)
from drover.models import JobSpec, Resources
from drover_drmaa._names import job_name

COMMAND: Final = "drmaa"
"""By this name talks ask the worker."""
_SAFE: Final = re.compile(r"[A-Za-z0-9_./+@=~^-]*")
"""In a path of Grid Engine `$` begins a variable, and `,` and `:` part hosts and paths."""
SHARED: Final = frozenset({
    "jobCategory", "email", "blockEmail", "startTime", "deadlineTime", "jobSubmissionState",
})  # fmt: skip
"""Options that the template of a submission has beside its native specification."""
_STREAMS: Final = (("inputPath", "stdin"), ("outputPath", "stdout"), ("errorPath", "stderr"))


def as_specified(name: str, spec: JobSpec) -> JobSpec:
    """Put what DRMAA's own attributes say of paths, names and limits into the fields for them.

    Args:
        name: The backend's, whose options are read.
        spec: What was asked for. The attributes win.
    """
    native = spec.native.get(name, {})
    changes: dict[str, Any] = {}
    home = home_directory()
    if "workingDirectory" in native:
        folder = filled(native["workingDirectory"], home=home, cwd=spec.cwd or home)
        changes["cwd"] = os.path.join(home, folder)  # noqa: PTH118 - it may be no path at all yet
    cwd = changes.get("cwd", spec.cwd) or home
    for attribute, field in _STREAMS:
        if attribute in native:
            path = filled(split_path(native[attribute])[1], home=home, cwd=cwd)
            changes[field] = "%a".join(map(escaped, path.split(PLACEHOLDER_INCR)))
    if "joinFiles" in native:
        changes["join_output"] = native["joinFiles"]
    if "jobName" in native:
        changes["name"] = native["jobName"]
    if "hardRunDurationLimit" in native:
        # Drover's own limit leaves out the time for which a job is stopped, as DRMAA wants it.
        limit = float(limit_of(native["hardRunDurationLimit"]))
        given = spec.resources.wall_time
        limit = limit if given is None else min(limit, given)
        changes["resources"] = evolve(spec.resources, wall_time=limit)
    return evolve(spec, **changes) if changes else spec


def host_problem(native: Mapping[str, Any]) -> str:
    """Say which path lies on another host; "" if none does."""
    for attribute, _ in _STREAMS:
        if attribute in native and not is_here(split_path(native[attribute])[0]):
            given = f"{attribute} {native[attribute]!r}"
            return f"{given} lies on another host; files are read and written where jobs run"
    return ""


def is_here(host: str) -> bool:
    """Tell whether a path's host is this one, or none is named."""
    return host in {"", "localhost", socket.gethostname(), socket.getfqdn()}


def home_directory() -> str:
    """Give the user's home as the scheduler knows it: HOME may have been set otherwise."""
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return os.path.expanduser("~")  # noqa: PTH111 - text, as in the line above


def template(
    name: str, spec: JobSpec, batch: Batch | None, script: bytes, words: tuple[str, ...]
) -> dict[str, Any]:
    """Make the job template of a submission, under DRMAA's names; without *batch* for display.

    Args:
        name: The backend's, whose options are read.
        spec: What is asked for.
        batch: What is handed over.
        script: What is to be run; of it the last line is.
        words: The native specification.
    """
    native = spec.native.get(name, {})
    line = script.partition(b"\n")[2].rstrip(b"\n").decode("utf-8", "surrogateescape")
    label, key = (batch.label, batch.key) if batch is not None else (spec.label, "KEY")
    made: dict[str, Any] = {
        REMOTE_COMMAND: "/bin/sh",
        V_ARGV: ["-c", line],
        JOB_NAME: job_name(label, key),
        # The wrapper goes to the command's own; this one is there on every node.
        WD: "/",
        OUTPUT_PATH: f":{_log(batch)}",
        JOIN_FILES: "y",
    }
    if words:
        made[NATIVE_SPECIFICATION] = " ".join(words)
    if "jobCategory" in native:
        made[JOB_CATEGORY] = native["jobCategory"]
    if "email" in native:
        made[V_EMAIL] = list(native["email"])
    if "blockEmail" in native or "email" in native:
        made[BLOCK_EMAIL] = "1" if native.get("blockEmail", False) else "0"
    if "jobSubmissionState" in native:
        made[JS_STATE] = native["jobSubmissionState"]
    for attribute, key in (("startTime", START_TIME), ("deadlineTime", DEADLINE_TIME)):
        if attribute in native:
            made[key] = absolute(native[attribute], time.time())
    return made


def plain_limits(native: Mapping[str, Any]) -> dict[str, str]:
    """Give the attributes that a library other than Grid Engine's may have."""
    names = {
        "hardWallclockTimeLimit": WCT_HLIMIT,
        "softWallclockTimeLimit": WCT_SLIMIT,
        "softRunDurationLimit": DURATION_SLIMIT,
        "hardRunDurationLimit": DURATION_HLIMIT,
    }
    made = {key: str(limit_of(native[name])) for name, key in names.items() if name in native}
    if "transferFiles" in native:
        made[TRANSFER_FILES] = native["transferFiles"]
    return made


def absolute(text: str, now: float) -> str:
    """Write a partial time in full: the worker lives in another time zone than the user."""
    instant = next_instant(text, now)
    return datetime.fromtimestamp(instant, UTC).strftime("%Y/%m/%d %H:%M:%S +00:00")


def _log(batch: Batch | None) -> str:
    if batch is None:
        return "LOG"
    path = str(batch.log)
    return path if _SAFE.fullmatch(path) else "/dev/null"


def submit_command(made: Mapping[str, Any], count: int, timeout_s: float) -> Command:
    """Ask the worker to hand over a template, *count* times if there are several."""
    question = {"do": "submit", "template": made, "count": count if count > 1 else 0}
    return Command(
        argv=(COMMAND, "runBulkJobs" if count > 1 else "runJob"),
        input=json.dumps(question).encode("ascii"),
        timeout_s=timeout_s,
    )


def shown(made: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Show a template, for people."""
    pairs = (
        f"{name}={value if isinstance(value, str) else shlex.join(value)}"
        for name, value in made.items()
    )
    return (COMMAND, f"runBulkJobs 1-{count}" if count > 1 else "runJob", *pairs)


def unlimited(resources: Resources) -> bool:
    """Tell whether nothing is asked of a node that plain DRMAA has no word for."""
    return resources == evolve(Resources(), wall_time=resources.wall_time)

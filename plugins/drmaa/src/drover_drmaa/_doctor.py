"""Find out what is wrong with a library or a cluster, in words that a user can act on."""

import json
import re
from collections.abc import Generator, Mapping
from typing import Any, Final

from drover.commandline import Command, Talk
from drover.errors import UnreachableError
from drover.hookspecs import Completed
from drover.models import Diagnosis, Health
from drover_drmaa import _qacct, _qstat
from drover_drmaa._config import GRID_ENGINE, PLAIN, DrmaaConfig
from drover_drmaa._template import COMMAND

_TIMEOUT_S: Final = 10.0
_SYSTEMS: Final = re.compile(r"\b(?:SGE|OGS|GE|UGE|Univa|Altair|Gridware|OCS|GCS)\b", re.IGNORECASE)
_OTHER_LIBRARY: Final = f'set drmaa_library to the one of Grid Engine, or dialect = "{PLAIN}"'
_STATIC_TLS: Final = "static TLS"
_QUEUE: Final = re.compile(
    r"^(?P<name>\S+@\S+)\s+\S+\s+(?P<slots>\d+/\d+/\d+)\s+(?P<load>\S+)\s+(?P<arch>\S+)"
    r"(?:[ \t]+(?P<states>[A-Za-z]+))?\s*$",
    re.MULTILINE,
)
STATES: Final[dict[str, str]] = {
    "a": "over a load threshold",
    "A": "over a suspend threshold",
    "C": "suspended by its calendar",
    "c": "its configuration is ambiguous",
    "d": "disabled",
    "D": "disabled by its calendar",
    "E": "in the error state",
    "o": "orphaned",
    "P": "preempted",
    "s": "suspended",
    "S": "suspended by a superior queue",
    "u": "its node cannot be reached",
}
"""Source: qstat(1), "queue state"."""


def hello_command() -> Command:
    """Ask the library who it is."""
    return Command(argv=(COMMAND, "hello"), timeout_s=_TIMEOUT_S)


def talk(config: DrmaaConfig) -> Talk[list[Diagnosis]]:
    """Look at the library, the master, the queues and accounting."""
    findings = yield from library(config)
    if config.dialect == PLAIN:
        return findings
    try:
        reply = yield Command(argv=("qstat", "-f"), timeout_s=_TIMEOUT_S)
    except UnreachableError as exc:
        return [*findings, _no_command(exc)]
    if reply.returncode != 0:
        return [*findings, _no_master(reply)]
    findings.append(_ok("master", "it answers"))
    findings += _queues(reply.stdout)
    findings.append((yield from _environments(config)))
    if config.accounting:
        findings.append((yield from _accounts()))
    return findings


def library(config: DrmaaConfig) -> Talk[list[Diagnosis]]:
    """Say which library answers, or why none does."""
    reply = yield hello_command()
    told: dict[str, Any] = json.loads(reply.stdout)
    if told.get("failed") == "library":
        return [_no_library(told)]
    if told.get("failed") == "session":
        return [_no_session(told)]
    if config.dialect == GRID_ENGINE and (why := no_grid_engine(told)):
        return [_error("library", why, _OTHER_LIBRARY)]
    return [_ok("library", _who(told))]


def no_grid_engine(told: Mapping[str, Any]) -> str:
    """Say whose library it is, if it is not Grid Engine's; "" if it is."""
    is_one = _SYSTEMS.search(str(told.get("system", "")))
    return "" if is_one else f"{_who(told)}, which is no Grid Engine"


def _who(told: Mapping[str, Any]) -> str:
    path, system = told.get("library", ""), told.get("system", "")
    return f"{path} speaks DRMAA {told.get('version')} to {system}"


def _no_library(told: dict[str, Any]) -> Diagnosis:
    text, path = str(told.get("text", "")), str(told.get("library", ""))
    if told.get("error") == "RuntimeError" or not path:
        return _warning(
            "library",
            "no DRMAA library is found",
            "to use one, install it (gridengine-drmaa1.0 or that of your site), and set "
            "drmaa_library to its path, or DRMAA_LIBRARY_PATH",
        )
    if _STATIC_TLS in text:
        return _error(
            "library",
            f"{path} cannot be loaded into a Python: {text}",
            "set GLIBC_TUNABLES=glibc.rtld.optional_static_tls=2048 where drover is started",
        )
    if "undefined symbol" in text:
        return _error(
            "library",
            f"{path} is no DRMAA library: {text}",
            "set drmaa_library to libdrmaa.so of your system",
        )
    return _error("library", f"{path} cannot be loaded: {text}", "set drmaa_library to libdrmaa.so")


def _no_session(told: dict[str, Any]) -> Diagnosis:
    text, path = str(told.get("text", "")), str(told.get("library", ""))
    if told.get("code") == 2:
        return _error(
            "session",
            f"{path} is there, and its master does not answer: {text}",
            "is sge_qmaster running, and are SGE_ROOT, SGE_CELL and SGE_QMASTER_PORT right?",
        )
    return _error(
        "session",
        f"{path} opens no session: {text}",
        "set SGE_ROOT and SGE_CELL; the cell's settings.sh does it",
    )


def _no_command(exc: UnreachableError) -> Diagnosis:
    if exc.sent:
        return _error("master", f"qstat gave no answer: {exc.why}", "is sge_qmaster running?")
    return _warning(
        "commands",
        f"there is no Grid Engine here: qstat cannot be executed ({exc.why})",
        "to use one, install its client, mend PATH or SGE_ROOT, or set `commands` to its folder",
    )


def _no_master(reply: Completed) -> Diagnosis:
    why = _qstat.said(reply)
    if "SGE_ROOT" in why or "cell" in why.lower() or "act_qmaster" in why:
        cure = "to use a cluster, source its settings.sh, or set SGE_ROOT and SGE_CELL"
        return _warning("configuration", f"no cluster is set up here: {why}", cure)
    cure = "is sge_qmaster running, and are SGE_CELL and SGE_QMASTER_PORT of the right cluster?"
    return _error("master", f"it cannot be reached: {why}", cure)


def _queues(text: str) -> list[Diagnosis]:
    rows = list(_QUEUE.finditer(text))
    if not rows:
        return [
            _error(
                "queues", "there is no queue with a node", "no job can run; ask the administrators"
            )
        ]
    return [_queue(row) for row in rows]


def _queue(row: re.Match[str]) -> Diagnosis:
    states = row["states"] or ""
    subject = f"queue {row['name']}"
    message = f"slots reserved/used/all {row['slots']}, load {row['load']}"
    if not states:
        return _ok(subject, message)
    words = ", ".join(STATES.get(letter, f"state {letter}") for letter in states)
    if "E" in states:
        cure = "qstat -explain E tells why; qmod -cq clears it once that is mended"
        return _error(subject, f"it is {words}: no job starts in it; {message}", cure)
    return _warning(
        subject, f"{words}; {message}", "it takes no jobs now; qstat -explain tells why"
    )


def _environments(config: DrmaaConfig) -> Generator[Command, Completed, Diagnosis]:
    reply = yield Command(argv=("qconf", "-spl"), timeout_s=_TIMEOUT_S)
    there = reply.stdout.split() if reply.returncode == 0 else []
    subject = "parallel environment"
    if config.pe in there:
        return _ok(subject, f"{config.pe}; there are {', '.join(there)}")
    names = ", ".join(there) or "none"
    cure = "set `pe` in the backend's table to one that keeps slots on one node"
    return _warning(
        subject, f"there is no {config.pe!r} for jobs of several cpus, but {names}", cure
    )


def _accounts() -> Generator[Command, Completed, Diagnosis]:
    try:
        reply = yield Command(argv=("qacct", "-j", "0"), timeout_s=_TIMEOUT_S)
        _qacct.read(reply)
    except UnreachableError as exc:
        return _warning(
            "accounting",
            f"qacct does not answer: {exc.why}",
            "jobs end truly all the same; what was killed from outside may be LOST",
        )
    return _ok("accounting", "it can be read")


def _ok(subject: str, message: str) -> Diagnosis:
    return Diagnosis(subject=subject, health=Health.OK, message=message)


def _warning(subject: str, message: str, cure: str) -> Diagnosis:
    return Diagnosis(subject=subject, health=Health.WARNING, message=message, cure=cure)


def _error(subject: str, message: str, cure: str) -> Diagnosis:
    return Diagnosis(subject=subject, health=Health.ERROR, message=message, cure=cure)

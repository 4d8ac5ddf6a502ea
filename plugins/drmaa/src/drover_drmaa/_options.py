"""What a specification asks for, as Grid Engine's words of a native specification.

Source: qsub(1) and drmaa_attributes(3) of 8.1.9.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from drover.drmaa.vocabulary import (
    FileTransferMode,
    JobSubmissionState,
    limit_of,
    next_instant,
    split_path,
)
from drover.models import JobSpec, Predecessor, Resources
from drover_drmaa import _flags
from drover_drmaa._config import GRID_ENGINE, DrmaaConfig

TEXT: Final = "text"
COUNT: Final = "a whole number"
FLAG: Final = "true or false"
LIST: Final = "a list of texts"
TABLE: Final = "a table of resources and what is wanted of each"
LIMIT: Final = "seconds, or [[h:]m:]s as text"
TIME: Final = "a time as DRMAA writes it"
PATH: Final = "a path as DRMAA writes it: [host]:path"

ATTRIBUTES: Final[Mapping[str, str]] = {
    "workingDirectory": TEXT, "inputPath": PATH, "outputPath": PATH, "errorPath": PATH,
    "joinFiles": FLAG, "jobName": TEXT, "jobCategory": TEXT, "nativeSpecification": TEXT,
    "email": LIST, "blockEmail": FLAG, "startTime": TIME, "deadlineTime": TIME,
    "hardWallclockTimeLimit": LIMIT, "softWallclockTimeLimit": LIMIT,
    "hardRunDurationLimit": LIMIT, "softRunDurationLimit": LIMIT,
    "jobSubmissionState": TEXT, "transferFiles": TEXT,
}  # fmt: skip
"""What `native={"drmaa": {...}}` may hold on any system: DRMAA's own names. The command, its
arguments and its environment are fields of the specification."""

FLAGS: Final[Mapping[str, tuple[str, str]]] = {
    "pe": (TEXT, "-pe"), "queue": (TEXT, "-q"), "masterq": (TEXT, "-masterq"),
    "l": (TABLE, "-l"), "soft_l": (TABLE, "-l"), "soft_queue": (TEXT, "-q"),
    "project": (TEXT, "-P"), "account": (TEXT, "-A"), "priority": (COUNT, "-p"),
    "job_share": (COUNT, "-js"), "ar": (COUNT, "-ar"), "mail": (TEXT, "-m"),
    "notify": (FLAG, "-notify"), "reserve": (FLAG, "-R"), "ckpt": (TEXT, "-ckpt"),
    "ckpt_when": (TEXT, "-c"), "binding": (TEXT, "-binding"), "deadline": (TEXT, "-dl"),
    "context": (TABLE, "-ac"), "validation": (TEXT, "-w"), "jsv": (TEXT, "-jsv"),
    "max_running_tasks": (COUNT, "-tc"), "slots": (TEXT, ""), "dependencies": (FLAG, ""),
    "options": (LIST, ""),
}  # fmt: skip
"""What it may hold on Grid Engine beside them: `pe`, the slots that it is asked for (a number or
a range), what qsub knows by a flag, words that are passed on as they are, and whether Grid Engine
is to wait for the jobs before this one."""

OURS: Final = frozenset({
    "-i", "-t", "-wd", "-C", "-clear", "-hold_jid", "-hold_jid_ad", "-h", "-a", "-v", "-verify",
    "-pty", "-inherit", "-@", "-help", "-M",
})  # fmt: skip
"""Flags that carry what drover rests on, or that stand elsewhere; they are not given as words.
Those of `_flags` become fields."""

UNSUPPORTED: Final[Mapping[str, str]] = {
    "deadlineTime": "Grid Engine's library has no such attribute; give the field `deadline`, "
    "which drover keeps",
    "softRunDurationLimit": "Grid Engine has no limit that leaves suspended time out; give "
    "softWallclockTimeLimit, or native option l with s_cpu",
    "transferFiles": "Grid Engine copies files only where its administrators let it, and its "
    "library refuses the attribute; give the fields `inputs` and `outputs`",
}
"""Attributes of DRMAA that Grid Engine's library refuses."""

RUN_DURATION: Final = "hardRunDurationLimit"
_WORD: Final = re.compile(r"[^\s'\"\\\0]+")
_NAME: Final = re.compile(r"[A-Za-z_][\w.-]*")
LOWEST_PRIORITY: Final = -1023
HIGHEST_PRIORITY: Final = 1024


def kinds(dialect: str) -> dict[str, str]:
    """Give what options there are, and of what kind each is."""
    if dialect == GRID_ENGINE:
        return {**ATTRIBUTES, **{name: kind for name, (kind, _) in FLAGS.items()}}
    # What a program's native specification is made of: words, which are that system's own.
    return {**ATTRIBUTES, "options": LIST}


def native_problem(name: str, native: Mapping[str, Any], config: DrmaaConfig) -> str:
    """Say what is wrong with the first bad option; "" if all are good."""
    known = kinds(config.dialect)
    for option, value in native.items():
        kind = known.get(option)
        if kind is None:
            return f"no option {option!r} for {name}"
        if not _is(kind, value):
            return f"option {option!r} is {kind}, not {value!r}"
        if config.dialect == GRID_ENGINE and option in UNSUPPORTED:
            return f"option {option!r}: {UNSUPPORTED[option]}"
        is_quoted = config.dialect != GRID_ENGINE and option == "options"
        why = _line_problem(value) if is_quoted else _value_problem(option, value)
        if why:
            return f"option {option!r}: {why}"
    if config.dialect != GRID_ENGINE:
        return ""
    words = str(native.get("nativeSpecification", "")).split()
    return _words_problem(words) or _words_problem(native.get("options", ()))


def _words_problem(given: Sequence[str]) -> str:
    _, rest = _flags.split(given)
    return _flags.problem(given) or next((why for word in rest if (why := _word_problem(word))), "")


def _is(kind: str, value: object) -> bool:
    if kind == FLAG:
        return isinstance(value, bool)
    if kind == COUNT:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == LIST:
        return isinstance(value, list | tuple) and all(
            isinstance(word, str) and word for word in cast("Sequence[object]", value)
        )
    if kind == TABLE:
        return isinstance(value, Mapping) and bool(cast("Mapping[object, object]", value))
    if kind == LIMIT:
        return isinstance(value, int | str) and not isinstance(value, bool)
    return isinstance(value, str) and bool(value)


def _texts(value: object) -> list[str]:
    if isinstance(value, list | tuple):
        return [str(text) for text in cast("Sequence[object]", value)]
    return [str(value)]


def _value_problem(option: str, value: Any) -> str:
    try:
        if option in ATTRIBUTES:
            return _attribute_problem(option, value)
    except Exception as exc:  # noqa: BLE001 - the vocabulary's errors have no other base
        return str(exc).partition(": ")[2] or str(exc)
    if option == "options":
        bad = [word for word in value if not _WORD.fullmatch(word)]
        return f"each is one word without blanks and quotes, not {bad[0]!r}" if bad else ""
    entries: Mapping[str, object] = {"_": value}
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, object]", value)
    for name, entry in entries.items():
        if not _NAME.fullmatch(name) or not isinstance(entry, str | int | float):
            return f"{name!r} is no resource with a value"
        if not _WORD.fullmatch(str(entry)) or (isinstance(value, Mapping) and "," in str(entry)):
            return f"{entry!r} has to be one word without blanks and quotes"
    return ""


def _line_problem(value: object) -> str:
    bad = any(re.search(r"[\0\n\r]", text) for text in _texts(value))
    return "it is one line without control characters" if bad else ""


def _attribute_problem(option: str, value: Any) -> str:
    kind = ATTRIBUTES[option]
    if why := _line_problem(value):
        return why
    if kind == LIMIT:
        limit_of(value)
    elif kind == TIME:
        next_instant(value, 0.0)
    elif kind == PATH:
        split_path(value)
    elif option == "jobSubmissionState" and value not in (
        JobSubmissionState.HOLD_STATE, JobSubmissionState.ACTIVE_STATE,
    ):  # fmt: skip
        return f"give {JobSubmissionState.HOLD_STATE} or {JobSubmissionState.ACTIVE_STATE}"
    elif option == "transferFiles" and not set(value) <= set("ioe"):
        return f"give some of the letters of {FileTransferMode(True, True, True)}"
    return ""


def _word_problem(word: str) -> str:
    if word in OURS:
        return f"{word} is given by drover, or by a field or option of its own, and not as a word"
    return ""


class UnfitError(Exception):
    """What is asked for cannot be said to Grid Engine; the text says why."""

    def __init__(self, field: str, why: str) -> None:
        self.field, self.why = field, why
        super().__init__(why)


def slots(name: str, spec: JobSpec) -> int:
    """Say how many slots a job takes at least."""
    given = str(spec.native.get(name, {}).get("slots", ""))
    match = re.match(r"\d+", given)
    return int(match[0]) if match else spec.resources.total_cpus


def words(name: str, spec: JobSpec, config: DrmaaConfig) -> tuple[str, ...]:
    """Give the words that ask for what *spec* wants, in a fixed order.

    Raises:
        UnfitError: It cannot be said.
    """
    native = spec.native.get(name, {})
    hard = {**_resources(name, spec, config), **_limits(native), **native.get("l", {})}
    said: list[str] = []
    for option, (kind, flag) in FLAGS.items():
        value = native.get(option)
        if not flag or value is None or option in {"pe", "l", "soft_l", "soft_queue"}:
            continue
        if kind == TABLE:
            said += [flag, _pairs(value)]
        elif option == "reserve":
            said += [flag, "y" if value else "n"]
        elif kind == FLAG:
            said += [flag] if value else []
        else:
            said += [flag, str(value)]
    said += _fields(spec.resources, native)
    said += _parallel(name, spec, config)
    said += ["-r", "y" if spec.requeue else "n"]
    if hard:
        said += ["-hard", "-l", _pairs(hard)]
    soft = native.get("soft_l"), native.get("soft_queue")
    if any(soft):
        said += ["-soft", *(["-l", _pairs(soft[0])] if soft[0] else [])]
        said += ["-q", str(soft[1])] if soft[1] else []
        said.append("-hard")
    said += native.get("options", ())
    if native.get("nativeSpecification"):
        said += str(native["nativeSpecification"]).split()
    return tuple(said)


def _pairs(table: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={_plain(value)}" for name, value in table.items())


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return str(value)


def _fields(resources: Resources, native: Mapping[str, Any]) -> list[str]:
    said: list[str] = []
    for option, flag, value in (
        ("queue", "-q", resources.queue),
        ("project", "-P", resources.account),
        ("ar", "-ar", resources.reservation),
    ):
        if not value or option in native:
            continue
        if not _WORD.fullmatch(value):
            field = {"project": "account", "ar": "reservation"}.get(option, option)
            raise UnfitError(f"resources.{field}", f"{value!r} is no name on Grid Engine")
        said += [flag, value]
    if resources.priority and "priority" not in native:
        if not LOWEST_PRIORITY <= resources.priority <= HIGHEST_PRIORITY:
            why = f"priorities go from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}"
            raise UnfitError("resources.priority", why)
        said += ["-p", str(resources.priority)]
    return said


def _parallel(name: str, spec: JobSpec, config: DrmaaConfig) -> list[str]:
    native = spec.native.get(name, {})
    wanted = str(native.get("slots") or spec.resources.total_cpus)
    if wanted == "1" and "pe" not in native:
        return []
    return ["-pe", str(native.get("pe") or config.pe), wanted]


def _resources(name: str, spec: JobSpec, config: DrmaaConfig) -> dict[str, object]:
    resources, count = spec.resources, slots(name, spec)
    asked: dict[str, object] = {}
    if resources.memory is not None:
        asked[config.memory_resource] = f"{math.ceil(resources.memory / count)}"
    if resources.disk is not None:
        if not config.disk_resource:
            raise UnfitError(
                "resources.disk", "no resource of Grid Engine is named for it; set disk_resource"
            )
        asked[config.disk_resource] = f"{math.ceil(resources.disk / count)}"
    if resources.gpus:
        total = resources.total_gpus
        if total % count:
            raise UnfitError(
                "resources.gpus",
                f"Grid Engine counts by slot: {total} gpus are not to be shared by {count} slots",
            )
        asked[config.gpu_resource] = total // count
    if resources.exclusive:
        asked[config.exclusive_resource] = True
    # Grid Engine counts suspended time: where that is not meant, only drover keeps the limit.
    if resources.wall_time is not None and RUN_DURATION not in spec.native.get(name, {}):
        asked["h_rt"] = math.ceil(resources.wall_time + config.wall_time_margin_s)
    return asked


def _limits(native: Mapping[str, Any]) -> dict[str, object]:
    """Ask for DRMAA's limits under Grid Engine's names; its library has no attribute for them."""
    names = {"hardWallclockTimeLimit": "h_rt", "softWallclockTimeLimit": "s_rt"}
    return {names[name]: limit_of(native[name]) for name in names if name in native}


def dependencies(predecessors: Sequence[Predecessor]) -> list[str]:
    """Let Grid Engine wait for jobs, however they end: the wrapper looks at how.

    It waits for the whole array where an element is meant: it knows no less.
    """
    ids = dict.fromkeys(
        native_id.partition(".")[0]
        for other in predecessors
        for native_id in other.native_ids or (other.native_id,)
    )
    return ["-hold_jid", ",".join(ids)] if ids else []


__all__ = [
    "ATTRIBUTES",
    "FLAGS",
    "UNSUPPORTED",
    "UnfitError",
    "dependencies",
    "kinds",
    "native_problem",
    "slots",
    "words",
]

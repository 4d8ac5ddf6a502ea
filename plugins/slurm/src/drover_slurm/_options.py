"""What a specification asks for, as options of sbatch. Source: sbatch(1) of 22.05."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from drover.models import Condition, JobSpec, Predecessor, Resources

TEXT: Final = "text"
COUNT: Final = "a whole number"
FLAG: Final = "true or false"
LIST: Final = "a list of texts"

NATIVE: Final[Mapping[str, str]] = {
    "acctg_freq": TEXT, "batch": TEXT, "bb": TEXT, "begin": TEXT, "cluster_constraint": TEXT,
    "constraint": TEXT, "container": TEXT, "contiguous": FLAG, "core_spec": COUNT,
    "cores_per_socket": COUNT, "cpu_freq": TEXT, "cpus_per_gpu": COUNT, "deadline": TEXT,
    "delay_boot": COUNT, "distribution": TEXT, "exclude": TEXT, "gpu_bind": TEXT,
    "gpu_freq": TEXT, "gpus": TEXT, "gpus_per_node": TEXT, "gpus_per_socket": TEXT, "gres": TEXT,
    "gres_flags": TEXT, "hint": TEXT, "hold": FLAG, "licenses": TEXT, "mail_type": TEXT,
    "mail_user": TEXT, "mcs_label": TEXT, "mem_bind": TEXT, "mem_per_cpu": TEXT,
    "mem_per_gpu": TEXT, "mincpus": COUNT, "network": TEXT, "nice": COUNT, "nodelist": TEXT,
    "ntasks_per_core": COUNT, "ntasks_per_gpu": COUNT, "ntasks_per_node": COUNT,
    "ntasks_per_socket": COUNT, "overcommit": FLAG, "oversubscribe": FLAG, "power": TEXT,
    "prefer": TEXT, "priority": COUNT, "profile": TEXT, "propagate": TEXT, "qos": TEXT,
    "reboot": FLAG, "signal": TEXT, "sockets_per_node": COUNT, "spread_job": FLAG,
    "switches": TEXT, "thread_spec": COUNT, "threads_per_core": COUNT, "time_min": TEXT,
    "tres_per_task": TEXT, "use_min_nodes": FLAG, "wait_all_nodes": COUNT, "wckey": TEXT,
    "options": LIST, "dependencies": FLAG,
}  # fmt: skip
"""What `native={"slurm": {...}}` may hold: sbatch's long options with `_` for `-`, and two of our
own: `options` for words that are passed on as they are, `dependencies` for Slurm's own."""

OURS: Final = frozenset({
    "array", "chdir", "clusters", "comment", "dependency", "error", "export", "export-file",
    "get-user-env", "gid", "help", "ignore-pbs", "input", "job-name", "kill-on-invalid-dep",
    "no-requeue", "open-mode", "output", "parsable", "quiet", "requeue", "test-only", "uid",
    "usage", "verbose", "version", "wait", "wrap",
})  # fmt: skip
"""Options of sbatch that carry what drover rests on; they are not the user's to give."""

SHORT: Final[Mapping[str, str]] = {
    "A": "account", "B": "extra-node-info", "C": "constraint", "D": "chdir", "F": "nodefile",
    "G": "gpus", "J": "job-name", "L": "licenses", "M": "clusters", "N": "nodes",
    "S": "core-spec", "a": "array", "b": "begin", "c": "cpus-per-task", "d": "dependency",
    "e": "error", "i": "input", "m": "distribution", "n": "ntasks", "o": "output",
    "p": "partition", "q": "qos", "t": "time", "w": "nodelist", "x": "exclude",
}  # fmt: skip
"""Letters of sbatch that take a value, and the long names of the same."""
SHORT_FLAGS: Final[Mapping[str, str]] = {
    "H": "hold", "O": "overcommit", "Q": "quiet", "V": "version", "W": "wait", "h": "help",
    "k": "no-kill", "s": "oversubscribe", "v": "verbose",
}  # fmt: skip
"""Letters that take none. Source: sbatch(1) of Slurm 22.05, as are the others."""
_VALUED: Final = frozenset({
    *SHORT.values(), "mem", "reservation", "tmp", "gpus-per-task",
    *(name.replace("_", "-") for name, kind in NATIVE.items() if kind in {TEXT, COUNT}),
})  # fmt: skip

_SIGNAL: Final = re.compile(r"(?P<who>[BR]{1,2}:)?(?P<what>[A-Z0-9+]+)(?P<when>@[0-9]+)?")
_KIB: Final = 1024


def native_problem(name: str, options: Mapping[str, Any]) -> str:
    """Say what is wrong with the first bad option; "" if all are good."""
    for option, value in options.items():
        kind = NATIVE.get(option)
        if kind is None:
            return f"no option {option!r} for {name}"
        if not _is(kind, value):
            return f"option {option!r} is {kind}, not {value!r}"
        if any(re.search(r"[\0\n\r]", text) for text in _texts(value)):
            return f"option {option!r} is one line without control characters"
    problems = [_word_problem(word) for word in in_long(_texts(options.get("options", ())))]
    if "signal" in options:
        problems.append(_signal_problem(str(options["signal"])))
    return next(filter(None, problems), "")


def _texts(value: object) -> list[str]:
    if isinstance(value, list | tuple):
        return [str(word) for word in cast("Sequence[object]", value)]
    return [value] if isinstance(value, str) else []


def _is(kind: str, value: object) -> bool:
    if kind == FLAG:
        return isinstance(value, bool)
    if kind == COUNT:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == LIST:
        return isinstance(value, list | tuple) and all(
            isinstance(word, str) for word in cast("Sequence[object]", value)
        )
    return isinstance(value, str) and bool(value)


def _signal_problem(text: str) -> str:
    match = _SIGNAL.fullmatch(text)
    if match is None:
        return f"option 'signal' is such as 'USR1@60', not {text!r}"
    if match["what"].removeprefix("SIG") in {"TERM", "15", "KILL", "9"}:
        return "option 'signal': Slurm sends TERM and KILL by itself; choose another, as USR1"
    return ""


def in_long(words: Sequence[str]) -> list[str]:
    """Write words by their long names and in one piece: `-p long --mem 3G` is what people type.

    What is no option of sbatch, or lacks its value, stays as it is.
    """
    found: list[str] = []
    left = list(reversed(words))
    while left:
        word = left.pop()
        name, value = _named(word)
        if name in _VALUED and not value and left and not left[-1].startswith("-"):
            value = left.pop()
        if value:
            word = f"--{name}={value}"
        elif name in SHORT_FLAGS.values():
            word = f"--{name}"
        found.append(word)
    return found


def _named(word: str) -> tuple[str, str]:
    """Read `-p`, `-plong`, `-H` or `--mem`: the long name, and what follows a letter at once."""
    if word.startswith("--"):
        return word[2:], ""
    letter, rest = word[1:2], word[2:]
    if not word.startswith("-") or (letter in SHORT_FLAGS and rest):
        return "", ""
    return {**SHORT, **SHORT_FLAGS}.get(letter, ""), rest


def _word_problem(word: str) -> str:
    name = word.removeprefix("--").partition("=")[0]
    if not re.match(r"--[a-z]", word):
        return f"each of 'options' is one word that begins with --, not {word!r}"
    # sbatch takes the beginning of a name for the name: getopt_long(3).
    ours = next((ours for ours in sorted(OURS) if ours.startswith(name)), "")
    return f"--{ours} is given by drover and cannot be among 'options'" if ours else ""


def options(name: str, spec: JobSpec) -> tuple[str, ...]:
    """Give the options that ask for what *spec* wants, in a fixed order."""
    resources, native = spec.resources, spec.native.get(name, {})
    words = [*_resources(resources, native)]
    words.append("--requeue" if spec.requeue else "--no-requeue")
    for option, kind in NATIVE.items():
        value = native.get(option)
        if value is None or option in {"options", "dependencies"} or value is False:
            continue
        flag = "--" + option.replace("_", "-")
        if option == "signal":
            value = signal_for_the_shell(value)
        elif option == "gres":
            value = generic(resources, value)
        words.append(flag if kind == FLAG else f"{flag}={value}")
    return (*words, *in_long(native.get("options", ())))


_TYPES: Final[Mapping[Condition, str]] = {
    Condition.SUCCEEDED: "afterok",
    Condition.FAILED: "afternotok",
    Condition.ENDED: "afterany",
}


def dependencies(predecessors: Sequence[Predecessor]) -> list[str]:
    """Let Slurm wait for jobs, and give up the job if they come to something else.

    Of an array one failure is enough, whichever part it is in; Slurm would want one in each.
    """
    words: list[str] = []
    for other in predecessors:
        kind = _TYPES[other.condition]
        if other.native_ids and other.condition is Condition.FAILED:
            kind = _TYPES[Condition.ENDED]
        words.append(":".join((kind, *(other.native_ids or (other.native_id,)))))
    return [f"--dependency={','.join(words)}", "--kill-on-invalid-dep=yes"] if words else []


def signal_for_the_shell(text: str) -> str:
    """Send a warning to the batch shell, which is our wrapper and passes it on to the command."""
    match = _SIGNAL.fullmatch(text)
    assert match is not None
    return text if match["who"] else f"B:{text}"


def _resources(resources: Resources, native: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    if resources.nodes > 1:
        words.append(f"--nodes={resources.nodes}")
    if resources.tasks > 1 or resources.nodes == 1:
        words.append(f"--ntasks={resources.tasks}")
    words.append(f"--cpus-per-task={resources.cpus}")
    if resources.gpus:
        words += gpus(resources, native)
    if resources.memory is not None:
        words.append(f"--mem={math.ceil(resources.memory / _KIB)}K")
    if resources.disk is not None:
        words.append(f"--tmp={math.ceil(resources.disk / _KIB)}K")
    if resources.wall_time is not None:
        words.append(f"--time={clock(resources.wall_time)}")
    if resources.exclusive:
        words.append("--exclusive")
    words += [
        f"--{option}={value}"
        for option, value in (
            ("partition", resources.queue),
            ("account", resources.account),
            ("reservation", resources.reservation),
        )
        if value
    ]
    if resources.priority:
        words.append(f"--nice={-resources.priority}")
    return words


def gpus(resources: Resources, native: Mapping[str, Any]) -> list[str]:
    """Ask for GPUs per task; for a single task by the option that every version knows."""
    gres = str(native.get("gres", ""))
    if _names_gpus(gres) or (gres and _is_single(resources)):
        return []
    if _is_single(resources):
        return [f"--gres=gpu:{resources.gpus}"]
    return [f"--gpus-per-task={resources.gpus}"]


def generic(resources: Resources, gres: str) -> str:
    """Put the GPUs of a single task to what else it asks for: of two --gres the last counts."""
    if resources.gpus and _is_single(resources) and not _names_gpus(gres):
        return f"gpu:{resources.gpus},{gres}"
    return gres


def _names_gpus(gres: str) -> bool:
    """Tell whether GPUs are asked for in the user's own words, which say more than a number."""
    return any(re.match(r"(?:gres[:/])?gpu(?::|$)", part) for part in gres.split(","))


def _is_single(resources: Resources) -> bool:
    return resources.tasks == 1 and resources.nodes == 1


def clock(seconds: float) -> str:
    """Write a wall time as `D-HH:MM:SS`; Slurm itself rounds up to whole minutes."""
    whole = math.ceil(seconds)
    days, rest = divmod(whole, 86400)
    return f"{days}-{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"

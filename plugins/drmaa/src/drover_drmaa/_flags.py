"""Flags of qsub that say what a specification says: they become its fields.

Programs that were written for Grid Engine have them in their native specifications, `-V -cwd -j y`
above all. Drover gives these flags itself, or does by itself what they ask for.

Source: qsub(1) of 8.1.9; that they count, and that attributes of the template win: tried there.
"""

import getpass
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from attrs import evolve

from drover.drmaa.vocabulary import escaped, stream_in
from drover.models import JobSpec
from drover_drmaa._template import home_directory, is_here

YES: Final = frozenset({"y", "yes"})
NO: Final = frozenset({"n", "no"})
BARE: Final = frozenset({"-V", "-cwd", "-terse"})
"""Without a value. They ask for what is done anyhow: the environment is inherited, the working
directory is a field, and nothing is printed."""
CHOICES: Final[Mapping[str, tuple[frozenset[str], str]]] = {
    "-b": (YES, "a command is executed as it is; for a script give `sh` and its path"),
    "-shell": (NO, "a command is executed as it is; for a line of shell give `sh`, `-c` and it"),
    "-now": (NO, "a job waits until there is room"),
    "-sync": (YES | NO, "it is yes or no"),
    "-r": (NO, "give the field `requeue`"),
    "-j": (YES | NO, "it is yes or no"),
}
"""What may follow a flag, and what to say of anything else."""
PATHS: Final[Mapping[str, tuple[str, str]]] = {"-o": ("stdout", "o"), "-e": ("stderr", "e")}
VALUED: Final = frozenset({*CHOICES, *PATHS, "-N", "-S"})
"""With one value. A shell (`-S`) is of no use where a command is executed as it is."""
OPTIONS: Final = ("nativeSpecification", "options")
_VARIABLE: Final = re.compile(r"\$(\w+|\{\w*\}?)?")
_KNOWN: Final = ("HOME", "USER", "JOB_ID", "JOB_NAME", "TASK_ID")


def split(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Part flags that become fields, with their values, from the words that are handed over."""
    said: dict[str, str] = {}
    rest: list[str] = []
    left = iter(words)
    for word in left:
        if word in BARE:
            said[word] = ""
        elif word in VALUED:
            said[word] = next(left, "")
        else:
            rest.append(word)
    return said, rest


def problem(words: Sequence[str]) -> str:
    """Say what is wrong with the first bad flag; "" if all are good."""
    said, _ = split(words)
    for flag, value in said.items():
        if flag in VALUED and not value:
            return f"{flag} wants a value"
        allowed, why = CHOICES.get(flag, (frozenset[str](), ""))
        if allowed and value not in allowed:
            return f"{flag} {value}: {why}"
        if flag in PATHS:
            host, path = _split(value)
            if not is_here(host):
                return f"{flag} {value} lies on another host; files are written where jobs run"
            unknown = [name for name in _VARIABLE.findall(path) if name not in _KNOWN]
            if unknown:
                return f"{flag} {value}: of variables there are {', '.join(_KNOWN)}"
    return ""


def as_fields(name: str, spec: JobSpec) -> JobSpec:
    """Put what flags say into the fields for it. Fields that say something win.

    Args:
        name: The backend's, whose options are read.
        spec: What was asked for, with DRMAA's own attributes in their fields.
    """
    native = spec.native.get(name, {})
    said: dict[str, str] = {}
    rest: dict[str, Any] = dict(native)
    for option in OPTIONS:
        given = native.get(option, ())
        is_text = isinstance(given, str)
        found, left = split(given.split() if is_text else cast("Sequence[str]", given))
        if not found:
            continue
        said.update(found)
        rest[option] = " ".join(left) if is_text else tuple(left)
        if not left:
            del rest[option]
    if not said:
        return spec
    changes: dict[str, Any] = {"native": {**spec.native, name: rest}}
    if "-N" in said and spec.name is None:
        changes["name"] = said["-N"]
    if said.get("-j") in YES:
        changes["join_output"] = True
    spec = evolve(spec, **changes)
    paths: dict[str, Any] = {
        field: _file(said[flag], letter, spec)
        for flag, (field, letter) in PATHS.items()
        if flag in said and getattr(spec, field) is None
    }
    return evolve(spec, **paths)


def _split(text: str) -> tuple[str, str]:
    host, colon, path = text.partition(":")
    return (host, path) if colon and "/" not in host else ("", text)


def _file(text: str, letter: str, spec: JobSpec) -> str:
    """Name a file as Grid Engine does; in a folder that is there `NAME.oID`."""
    index = "undefined" if spec.array is None else "%a"
    values = {
        "HOME": escaped(home_directory()), "USER": escaped(getpass.getuser()), "JOB_ID": "%j",
        "JOB_NAME": escaped(spec.label), "TASK_ID": index,
    }  # fmt: skip
    path = _VARIABLE.sub(lambda found: values[found[1]], escaped(_split(text)[1]))
    whole = os.path.join(spec.cwd or home_directory(), path)  # noqa: PTH118 - text, as elsewhere
    if not os.path.isdir(whole.replace("%%", "%")):  # noqa: PTH112 - the same
        return path
    return stream_in(path, spec.label, letter)

"""Submissions as they lie on the disk: one file lists the tasks of what was submitted as one.

`KEY.tasks` in the backend's folder, where KEY is the token of the first attempt in it. Its first
line, the head, holds what the tasks share and the token and folder of each; every line after it is
one task, see `wrapper.read_listed_task`. Written before anything is handed over and never changed,
so that whoever comes later (another engine, a wrapper on a node) finds the same members in the
same order.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import orjson
from attrs import field, frozen

from drover.commandline import wrapper
from drover.commandline.claims import PRIVATE
from drover.commandline.places import LIST, LOG, Places
from drover.commandline.tasks import expand
from drover.commandline.tokens import element_paths
from drover.models import Attempt, JobSpec

_NEWS: Final = "news"
_STREAMS: Final = ("stdin", "stdout", "stderr")
_FALSE_UNLESS_SAID: Final = ("join_output", "requeue")


@frozen(kw_only=True)
class Batch:
    """Attempts that go to the scheduler as one: a job, or an array of like jobs."""

    key: str
    spec: JobSpec
    """Of the first; what the scheduler is asked for is the same for all."""
    label: str
    """What people call it."""
    tokens: tuple[str, ...]
    tasks: Path
    log: Path
    """Where what the scheduler's own shell says is kept."""
    attempt: Attempt = field(repr=False)
    """The first."""

    @property
    def is_array(self) -> bool:
        """Tell whether there are several."""
        return len(self.tokens) > 1


@frozen(kw_only=True)
class TaskSettings:
    """What a scheduler's tasks have in common."""

    pass_env: Sequence[str] = ()
    """Variables of the node that the command is to see; a trailing `*` stands for any ending."""
    env: Mapping[str, str] = field(factory=dict[str, str])
    """Variables that every command gets."""
    shared_signals: Sequence[int] = ()
    """Signals that the scheduler sends to every process of a job: not passed on once more."""
    listens: bool = False
    """Whether the wrapper looks for requests by file: some schedulers pass no signals on."""
    keeps_wall_time: bool = True
    """Whether the wrapper ends a command at its wall time, to the second; schedulers count minutes,
    and look at the clock now and then."""
    launchers: Mapping[str, Sequence[str]] = field(factory=dict[str, Sequence[str]])
    """What stands before the command, by the name of the launcher."""


class Batches:
    """All submissions of one backend."""

    def __init__(self, folder: Path, settings: TaskSettings, home: Path | None = None) -> None:
        self._folder = folder
        self._home = home
        """Of the store; without it no task waits for a whole array."""
        self.settings = settings
        """May be set anew when more is known of the site; what was written stays as it is."""
        self.places = Places(folder)

    @property
    def news(self) -> Path:
        """Name the folder in which wrappers leave word; it is there once something was made."""
        return self._folder / _NEWS

    def make(self, attempts: Sequence[Attempt], folders: Sequence[Path | str]) -> Batch:
        """Write down a submission of these attempts.

        Their folders need not be there: the wrapper makes them.

        Raises:
            OSError: It could not be written, and must not be handed over.
        """
        first = attempts[0]
        key = first.token
        paths = [os.fspath(folder) for folder in folders]
        self.news.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        tokens = tuple(attempt.token for attempt in attempts)
        batch = Batch(
            key=key,
            spec=first.spec,
            label=_shared_label([attempt.spec.label for attempt in attempts]),
            tokens=tokens,
            tasks=self._folder / f"{key}{LIST}",
            log=self._folder / f"{key}{LOG}",
            attempt=first,
        )
        # Not forced to the disk: what a power cut takes is missed by the wrapper, which then
        # runs nothing, and the attempt is handed over again.
        draft = self._folder / f".{key}{LIST}"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(self._lines(batch.label, attempts, paths))
        draft.replace(batch.tasks)
        self.places.add(key, batch.label, list(zip(tokens, paths, strict=True)))
        return batch

    def _lines(
        self, label: str, attempts: Sequence[Attempt], folders: Sequence[str]
    ) -> Iterator[str]:
        settings = self.settings
        after = self._after(attempts[0])
        is_shared = all(a.predecessors == attempts[0].predecessors for a in attempts)
        bases = {a.base_digest: dict(a.base_environment) for a in attempts if a.base_digest}
        head = {
            "version": wrapper.VERSION,
            "label": label,
            "members": [[a.token, path] for a, path in zip(attempts, folders, strict=True)],
            "bases": bases,
            "env": dict(settings.env),
            "common": {
                "pass_env": list(settings.pass_env),
                "shared_signals": [int(number) for number in settings.shared_signals],
                "news": str(self.news),
                **({"listens": True} if settings.listens else {}),
                **({"after": after} if after and is_shared else {}),
            },
        }
        yield json.dumps(head) + "\n"
        for attempt in attempts:
            task = self._task(attempt)
            if attempt.predecessors and not is_shared:
                task["after"] = self._after(attempt)
            yield _text(task) + "\n"

    def _task(self, attempt: Attempt) -> dict[str, Any]:
        spec = attempt.spec
        launcher = self.settings.launchers.get(spec.launcher or "", ())
        task: dict[str, Any] = {
            "argv": [*launcher, *spec.argv],
            "cwd": spec.cwd,
            "env": dict(attempt.variables),
        }
        if attempt.base_digest:
            task["base"] = attempt.base_digest
        else:
            task["env"] = attempt.environment
        for name in _STREAMS:
            path = expand(getattr(spec, name), attempt)
            if path is not None:
                task[name] = path
        for name in _FALSE_UNLESS_SAID:
            if getattr(spec, name):
                task[name] = True
        if spec.resources.wall_time is not None and self.settings.keeps_wall_time:
            task["wall_time"] = spec.resources.wall_time
        for name in ("pre_launch", "post_launch"):
            if getattr(spec, name):
                task[name] = getattr(spec, name)
        return task

    def _after(self, attempt: Attempt) -> list[dict[str, Any]]:
        """Say whose records the wrapper has to read, and what they have to tell."""
        told: list[dict[str, Any]] = []
        for other in attempt.predecessors:
            entry: dict[str, Any] = {"job": other.job, "condition": str(other.condition)}
            if other.elements:
                entry["elements"] = [
                    [*element_paths(self._home, other.job, part.attempt), part.indices]
                    for part in other.elements
                    if self._home is not None
                ]
            else:
                # One that is not known here has no record to be found: nothing is run.
                place = self.places.get(other.token)
                entry["folder"] = place.path if place else ""
            told.append(entry)
        return told


def _text(task: Mapping[str, Any]) -> str:
    """Write a task as a line; arguments may hold bytes that are no text, escaped as Python does."""
    try:
        return orjson.dumps(task).decode("utf-8")
    except TypeError:
        return json.dumps(task)


def _shared_label(labels: Sequence[str]) -> str:
    """Name an array by what the names of its elements have in common."""
    first, last = min(labels), max(labels)
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    common = "".join(letter for letter, _ in pairs).rstrip(" -_.:#0123456789")
    return common if len(set(labels)) > 1 and len(common) > 2 else labels[0]

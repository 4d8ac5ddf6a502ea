"""Submissions as they lie on the disk: one file lists the tasks of what was submitted as one.

`KEY.tasks` in the backend's folder, where KEY is the token of the first attempt in it. Its first
line, the head, holds what the tasks share and the token and folder of each; every line after it is
one task, see `wrapper.read_listed_task`. Written before anything is handed over and never changed,
so that whoever comes later (another engine, a wrapper on a node) finds the same members in the
same order.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import orjson
from attrs import field, frozen

from drover.commandline import wrapper
from drover.commandline.claims import PRIVATE
from drover.commandline.tasks import expand
from drover.commandline.tokens import element_paths
from drover.models import Attempt, JobSpec

_ENDING: Final = ".tasks"
_LOG: Final = ".log"
_NEWS: Final = "news"
_STREAMS: Final = ("stdin", "stdout", "stderr")
_FALSE_UNLESS_SAID: Final = ("join_output", "requeue")


@frozen(kw_only=True)
class Place:
    """Where an attempt stands: in which submission, and at which index."""

    key: str
    """Names the submission, here and at the scheduler: the token of its first attempt."""
    index: int
    size: int
    """How many attempts the submission has; one with more than one is an array."""
    path: str
    """Of the attempt's own folder."""
    label: str = ""
    """What people call the submission; the scheduler was told."""

    @property
    def folder(self) -> Path:
        """Give the attempt's own folder."""
        return Path(self.path)

    def native_id(self, submitted: str, pattern: str) -> str:
        """Name the attempt as the scheduler does, given the id of the submission.

        Args:
            submitted: The id of the submission as a whole.
            pattern: How an element of an array is named: `{id}_{index}`, where `index` counts
                from 0, or `{id}.{number}`, from 1.
        """
        if self.size == 1:
            return submitted
        return pattern.format(id=submitted, index=self.index, number=self.index + 1)


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
    """All submissions of one backend. Reads what is on the disk when it is first asked."""

    def __init__(self, folder: Path, settings: TaskSettings, home: Path | None = None) -> None:
        self._folder = folder
        self._home = home
        """Of the store; without it no task waits for a whole array."""
        self.settings = settings
        """May be set anew when more is known of the site; what was written stays as it is."""
        self._places: dict[str, Place] = {}
        self._left: dict[str, set[str]] = {}
        """By key, the tokens that were not forgotten."""
        self._read = False

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
            tasks=self._folder / f"{key}{_ENDING}",
            log=self._folder / f"{key}{_LOG}",
            attempt=first,
        )
        # Not forced to the disk: what a power cut takes is missed by the wrapper, which then
        # runs nothing, and the attempt is handed over again.
        draft = self._folder / f".{key}{_ENDING}"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(self._lines(batch.label, attempts, paths))
        draft.replace(batch.tasks)
        self._add(key, batch.label, list(zip(tokens, paths, strict=True)))
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
                place = self.place(other.token)
                entry["folder"] = place.path if place else ""
            told.append(entry)
        return told

    def place(self, token: str) -> Place | None:
        """Say where an attempt stands; `None` if it was never written down here."""
        known = self._places.get(token)
        if known is None and not self._read:
            self._read_all()
            known = self._places.get(token)
        return known

    def forget(self, tokens: Iterable[str]) -> None:
        """Let go of attempts, and of submissions of which none is left."""
        for token in tokens:
            place = self.place(token)
            if place is None:
                continue
            del self._places[token]
            left = self._left[place.key]
            left.discard(token)
            if left:
                self._strike(place)
                continue
            del self._left[place.key]
            for ending in (_ENDING, _LOG, _ENDING + wrapper.STRUCK, _ENDING + wrapper.BEFORE):
                (self._folder / f"{place.key}{ending}").unlink(missing_ok=True)

    def _strike(self, place: Place) -> None:
        """Let a task never be run any more, also where its folder is gone."""
        path = self._folder / f"{place.key}{_ENDING}{wrapper.STRUCK}"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{place.index}\n")

    def _add(self, key: str, label: str, members: Sequence[tuple[str, str]]) -> None:
        size = len(members)
        self._left[key] = {token for token, _ in members}
        for index, (token, folder) in enumerate(members):
            self._places[token] = Place(key=key, index=index, size=size, path=folder, label=label)

    def _read_all(self) -> None:
        """Read the heads of what earlier engines have written."""
        self._read = True
        for path in self._folder.glob(f"*{_ENDING}"):
            key = path.name.removesuffix(_ENDING)
            if key in self._left:
                continue
            try:
                with path.open("rb") as file:
                    head: Any = json.loads(file.readline())
                rows: list[tuple[Any, Any]] = head["members"]
                members = [(str(token), _path(folder)) for token, folder in rows]
                label = str(head.get("label", ""))
                struck = self._struck(path)
            except (OSError, ValueError, KeyError, TypeError):
                continue  # A damaged one says nothing about anything; its jobs are not listed.
            self._add(key, label, members)
            for index in struck.intersection(range(len(members))):
                token = members[index][0]
                del self._places[token]
                self._left[key].discard(token)

    @staticmethod
    def _struck(path: Path) -> frozenset[int]:
        """Read which tasks of a list were forgotten."""
        try:
            text = path.with_name(path.name + wrapper.STRUCK).read_text("ascii")
        except FileNotFoundError:
            return frozenset()
        return frozenset(map(int, text.split()))


def _text(task: Mapping[str, Any]) -> str:
    """Write a task as a line; arguments may hold bytes that are no text, escaped as Python does."""
    try:
        return orjson.dumps(task).decode("utf-8")
    except TypeError:
        return json.dumps(task)


def _path(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _shared_label(labels: Sequence[str]) -> str:
    """Name an array by what the names of its elements have in common."""
    first, last = min(labels), max(labels)
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    common = "".join(letter for letter, _ in pairs).rstrip(" -_.:#0123456789")
    return common if len(set(labels)) > 1 and len(common) > 2 else labels[0]

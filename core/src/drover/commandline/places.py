"""Where attempts stand: in which submission, and at which index of it.

The lists on the disk say so, see `batches`. In memory are those of which somebody asks; of others,
eight bytes for each member of an array, by which its list is found again. So memory follows what
is at work, and not what was ever run.
"""

import json
import os
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import RLock
from typing import Any, Final

from attrs import frozen

from drover.commandline import wrapper

LIST: Final = ".tasks"
"""Ends the name of a list; what stands before it is the token of its first attempt."""
LOG: Final = ".log"
_OF_A_LIST: Final = (LIST, LOG, LIST + wrapper.STRUCK, LIST + wrapper.BEFORE)


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


class Places:
    """Of all attempts that were handed over by one backend; asked from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = RLock()
        self._places: dict[str, Place] = {}
        """By token, of the lists in memory."""
        self._left: dict[str, set[str]] = {}
        """By key, the tokens that were not forgotten, of the lists in memory."""
        self._arrays: dict[str, array[int]] = {}
        """By key, the hashes of the tokens, of the arrays that are on the disk alone."""
        self._has_read = False
        """Whether the arrays of earlier engines are known."""
        self._asked: set[str] = set()
        """Keys that were added or asked about since `let_go` was last called."""
        self._unread: set[str] = set()
        """Keys of lists that are there and could not be read when that was last tried."""

    @property
    def in_doubt(self) -> bool:
        """Tell whether an attempt that is not found may all the same be in a list."""
        return bool(self._unread)

    def add(self, key: str, label: str, members: Sequence[tuple[str, str]]) -> None:
        """Take in a submission: tokens and folders of its members, in their order."""
        size = len(members)
        with self._lock:
            self._arrays.pop(key, None)
            self._asked.add(key)
            self._left[key] = {token for token, _ in members}
            for index, (token, path) in enumerate(members):
                self._places[token] = Place(key=key, index=index, size=size, path=path, label=label)

    def get(self, token: str) -> Place | None:
        """Say where an attempt stands; `None` if it was never written down here."""
        return self.find([token]).get(token)

    def find(self, tokens: Sequence[str]) -> Mapping[str, Place]:
        """Say where attempts stand; those that were never written down here are left out."""
        with self._lock:
            missing = [token for token in tokens if token not in self._places]
            if missing:
                self._load(missing)
            found = {token: place for token in tokens if (place := self._places.get(token))}
            self._asked.update({place.key for place in found.values()})
        return found

    def forget(self, tokens: Sequence[str]) -> None:
        """Let go of attempts for ever, and of submissions of which none is left."""
        with self._lock:
            for token, place in self.find(tokens).items():
                del self._places[token]
                left = self._left[place.key]
                left.discard(token)
                if left:
                    self._strike(place)
                    continue
                del self._left[place.key]
                self._asked.discard(place.key)
                for ending in _OF_A_LIST:
                    with suppress(FileNotFoundError):
                        os.unlink(os.path.join(self._folder, place.key + ending))  # noqa: PTH108, PTH118

    def let_go(self) -> None:
        """Take out of memory what nobody asked about since the last call."""
        with self._lock:
            for key in self._left.keys() - self._asked:
                left = self._left.pop(key)
                for token in left:
                    del self._places[token]
                if left != {key}:
                    self._arrays[key] = array("q", map(hash, left))
            self._asked = set()

    def _strike(self, place: Place) -> None:
        """Let a task never be run any more, also where its folder is gone."""
        path = self._folder / f"{place.key}{LIST}{wrapper.STRUCK}"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{place.index}\n")

    # What is on the disk

    def _load(self, tokens: Sequence[str]) -> None:
        """Read the lists that these tokens are in."""
        for key in sorted(self._unread):
            self._read(key)
        for token in tokens:
            if token not in self._places and token not in self._left:
                self._read(token)
        hashes = {hash(token) for token in tokens if token not in self._places}
        if hashes and not self._has_read:
            self._read_arrays()
        # All in one pass: searched for one by one, ten thousand unknown ones take minutes.
        wanted = [key for key, some in self._arrays.items() if not hashes.isdisjoint(some)]
        for key in wanted:
            self._read(key)

    def _read_arrays(self) -> None:
        """Learn who is in the arrays that earlier engines have written."""
        names: list[str] = []
        with suppress(FileNotFoundError):
            names = [path.name for path in self._folder.iterdir()]
        for key in [name.removesuffix(LIST) for name in names if name.endswith(LIST)]:
            if key in self._left or key in self._arrays:
                continue
            try:
                _, members = _members(self._folder / f"{key}{LIST}")
            except OSError:
                self._unread.add(key)
                continue
            if len(members) > 1:
                self._arrays[key] = array("q", (hash(token) for token, _ in members))
        self._has_read = True

    def _read(self, key: str) -> None:
        """Read a list, if there is one of this name."""
        path = self._folder / f"{key}{LIST}"
        self._unread.discard(key)
        try:
            label, members = _members(path)
            struck = _struck(path)
        except ValueError:
            return
        except OSError:
            self._unread.add(key)
            return
        if not members:
            return
        self.add(key, label, members)
        for index in struck.intersection(range(len(members))):
            token = members[index][0]
            del self._places[token]
            self._left[key].discard(token)


def _members(path: Path) -> tuple[str, list[tuple[str, str]]]:
    """Read the head of a list; a damaged one says nothing, and its jobs are in none.

    Raises:
        OSError: It is there, or may be, and cannot be read now.
    """
    try:
        with path.open("rb") as file:
            head: Any = json.loads(file.readline())
        rows: list[tuple[Any, Any]] = head["members"]
        return str(head.get("label", "")), [(str(token), _path(folder)) for token, folder in rows]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return "", []


def _path(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _struck(path: Path) -> frozenset[int]:
    """Read which tasks of a list were forgotten."""
    try:
        text = path.with_name(path.name + wrapper.STRUCK).read_text("ascii")
    except FileNotFoundError:
        return frozenset()
    return frozenset(map(int, text.split()))

"""How far instances are, as their own output tells it."""

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import define, field

from drover_qarnot.server._config import PROGRESS
from drover_qarnot.server._matching import NoPatternError, TooLongError, matched
from drover_qarnot.server._output import STREAMS, file_of, read_from
from drover_qarnot.server._processes import Birth

FRESH_S: Final = 1.0
"""Between two looks at the output of one task."""
MOST_READ: Final = 256 << 10
"""Bytes of a stream that are looked through, the latest."""
MATCH_S: Final = 2.0
"""How long all new lines of a task may take to be matched."""
_MATCHER: Final = """
import json, re, sys
asked = json.load(sys.stdin)
patterns = [re.compile(one) for one in asked["patterns"]]
def last(text):
    for line in reversed(text.splitlines()):
        for pattern in patterns:
            found = pattern.search(line)
            if found:
                return list(found.groups() or [found.group()])
    return []
json.dump([last(text) for text in asked["texts"]], sys.stdout)
"""


@define
class _Mark:
    """Where the output of an instance was left, and what it had told."""

    birth: Birth
    offsets: list[int]
    percent: float = 0.0


@define
class _Seen:
    at: float = float("-inf")
    marks: dict[int, _Mark] = field(factory=dict[int, _Mark])
    hopeless: bool = False
    """Whether the patterns take too long."""
    turn: threading.Lock = field(factory=threading.Lock)


def patterns_of(constants: Mapping[str, str]) -> list[str]:
    """Give the patterns among the constants of a task."""
    return [constants[name] for name in PROGRESS if constants.get(name)]


def percent_of(groups: Sequence[str | None]) -> float | None:
    """Read a match: its one group is a percentage, of two the first is so many of the second.

    Returns:
        0 to 100; `None` for what is no number.
    """
    try:
        numbers = [float(text) for text in groups if text is not None]
        share = numbers[0] if len(numbers) < 2 else 100.0 * numbers[0] / numbers[1]
    except (ValueError, IndexError, ZeroDivisionError):
        return None
    # A comparison with NaN is false.
    return min(100.0, share) if share >= 0.0 else None


class Progress:
    """Read the progress of running instances, new lines alone and at most once a second."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._seen: dict[str, _Seen] = {}

    def of(
        self, uuid: str, folder: Path, patterns: Sequence[str], births: Mapping[int, Birth]
    ) -> dict[int, float]:
        """Tell the percentage of each instance of a task that has told one."""
        if not patterns or not births:
            return {}
        seen = self._of(uuid)
        with seen.turn:
            if time.monotonic() - seen.at >= FRESH_S and not seen.hopeless:
                self._look(seen, folder, patterns, births)
                seen.at = time.monotonic()
            return {
                one: mark.percent
                for one, mark in seen.marks.items()
                if births.get(one) == mark.birth
            }

    def forget(self, uuid: str) -> None:
        """Take a task out of memory that has ended."""
        with self._turn:
            self._seen.pop(uuid, None)

    def _of(self, uuid: str) -> _Seen:
        with self._turn:
            return self._seen.setdefault(uuid, _Seen())

    def _look(
        self, seen: _Seen, folder: Path, patterns: Sequence[str], births: Mapping[int, Birth]
    ) -> None:
        seen.marks = {one: mark for one, mark in seen.marks.items() if one in births}
        texts: list[str] = []
        marks: list[_Mark] = []
        for one, birth in births.items():
            mark = seen.marks.get(one)
            if mark is None or mark.birth != birth:
                mark = seen.marks[one] = _Mark(birth, [birth.stdout, birth.stderr])
            for number, stream in enumerate(STREAMS):
                data, start = read_from(
                    file_of(folder, stream, one), mark.offsets[number], MOST_READ
                )
                # A line that is not whole yet waits for the next look.
                data = data[: max(data.rfind(b"\n"), data.rfind(b"\r")) + 1]
                if data:
                    mark.offsets[number] = start + len(data)
                    texts.append(data.decode("utf-8", "replace"))
                    marks.append(mark)
        found = _matched(patterns, texts)
        seen.hopeless = found is None
        told: dict[int, float] = {}
        for mark, groups in zip(marks, found or (), strict=False):
            percent = percent_of(groups)
            if percent is not None:
                # Where both streams have told something new, nobody knows which was later.
                mark.percent = told[id(mark)] = max(percent, told.get(id(mark), 0.0))


def _matched(patterns: Sequence[str], texts: Sequence[str]) -> list[list[str | None]] | None:
    """Match users' patterns.

    Returns:
        The groups of the last match in each text; `None`: it took too long, or is no pattern.
    """
    if not texts:
        return []
    asked = {"patterns": patterns, "texts": texts}
    try:
        found: list[list[str | None]] = matched(_MATCHER, asked, MATCH_S)
    except (TooLongError, NoPatternError):
        return None
    return found

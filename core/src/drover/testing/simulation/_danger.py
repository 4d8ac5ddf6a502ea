"""Where a process may be killed, paused or refused by its disk, and whether it is."""

import random
from collections import Counter
from enum import StrEnum
from typing import Final

from attrs import frozen


class Point(StrEnum):
    """An instant at which a process may be stopped."""

    BEGIN = "begin"
    """Before a transaction that writes."""
    WRITE = "write"
    """Before a statement inside one."""
    COMMIT = "commit"
    """Before its commit."""
    COMMITTED = "committed"
    """After its commit, of which the process has not learned yet."""
    CALL = "call"
    """Before a call of a backend."""
    ROW = "row"
    """In a call, before one of its rows: those before it have been carried out."""
    ANSWER = "answer"
    """After a call was carried out, before the engine has its answer."""


CALL_WEIGHT: Final = 4.0
"""Points at calls are that much more dangerous: there are fewer of them than of store writes."""
STORE: Final = frozenset({Point.BEGIN, Point.WRITE, Point.COMMIT, Point.COMMITTED})


class Fate(StrEnum):
    """What becomes of a process at a point."""

    GO_ON = "goes on"
    KILLED = "killed"
    PAUSED = "paused"
    FAILED = "failed"
    """A store write is refused, as on a full disk; a call breaks off."""


class ProcessKilled(BaseException):
    """The process ends here, as by `kill -9`. Unwinds its thread."""


@frozen(kw_only=True)
class Danger:
    """How often what happens at a point: probabilities from 0 to 1."""

    kill: float = 0.0
    pause: float = 0.0
    fail: float = 0.0

    @classmethod
    def drawn(cls, chance: random.Random) -> "Danger":
        """Draw one in which each kind is there or not, seldom or often."""
        return cls(
            kill=chance.choice((0.0, 0.002, 0.01, 0.03)),
            pause=chance.choice((0.0, 0.002, 0.01, 0.03)),
            fail=chance.choice((0.0, 0.0, 0.005, 0.02)),
        )


class Dice:
    """Decide at each point, and count."""

    def __init__(self, chance: random.Random, danger: Danger, counts: Counter[str]) -> None:
        self._chance = chance
        self._counts = counts
        self.danger = danger

    def fate(self, point: Point, *, may_pause: bool = True) -> Fate:
        """Say what happens at a point."""
        danger = self.danger
        # Inside a transaction SQLite's lock would be held all the while, and nobody gets on.
        may_pause = may_pause and point not in (Point.WRITE, Point.COMMIT, Point.ROW)
        rolled = self._chance.random()
        if point not in STORE:
            rolled /= CALL_WEIGHT
        for fate, probability in (
            (Fate.KILLED, danger.kill),
            (Fate.PAUSED, danger.pause if may_pause else 0.0),
            (Fate.FAILED, danger.fail if point in STORE or point is Point.ROW else 0.0),
        ):
            if rolled < probability:
                self._counts[f"{fate} at {point}"] += 1
                return fate
            rolled -= probability
        return Fate.GO_ON

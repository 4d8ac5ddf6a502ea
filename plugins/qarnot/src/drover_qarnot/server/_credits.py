"""What accounts may spend and have spent, where the home sets a price."""

import sqlite3
from typing import Final

from drover_qarnot.server._config import Credits
from drover_qarnot.server._database import Database
from drover_qarnot.server._errors import ApiError

HOUR_S: Final = 3600.0


class Purse:
    """Tell what things have cost, and refuse more to who has nothing left.

    What is kept are seconds of processors, when an instance is taken in; the price is the home's.
    """

    def __init__(self, credits_: Credits | None, database: Database) -> None:
        self._credits = credits_
        self._database = database

    def _euros(self, row: sqlite3.Row | None) -> float:
        price = self._credits.core_hour if self._credits else 0.0
        return price * float(row["core_s"] if row is not None else 0.0) / HOUR_S

    def left(self, owner: str) -> float | None:
        """Tell how many euros an account may still spend; `None`: there is no limit."""
        if self._credits is None:
            return None
        given = self._credits.accounts.get(owner, self._credits.each)
        if given is None:
            return None
        row = self._database.first("SELECT core_s FROM spent WHERE owner = ?", owner)
        return given - self._euros(row)

    def check(self, owner: str) -> None:
        """Refuse what would be paid by an account that has nothing left.

        Raises:
            ApiError: 402.
        """
        left = self.left(owner)
        if left is not None and left <= 0.0:
            raise ApiError(402, f"not enough credits: {owner} has {left:.2f} euros left")

    def cost_of_task(self, uuid: str) -> float:
        """Tell what the ended instances of a task have cost."""
        return self._euros(self._database.first(f"{_SPENT} WHERE task = ?", uuid))

    def cost_of_pool(self, uuid: str) -> float:
        """Tell what the ended instances of a pool's tasks have cost."""
        return self._euros(
            self._database.first(
                f"{_SPENT} JOIN tasks ON tasks.uuid = instances.task WHERE tasks.pool = ?", uuid
            )
        )


_SPENT: Final = (
    "SELECT coalesce(sum(json_extract(body, '$.execTimeSec') * "
    "json_extract(body, '$.coreCount')), 0.0) AS core_s FROM instances"
)

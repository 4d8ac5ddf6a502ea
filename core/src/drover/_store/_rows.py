"""Many rows of one table by few statements: half of what a statement for each takes."""

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

TOGETHER: Final = (32, 8)
"""Rows in one statement; more of them gain nothing, and every Python's SQLite takes so many."""


def insert(sql: sqlite3.Connection, into: str, values: str, rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows in their order.

    Args:
        sql: Where to.
        into: The statement up to its `VALUES`, which comes with it.
        values: What follows for one row, in parentheses.
        rows: The parameters of each.
    """
    start = 0
    for size in TOGETHER:
        statement = into + ", ".join([values] * size)
        while len(rows) - start >= size:
            sql.execute(statement, list(chain.from_iterable(rows[start : start + size])))
            start += size
    sql.executemany(into + values, rows[start:])

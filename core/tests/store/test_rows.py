"""Rows that are inserted together."""

import sqlite3

import pytest

from drover._store import _rows


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 31, 32, 33, 39, 40, 41, 100])
def test_every_row_is_inserted_in_its_place(count: int) -> None:
    """Whatever is left over when statements of many are full."""
    sql = sqlite3.connect(":memory:")
    sql.execute("CREATE TABLE t (seq INTEGER PRIMARY KEY AUTOINCREMENT, a, b)")
    rows = [(k, f"'{k}") for k in range(count)]

    _rows.insert(sql, "INSERT INTO t (a, b) VALUES ", "(?, ?)", rows)

    assert sql.execute("SELECT a, b FROM t ORDER BY seq").fetchall() == rows
    sql.close()


def test_few_statements_are_made() -> None:
    """A statement for each row would cost twice as much."""
    sql = sqlite3.connect(":memory:", isolation_level=None)
    sql.execute("CREATE TABLE t (a)")
    made: list[str] = []
    sql.set_trace_callback(made.append)

    _rows.insert(sql, "INSERT INTO t VALUES ", "(?)", [(k,) for k in range(75)])

    assert len(made) == 2 + 1 + 3
    sql.close()

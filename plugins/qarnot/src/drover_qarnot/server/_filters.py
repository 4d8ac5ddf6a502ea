"""Pages and filters: from the API's trees to SQL, every value as a parameter."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from attrs import frozen

from drover_qarnot.server._database import Database
from drover_qarnot.server._errors import ApiError, invalid
from drover_qarnot.server._results import FilterError, chosen

Json = dict[str, Any]
DEEPEST: Final = 20
MOST_LEAVES: Final = 200
_COMPARE: Final = {
    "equal": "IS",
    "notequal": "IS NOT",
    "lessthan": "<",
    "lessthanorequal": "<=",
    "greaterthan": ">",
    "greaterthanorequal": ">=",
}
_COMMON: Final = {
    "uuid": "uuid",
    "name": "name",
    "shortname": "shortname",
    "state": "state",
    "previousstate": "previous_state",
    "creationdate": "created_at",
    "lastmodified": "modified_at",
    "statetransitiontime": "state_at",
}
COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    "tasks": {
        **_COMMON, "profile": "profile", "pooluuid": "pool", "jobuuid": "job",
        "instancecount": "size", "enddate": "ended_at",
    },
    "pools": {**_COMMON, "profile": "json_extract(asked, '$.profile')", "enddate": "ended_at"},
    "jobs": {**_COMMON, "pooluuid": "pool"},
}  # fmt: skip
_LISTS: Final = {
    "tags": "SELECT value FROM json_each(asked, '$.tags')",
    "dependencies.dependson": (
        "SELECT value FROM json_each(asked, '$.dependencies.dependsOn') UNION ALL "
        "SELECT json_extract(value, '$.taskUuid') "
        "FROM json_each(asked, '$.dependencies.advancedDependsOn')"
    ),
}


@frozen(kw_only=True)
class PageAsked:
    """The body of a request for a page."""

    filter: Any = None
    token: str | None = None
    maximum_results: int | None = None


class Compiler:
    """Write one filter as a condition."""

    def __init__(self, database: Database, table: str, owner: str) -> None:
        self._database = database
        self._table = table
        self._owner = owner
        self._leaves = 0
        self.values: list[Any] = []

    def write(self, given: object, depth: int = 0) -> str:
        """Write a tree.

        Raises:
            ApiError: 400, it is none.
        """
        if not isinstance(given, dict) or depth > DEEPEST:
            raise invalid("filter", f"an object, at most {DEEPEST} deep")
        node = {str(k).lower(): v for k, v in cast("Mapping[object, object]", given).items()}
        operator = str(node.get("operator", "")).lower()
        if operator in {"and", "or"}:
            inner = node.get("filters")
            if not isinstance(inner, list):
                raise invalid("filter", "And and Or have a list of filters")
            terms = [self.write(one, depth + 1) for one in cast("list[object]", inner)]
            if not terms:
                return "1" if operator == "and" else "0"
            return "(" + f" {operator.upper()} ".join(terms) + ")"
        self._leaves += 1
        if self._leaves > MOST_LEAVES:
            raise invalid("filter", f"at most {MOST_LEAVES} conditions")
        name = str(node.get("field", "")).lower()
        if (name in _LISTS and self._table != "jobs") or name == "tags":
            return self._of_list(_LISTS[name], operator, node)
        column = COLUMNS[self._table].get(name)
        if column is None:
            raise invalid("filter", f"no field {str(node.get('field'))[:80]!r}")
        return self._of_column(column, operator, node)

    def _many(self, node: Mapping[str, object]) -> str:
        given = node.get("values", node.get("value"))
        many = cast("list[object]", given) if isinstance(given, list) else [given]
        return json.dumps([_plain(one) for one in many])

    def _of_list(self, select: str, operator: str, node: Mapping[str, object]) -> str:
        if operator in {"equal", "notequal"}:
            self.values.append(_plain(node.get("value")))
            term = f"? IN ({select})"
            return f"NOT {term}" if operator == "notequal" else term
        if operator in {"in", "notin"}:
            self.values.append(self._many(node))
            term = (
                f"EXISTS (SELECT 1 FROM ({select}) WHERE value IN (SELECT value FROM json_each(?)))"
            )
            return f"NOT {term}" if operator == "notin" else term
        if operator == "like":
            matched = self._matched(
                f"SELECT DISTINCT each.value AS x FROM {self._table}, "
                "json_each(asked, '$.tags') AS each WHERE owner = ?",
                node,
            )
            self.values.append(matched)
            return (
                f"EXISTS (SELECT 1 FROM ({select}) WHERE value IN (SELECT value FROM json_each(?)))"
            )
        raise invalid("filter", f"no operator {operator[:40]!r} for lists")

    def _of_column(self, column: str, operator: str, node: Mapping[str, object]) -> str:
        to_sql: Callable[[object], Any] = _instant if column.endswith("_at") else _plain
        if operator in _COMPARE:
            self.values.append(to_sql(node.get("value")))
            return f"{column} {_COMPARE[operator]} ?"
        if operator in {"in", "notin"}:
            self.values.append(self._many(node))
            word = "NOT IN" if operator == "notin" else "IN"
            return f"{column} {word} (SELECT value FROM json_each(?))"
        if operator == "like":
            query = f"SELECT DISTINCT {column} AS x FROM {self._table} WHERE owner = ?"
            self.values.append(self._matched(query, node))
            return f"{column} IN (SELECT value FROM json_each(?))"
        raise invalid("filter", f"no operator {operator[:40]!r}")

    def _matched(self, query: str, node: Mapping[str, object]) -> str:
        """Match a user's regular expression outside this process, where it can be ended."""
        pattern = str(node.get("value") or "")
        if len(pattern) > 2048:
            raise invalid("filter", "a regular expression has at most 2048 characters")
        rows = self._database.read(query, self._owner)
        known = [str(row["x"]) for row in rows if row["x"] is not None]
        try:
            return json.dumps(chosen(known, pattern, None))
        except FilterError as exc:
            raise invalid("filter", str(exc)) from exc


def _plain(value: object) -> str | int | float | None:
    if value is None or isinstance(value, str | int | float):
        return value
    raise invalid("filter", "a value is text or a number")


def _instant(value: object) -> float | None:
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            raise invalid("filter", f"{value[:40]!r} is no instant") from None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, int | float) or value is None:
        return value
    raise invalid("filter", "an instant is text")


def page(
    database: Database, table: str, owner: str, asked: PageAsked, *, default: int, largest: int
) -> tuple[list[sqlite3.Row], Json]:
    """Read one page, newest first.

    Returns:
        Rows, and the page's frame without its data.

    Raises:
        ApiError: 400, the filter or the token cannot be used.
    """
    size = asked.maximum_results if asked.maximum_results is not None else default
    if size < 1:
        raise invalid("maximumResults", "1 or more")
    size = min(size, largest)
    compiler = Compiler(database, table, owner)
    condition = "1" if asked.filter is None else compiler.write(asked.filter)
    before = 1 << 62
    if asked.token:
        if not asked.token.isdigit() or len(asked.token) > 18:
            raise invalid("token", "not one of this server's")
        before = int(asked.token)
    visible = "wanted <> 'delete'" if table == "tasks" else VISIBLE[table]
    try:
        rows = database.read(
            f"SELECT * FROM {table} WHERE owner = ? AND n < ? AND {visible} AND {condition} "
            "ORDER BY n DESC LIMIT ?",
            owner, before, *compiler.values, size + 1,
        )  # fmt: skip
    except (sqlite3.OperationalError, OverflowError) as exc:
        raise ApiError(400, f"the filter cannot be used: {exc}") from exc
    more = len(rows) > size
    rows = rows[:size]
    frame = {
        "token": asked.token,
        "nextToken": str(rows[-1]["n"]) if more else None,
        "isTruncated": more,
        "count": len(rows),
    }
    return rows, frame


VISIBLE: Final = {"pools": "state <> 'PendingDelete'", "jobs": "state <> 'Deleting'"}

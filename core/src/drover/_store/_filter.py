"""Which jobs are meant, as a condition of SQL."""

from typing import Any

from attrs import frozen

from drover.states import State


@frozen(kw_only=True)
class JobFilter:
    """Which jobs are meant. `None`: any."""

    states: tuple[State, ...] | None = None
    tag: str | None = None
    name: str | None = None
    backend: str | None = None
    array: str | None = None

    def where(self) -> tuple[str, list[Any]]:
        """Write the condition and its parameters."""
        terms, values = ["1"], list[Any]()
        if self.states is not None:
            terms.append(f"jobs.state IN ({marks(len(self.states))})")
            values.extend(state.value for state in self.states)
        if self.tag is not None:
            terms.append("jobs.n IN (SELECT n FROM tags WHERE tag = ?)")
            values.append(as_sql(self.tag))
        for column, wanted in (
            ("name", self.name),
            ("backend", self.backend),
            ("array_id", self.array),
        ):
            if wanted is not None:
                terms.append(f"jobs.{column} = ?")
                values.append(as_sql(wanted))
        return " AND ".join(terms), values


def as_sql(text: str) -> str:
    """Write what is no Unicode (lone surrogates) as escapes: SQLite holds UTF-8 alone."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def marks(count: int) -> str:
    """Write the places of parameters."""
    return ",".join("?" * count)

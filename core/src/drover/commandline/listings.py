"""A scheduler's listing, asked for one job after the other."""

from collections.abc import Iterable

from drover.commandline.scheduler import Known, Row


class Listing:
    """Rows by native id. A line that stands for many elements of an array stays one."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows: dict[str, Row] = {}
        self._arrays: dict[str, list[Row]] = {}
        for row in rows:
            if row.indices:
                self._arrays.setdefault(row.native_id, []).append(row)
            else:
                self._rows[row.native_id] = row

    def find(self, known: Known) -> Row | None:
        """Give the row of an attempt, `None` if it is not listed.

        A native id alone is no identity: it may have been handed out again, so the key of the
        submission must agree wherever the row tells it.
        """
        own = self._rows.get(known.native_id)
        if own is not None:
            return own if own.key in ("", known.key) else None
        for row in self._arrays.get(known.submission, ()):
            if row.key in ("", known.key) and any(known.index in part for part in row.indices):
                return row
        return None

    def submissions(self) -> dict[str, str]:
        """Give the id of each submission by its key, as far as the rows tell."""
        rows = [*self._rows.values(), *(row for rows in self._arrays.values() for row in rows)]
        return {row.key: row.submission or row.native_id for row in rows if row.key}

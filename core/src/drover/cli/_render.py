"""Draw tables: with rich on a terminal, as aligned plain columns elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from drover.cli._terminal import OutputFilter, is_terminal, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console
    from rich.table import Table as RichTable

    from drover.states import State

STYLES: Final = {
    "SUCCEEDED": "green",
    "FAILED": "red",
    "CANCELLED": "yellow",
    "LOST": "bold red",
    "RUNNING": "cyan",
    "SUSPENDED": "magenta",
    "ok": "green",
    "warning": "yellow",
    "error": "red",
    "honoured": "green",
    "emulated": "cyan",
    "ignored": "yellow",
    "refused": "red",
}
"""The colour of a cell that is one of these words."""
_GAP: Final = "  "
# What an elastic column keeps on a narrow terminal.
_NARROWEST: Final = 8


def console(*, stderr: bool = False) -> Console:
    """Make a console that interprets nothing in the text it is given."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


class Table:
    """Rows of text under headings; every cell is made safe for a terminal."""

    def __init__(
        self,
        *headings: str,
        right: frozenset[str] = frozenset(),
        elastic: frozenset[str] | None = None,
        fold: bool = True,
    ) -> None:
        """Make an empty table.

        Args:
            headings: Of the columns.
            right: Headings of columns that are aligned to the right.
            elastic: Headings of columns that give way on a narrow terminal; the others keep
                their width. `None`: the last.
            fold: Whether elastic cells go on in a line below, or are cut.
        """
        self._headings, self._right, self._fold = headings, right, fold
        self._elastic = frozenset(headings[-1:]) if elastic is None else elastic
        self._rows: list[tuple[str, ...]] = []

    def row(self, *cells: object) -> None:
        """Add a row; `None` is an empty cell."""
        self._rows.append(tuple("" if cell is None else shown(str(cell)) for cell in cells))

    def __len__(self) -> int:
        return len(self._rows)

    def rich(self, width: int) -> RichTable:
        """Draw for a terminal of so many columns."""
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(
            box=None, pad_edge=False, padding=(0, len(_GAP), 0, 0), header_style="bold"
        )
        for heading, chosen in zip(self._headings, self._widths(width), strict=True):
            elastic = heading in self._elastic
            table.add_column(
                heading,
                justify="right" if heading in self._right else "left",
                no_wrap=not (elastic and self._fold),
                overflow="fold" if elastic and self._fold else "ellipsis",
                width=chosen,
            )
        for row in self._rows:
            table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
        return table

    def _widths(self, width: int) -> list[int]:
        """Share out the columns: the widest of the elastic ones give way first."""
        from rich.cells import cell_len

        columns = zip(self._headings, *self._rows, strict=True)
        widths = [max(map(cell_len, column)) for column in columns]
        elastic = [
            index
            for index, heading in enumerate(self._headings)
            if heading in self._elastic and widths[index] > _NARROWEST
        ]
        over = sum(widths) + len(_GAP) * len(widths) - width
        while over > 0 and elastic:
            widest = max(elastic, key=widths.__getitem__)
            widths[widest] -= 1
            over -= 1
            if widths[widest] == _NARROWEST:
                elastic.remove(widest)
        return widths

    def plain(self) -> str:
        """Draw for a file or a pipe: nothing is cut."""
        rows = [self._headings, *self._rows]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            _GAP.join(
                cell.rjust(width) if heading in self._right else cell.ljust(width)
                for cell, width, heading in zip(row, widths, self._headings, strict=True)
            ).rstrip()
            for row in rows
        )
        return "\n".join(lines)

    def print(self) -> None:
        """Write it to stdout as fits there."""
        if is_terminal():
            screen = console()
            screen.print(self.rich(screen.width))
        else:
            click.echo(self.plain())


def heading(text: str) -> None:
    """Write a title line, with a blank line before it."""
    click.echo(f"\n{shown(text)}")


def pairs(rows: list[tuple[str, object]]) -> None:
    """Write names and values in two columns; rows without a value are left out."""
    told = [(name, str(value)) for name, value in rows if value not in (None, "")]
    width = max((len(name) for name, _ in told), default=0)
    for name, value in told:
        click.echo(f"{name:<{width}}  {shown(value)}")


def write_lines(text: str) -> None:
    """Write text of several lines, indented, its control characters shown."""
    safe = OutputFilter().feed(text.encode("utf-8", "surrogateescape"), final=True)
    for line in safe.splitlines():
        click.echo(f"  {line}")


def count_line(counts: Mapping[State, int]) -> str:
    """Sum jobs up by state: `12 jobs: 3 RUNNING, 9 SUCCEEDED`."""
    from drover.states import State

    total = sum(counts.values())
    parts = [f"{counts[state]} {state}" for state in State if counts.get(state)]
    noun = "job" if total == 1 else "jobs"
    return f"{total} {noun}" + (": " + ", ".join(parts) if parts else "")


def span(seconds: float | None) -> str:
    """Write a duration in its two largest units: `850ms`, `4.2s`, `3m05s`, `2h10m`, `4d03h`."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02d}m"
    return f"{hours // 24}d{hours % 24:02d}h"


def size(count: float | None) -> str:
    """Write bytes in binary units: `512 B`, `1.5 GiB`."""
    if count is None:
        return ""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def moment(at: float | None) -> str:
    """Write an instant in the reader's own time zone, with its offset."""
    from datetime import UTC, datetime

    if at is None:
        return ""
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")

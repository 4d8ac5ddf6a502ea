"""How the demo is watched: bars on a terminal, lines elsewhere, a table at the end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol, Self

import click

from drover.cli._render import Table, console, span
from drover.cli._terminal import is_terminal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from rich.progress import Progress, TaskID

    from drover.cli._demo import Part, Result


class View(Protocol):
    """Shows how far the demo is."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def draw(self, parts: Sequence[Part], pending: Collection[str]) -> None:
        """Show the parts, given the ids of the jobs that have not ended."""
        ...


class NoView:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Leave nothing."""

    def draw(self, parts: Sequence[Part], pending: Collection[str]) -> None:
        """Show nothing."""


class LineView(NoView):
    """Writes a line when a kind is done."""

    def __init__(self) -> None:
        self._done: set[str] = set()

    def draw(self, parts: Sequence[Part], pending: Collection[str]) -> None:
        """Name the kinds that are done now and were not before."""
        for part in parts:
            left = sum(job.id in pending for job in part.jobs)
            if not left and part.kind.name not in self._done:
                self._done.add(part.kind.name)
                click.echo(
                    f"{part.kind.name}: {len(part.jobs)} ended ({part.kind.title})", err=True
                )


class BarView:
    """Draws a bar per kind."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._progress: Progress = Progress(
            TextColumn("{task.fields[kind]:<10}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            console=console(stderr=True),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._progress.stop()

    def draw(self, parts: Sequence[Part], pending: Collection[str]) -> None:
        """Move the bars."""
        for part in parts:
            name, total = part.kind.name, len(part.jobs)
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(part.kind.title, total=total, kind=name)
            left = sum(job.id in pending for job in part.jobs)
            self._progress.update(self._tasks[name], completed=total - left)


def view_for(*, quiet: bool) -> View:
    """Choose how to show the demo: what is drawn goes to stderr."""
    if quiet:
        return NoView()
    return BarView() if is_terminal(sys.stderr) else LineView()


def show_results(
    results: Sequence[Result], checks: Mapping[str, bool], seconds: float, *, ok: bool
) -> None:
    """Write the closing table."""
    table = Table(
        *("KIND", "JOBS", "WHAT", "EXPECTED", "TRUE OUTCOME", ""),
        right=frozenset({"JOBS"}),
        elastic=frozenset({"WHAT", "EXPECTED", "TRUE OUTCOME"}),
    )
    for result in results:
        told = ", ".join(_counted(text, count, result) for text, count in result.outcomes.items())
        row: tuple[Any, ...] = (result.kind.name, len(result.records), result.kind.title)
        table.row(*row, result.kind.expected.text, told, "ok" if result.ok else "WRONG")
    table.print()
    for text, good in checks.items():
        click.echo(f"{'ok' if good else 'WRONG':<6} {text}")
    jobs = sum(len(result.records) for result in results)
    verdict = "every one ended as it had to" if ok else "NOT every one ended as it had to"
    click.echo(f"{jobs} jobs in {span(seconds)}: {verdict}")


def _counted(text: str, count: int, result: Result) -> str:
    return text if len(result.records) == 1 else f"{count} {text}"

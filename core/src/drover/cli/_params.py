"""The kinds of values that options take, with their shell completion."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from drover.cli._settings import Settings

if TYPE_CHECKING:
    from drover.models import Array, Dependency, Transfer
    from drover.session import Session

    _TextType = click.ParamType[str]
    _PairType = click.ParamType[tuple[str, str]]
    _TransferType = click.ParamType[Transfer]
    _DependencyType = click.ParamType[Dependency]
    _ArrayType = click.ParamType[Array]
else:
    # Before click 8.4 these are not generic, and for a type checker alone they need to be.
    _TextType = _PairType = _TransferType = _DependencyType = _ArrayType = click.ParamType

# More would scroll the prompt away.
_OFFERED: Final = 50


def _offers(
    context: click.Context, find: Callable[[Session], list[CompletionItem]]
) -> list[CompletionItem]:
    """Ask the store for completions; a store that cannot be opened offers none."""
    from drover.errors import DroverError

    settings = context.find_object(Settings) or Settings()
    try:
        with settings.open(engine="none") as session:
            return find(session)
    except (DroverError, OSError):
        return []


def seconds_of(option: str, text: str | None) -> float | None:
    """Read a duration that may be none at all: 0 is one, too."""
    from drover.models import parse_seconds

    if text is None:
        return None
    return 0.0 if text in {"0", "0s"} else parse_seconds(option, text)


class JobId(_TextType):
    """An id, which may be shortened."""

    name = "id"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer the newest jobs, with name and state."""
        del param

        def find(session: Session) -> list[CompletionItem]:
            return [
                CompletionItem(job.id, help=f"{job.name} {job.state}")
                for job in session.jobs(newest=_OFFERED)
                if job.id.startswith(incomplete)
            ]

        return _offers(ctx, find)


class BackendName(_TextType):
    """The name of a backend."""

    name = "name"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer what is installed or configured."""
        del param

        def find(session: Session) -> list[CompletionItem]:
            return [
                CompletionItem(info.name)
                for info in session.backends()
                if info.name.startswith(incomplete)
            ]

        return _offers(ctx, find)


class Pair(_PairType):
    """Two words with a sign between them, such as `NAME=VALUE`."""

    name = "pair"

    def __init__(self, sign: str, form: str) -> None:
        self.sign, self.form = sign, form

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Split at the first sign."""
        left, sign, right = str(value).partition(self.sign)
        if not sign or not left:
            self.fail(f"{value!r} has not the form {self.form}", param, ctx)
        return left, right


class TransferPair(_TransferType):
    """`SOURCE:TARGET`."""

    name = "transfer"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Transfer:
        """Split at the last colon, as a source may be a URL."""
        from drover.models import Transfer

        if isinstance(value, Transfer):
            return value
        source, _, target = str(value).rpartition(":")
        if not source or not target:
            self.fail(f"{value!r} has not the form SOURCE:TARGET", param, ctx)
        return Transfer(source=source, target=target)


class AfterJob(_DependencyType):
    """`ID`, or `ID:succeeded`, `ID:failed`, `ID:ended`."""

    name = "dependency"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Dependency:
        """Read the id and its condition."""
        from drover.models import Condition, Dependency

        if isinstance(value, Dependency):
            return value
        job, _, word = str(value).partition(":")
        words = [condition.value for condition in Condition]
        if not job or (word and word not in words):
            self.fail(f"{value!r} has not the form ID or ID:{'|'.join(words)}", param, ctx)
        return Dependency(job=job, condition=Condition(word or "succeeded"))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Offer ids."""
        return JobId().shell_complete(ctx, param, incomplete)


class ArrayIndices(_ArrayType):
    """`0-9`, `0-9:3`, `1,4,7`, `20` (0 to 19), each with `%2` for two at a time."""

    name = "indices"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Array:
        """Read indices and limit."""
        from drover.models import Array

        if isinstance(value, Array):
            return value
        listed, _, limit = str(value).partition("%")
        try:
            return Array(indices=_indices(listed), max_running=int(limit) if limit else None)
        except ValueError:
            self.fail(
                f"{value!r} has not the form 0-9, 0-9:3, 1,4,7 or 20, with %N for at most N "
                "at a time",
                param,
                ctx,
            )


def _indices(text: str) -> Iterable[int]:
    """Read a count, a range or a list.

    Raises:
        ValueError: It is none of them.
    """
    if text.isdecimal():
        return range(int(text))
    parts = [_span(part) for part in text.split(",")]
    if len(parts) == 1:
        return parts[0]
    # A generator: it is read to its end only where that is not too far.
    return (index for part in parts for index in part)


def _span(text: str) -> range:
    bounds, _, step = text.partition(":")
    first, dash, last = bounds.partition("-")
    return range(int(first), int(last if dash else first) + 1, int(step or 1))

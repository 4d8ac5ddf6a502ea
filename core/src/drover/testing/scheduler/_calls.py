"""One command that somebody ran, and what it answered."""

import math
from collections.abc import Callable, Iterable, Mapping

from attrs import evolve, field, frozen


def _no_input() -> bytes:
    return b""


@frozen(kw_only=True)
class Call:
    """A command line as it reached the scheduler."""

    argv: tuple[str, ...]
    """As given; bytes that are not UTF-8 as Python's `surrogateescape` has them."""
    environment: Mapping[str, str]
    cwd: str
    user: str
    uid: int
    at: float
    """When, seconds since 1970 UTC."""
    as_of: float
    """The instant that it sees: earlier than `at` where a listing lags."""
    read_input: Callable[[], bytes] = field(default=_no_input, repr=False)
    """Reads standard input to its end; only a command that wants it does."""
    name: str = ""
    """The command's name without its folder."""

    @property
    def words(self) -> tuple[str, ...]:
        """Give what follows the command's name."""
        return self.argv[1:]


@frozen(kw_only=True)
class Row:
    """What a listing says of one job. It may be more than one line."""

    of: str
    """The native id, as the listing has it; "" for what is about no job."""
    text: bytes


@frozen(kw_only=True)
class Reply:
    """What a command came to."""

    rows: tuple[Row, ...] = ()
    """Standard output, piece by piece."""
    errors: bytes = b""
    """Standard error."""
    code: int = 0
    """Exit code; negative for the signal that ended the command."""
    took_s: float = 0.0
    """How long it took. Infinite: it never returns."""
    missing: str = ""
    """Why the command could not be executed at all, as the system says it."""

    @property
    def output(self) -> bytes:
        """Give the whole standard output."""
        return b"".join(row.text for row in self.rows)

    def with_output(self, output: bytes) -> "Reply":
        """Give the same with another standard output."""
        return evolve(self, rows=(Row(of="", text=output),))


def said(text: str = "", *, errors: str = "", code: int = 0, took_s: float = 0.0) -> Reply:
    """Make a reply of text."""
    rows = (Row(of="", text=encoded(text)),) if text else ()
    return Reply(rows=rows, errors=encoded(errors), code=code, took_s=took_s)


def listed(rows: Iterable[Row], head: str = "", *, errors: str = "", code: int = 0) -> Reply:
    """Make a reply of a listing, with its header in front."""
    top = (Row(of="", text=encoded(head)),) if head else ()
    return Reply(rows=(*top, *rows), errors=encoded(errors), code=code)


def never() -> Reply:
    """Make a reply that does not come."""
    return Reply(took_s=math.inf)


def encoded(text: str) -> bytes:
    """Give back the bytes that the text was made of."""
    return text.encode("utf-8", "surrogateescape")


def decoded(data: bytes) -> str:
    """Make text of bytes so that `encoded` gives them back."""
    return data.decode("utf-8", "surrogateescape")

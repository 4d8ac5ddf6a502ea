"""An answer: a status, headers, and a body that is at hand or comes from an object."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Final, Protocol

from drover_objectstore._http._request import Request
from drover_objectstore._http._xml import Tree, written
from drover_objectstore._store import Content
from drover_objectstore.errors import S3Error, code_of

_BODILESS: Final = frozenset({204, 304})


@dataclass(kw_only=True)
class Response:
    """What is sent back."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    content: Content | None = None
    """To be sent from *begin* to *end*, then closed."""
    begin: int = 0
    end: int = 0

    @property
    def length(self) -> int:
        """Give the number of bytes of the body."""
        return len(self.body) if self.content is None else self.end - self.begin


class Sink(Protocol):
    """Whatever takes a body, in one worker thread after the other."""

    def feed(self, data: bytes) -> None:
        """Take some bytes as they came over the wire."""

    def end(self) -> Response:
        """Do what was asked for, now that all has come."""
        ...

    def abort(self) -> None:
        """Leave nothing behind; called in any case, also after the end."""


def xml(name: str, tree: Tree, **headers: str) -> Response:
    """Make an answer of XML."""
    return Response(
        body=written(name, tree), headers={"content-type": "application/xml", **headers}
    )


def refusal(error: S3Error, request: Request | None) -> Response:
    """Make an answer of an error."""
    if request is None or request.method == "HEAD" or error.status in _BODILESS:
        body = b""
    else:
        tree: list[tuple[str, Tree]] = [
            ("Code", code_of(error)),
            ("Message", error.message),
            *error.facts.items(),
            ("Resource", request.path[:2048]),
            ("RequestId", request.id),
            ("HostId", "drover"),
        ]
        body = written("Error", tree, namespace=False)
    headers = {"content-type": "application/xml"} if body else {}
    if error.status == 416 and "ActualObjectSize" in error.facts:
        headers["content-range"] = f"bytes */{error.facts['ActualObjectSize']}"
    return Response(status=error.status, headers=headers, body=body)


def iso(at: float) -> str:
    """Write a time as S3 does in XML: to the millisecond, in UTC."""
    text = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{int(at * 1000) % 1000:03}Z"


def http_date(at: float) -> str:
    """Write a time as HTTP does."""
    return formatdate(at, usegmt=True)

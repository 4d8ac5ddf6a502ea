"""The application without a server: clients that fall silent, or go while they are answered."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from objectstore_served import Keys
from objectstore_signer import EMPTY, Signer

from drover_objectstore import Account, Limits, ObjectStore, make_app

MIB = 1024 * 1024
ANN = Keys("ann", "s")


class Ann:
    def lookup(self, access_key: str) -> Account | None:
        return Account(owner="ann", secret=ANN.secret) if access_key == ANN.access else None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    made = ObjectStore(tmp_path / "s", limits=Limits(idle_s=0.2))
    made.create_bucket("ann", "one")
    yield made
    made.close()


def files(store: ObjectStore) -> list[Path]:
    return [path for path in (store.folder / "blobs").rglob("*") if path.is_file()]


def scope(method: str, path: str, payload: str, **more: str) -> dict[str, Any]:
    headers = Signer("http://here", ANN).headers(method, path, payload, **more)
    return {
        "type": "http",
        "method": method,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }


class Wire:
    """Gives messages, then falls silent; keeps what is sent, and may stop taking it."""

    def __init__(self, *messages: dict[str, Any], takes: int = 1000) -> None:
        self.messages, self.takes = list(messages), takes
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)

    async def send(self, message: Any) -> None:
        if len(self.sent) >= self.takes:
            await asyncio.Event().wait()
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


def serve(store: ObjectStore, asked: dict[str, Any], wire: Wire) -> None:
    app = make_app(store, Ann())
    asyncio.run(asyncio.wait_for(app(asked, wire.receive, wire.send), 20))


def test_a_client_that_falls_silent_is_let_go(store: ObjectStore) -> None:
    """Thousands that never go on would hold as many files and sockets."""
    asked = scope("PUT", "/one/k", "UNSIGNED-PAYLOAD", content_length=str(3 * MIB))
    wire = Wire({"type": "http.request", "body": b"x" * MIB, "more_body": True})
    serve(store, asked, wire)

    assert 400 == wire.sent[0]["status"]
    assert b"<Code>RequestTimeout</Code>" in wire.body
    assert [] == files(store)


def test_a_client_that_goes_is_not_answered(store: ObjectStore) -> None:
    asked = scope("PUT", "/one/k", "UNSIGNED-PAYLOAD", content_length=str(3 * MIB))
    begun = {"type": "http.request", "body": b"x" * 2 * MIB, "more_body": True}
    wire = Wire(begun, {"type": "http.disconnect"})
    serve(store, asked, wire)

    assert [] == wire.sent
    assert [] == files(store)


@pytest.mark.parametrize("goes", [True, False], ids=["goes", "stops reading"])
def test_a_reader_that_is_gone_lets_go_of_the_files(store: ObjectStore, goes: bool) -> None:
    """What is not read any more must not be kept open, nor read from disk to its end."""
    store.put("ann", "one", "k", [b"x" * MIB] * 8)
    gone = [{"type": "http.disconnect"}] if goes else []
    wire = Wire({"type": "http.request"}, *gone, takes=1000 if goes else 3)
    serve(store, scope("GET", "/one/k", EMPTY), wire)

    assert len(wire.body) < 8 * MIB
    store.delete("ann", "one", "k")
    assert [] == files(store)


def test_more_than_was_announced_is_refused(store: ObjectStore) -> None:
    """The size of a body is checked before it is on disk, and while it comes."""
    for length, came, code in (
        (6 * 1024 * MIB, b"", b"EntityTooLarge"), (100_000, b"x" * 200_000, b"IncompleteBody"),
    ):  # fmt: skip
        asked = scope("PUT", "/one/k", "UNSIGNED-PAYLOAD", content_length=str(length))
        wire = Wire({"type": "http.request", "body": came, "more_body": False})
        serve(store, asked, wire)
        assert 400 == wire.sent[0]["status"]
        assert b"<Code>" + code in wire.body
    assert [] == files(store)

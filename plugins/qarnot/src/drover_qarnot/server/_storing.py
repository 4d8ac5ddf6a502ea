"""Choose where buckets are."""

from pathlib import Path

from starlette.types import ASGIApp

from drover_qarnot.server._accounts import Accounts
from drover_qarnot.server._buckets import Buckets, NoBuckets
from drover_qarnot.server._config import Settings


def make_buckets(
    home: Path, settings: Settings, accounts: Accounts, prefix: str
) -> tuple[Buckets, ASGIApp | None]:
    """Make the buckets of a server, and the S3 application that serves them, if there is one."""
    if not settings.buckets:
        return NoBuckets(), None
    if settings.storage is not None:
        from drover_qarnot.server._remote import RemoteBuckets

        return RemoteBuckets(settings.storage, accounts), None
    from drover_objectstore import Limits, ObjectStore, make_app
    from drover_qarnot.server._embedded import AccountsOfServer, EmbeddedBuckets

    mine = settings.limits
    store = ObjectStore(
        home / "buckets", limits=Limits(buckets=mine.buckets, owner_bytes=mine.bytes)
    )
    return EmbeddedBuckets(store), make_app(store, AccountsOfServer(accounts), prefix=prefix)

"""Store many specifications, a few first: they may run while the others are stored."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from drover._store import Draft
from drover.errors import InvalidSpecError, StoreUnusableError
from drover.models import JobSpec
from drover.session._submission import Submission, check_key, same_as_before

if TYPE_CHECKING:
    from drover.session._session import Session

FIRST_PIECE: Final = 256
"""Jobs in the first transaction: an engine works on them while more are stored."""
PIECE: Final = 20_000
"""Jobs in one transaction at most, each four times the one before: others write in between."""
Keys = Sequence[str | None]


def keys_for(given: Sequence[object] | None, count: int) -> Keys | None:
    """Check that there is a key, or `None`, for each of *count* specifications, and none twice.

    Raises:
        InvalidSpecError: It is not so.
    """
    if given is None:
        return None
    keys: list[str | None] = []
    for key in given:
        check_key(key)
        keys.append(key)  # type: ignore[arg-type]
    if isinstance(given, str) or len(keys) != count:
        hint = f"give a list with a key, or None, for each of the {count} specifications"
        raise InvalidSpecError("keys", given, hint)
    named = [key for key in keys if key is not None]
    if len(set(named)) < len(named):
        twice = next(key for key in named if named.count(key) > 1)
        raise InvalidSpecError("keys", twice, "give no key twice")
    return keys


def store_all(
    session: "Session", submission: Submission, specs: Sequence[JobSpec], keys: Keys | None
) -> list[str]:
    """Store specifications that were checked.

    Args:
        session: Its store takes them, and its engine is told of each piece but the last.
        submission: Makes of them what is stored.
        specs: The specifications.
        keys: One for each, or `None`. What has its key already is not stored again.

    Returns:
        Their ids, in the same order.

    Raises:
        KeyConflictError: A key belongs to something else; unless somebody has just taken it,
            nothing was stored.
        StoreUnusableError: The store cannot be written; a note tells how many were stored.
    """
    store, now = session.store, session.store.clock.time()
    if keys is not None:
        with store.read() as reader:
            for spec, key in zip(specs, keys, strict=True):
                if key is not None:
                    same_as_before(reader, key, submission.draft(spec, key, now))
    ids: list[str] = []
    size = FIRST_PIECE
    while len(ids) < len(specs):
        if ids:
            session.ring()
        piece = slice(len(ids), len(ids) + size)
        size = min(4 * size, PIECE)
        try:
            if keys is None:
                batch = store.prepare((submission.draft(s, None, now) for s in specs[piece]), now)
                with store.write() as (writer, _):
                    writer.insert(batch)
                ids += batch.ids
            else:
                pairs = zip(specs[piece], keys[piece], strict=True)
                ids += _store_keyed(session, [submission.draft(s, k, now) for s, k in pairs], now)
        except StoreUnusableError as exc:
            exc.add_note(f"of {len(specs)}, the first {len(ids)} are stored")
            raise
    return ids


def _store_keyed(session: "Session", drafts: Sequence[Draft], now: float) -> list[str]:
    with session.store.write() as (writer, reader):
        known = [
            None if draft.event.key is None else same_as_before(reader, draft.event.key, draft)
            for draft in drafts
        ]
        new = [draft for draft, job_id in zip(drafts, known, strict=True) if job_id is None]
        batch = session.store.prepare(new, now)
        writer.insert(batch)
    made = iter(batch.ids)
    return [next(made) if job_id is None else job_id for job_id in known]

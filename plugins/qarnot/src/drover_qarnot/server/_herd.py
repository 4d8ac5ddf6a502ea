"""The Drover side: arrays that run tasks, and what has become of their elements."""

import threading
from collections.abc import Callable, Container, Iterable
from typing import Final

import drover
from drover.errors import KeyConflictError
from drover.models import Verb
from drover.states import ENDED, State

RUNNING: Final = frozenset(
    {State.RUNNING, State.SUSPENDED, State.COMPLETING, State.STAGING_OUT, State.SLEEPING}
)
PLACED: Final = frozenset({State.QUEUED, State.SUBMITTING})
_TOLD: Final = frozenset({"Accepted", "Started", "EndReported", "Ended", "RetryAsked", "Resolved"})
"""Facts after which a task may be in another state."""


class Herd:
    """Run arrays on a Drover store. The key of an array is the uuid that it runs."""

    def __init__(self, session: drover.Session, changed: Callable[[str], None]) -> None:
        """Follow a store.

        Args:
            session: Where arrays run.
            changed: Called with the uuid whose array has moved, from a thread.
        """
        self.session: Final = session
        self._changed = changed
        self._uuids: dict[str, str] = {}
        self._ends: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self._subscription: object = None

    def start(self) -> None:
        """Begin to listen. What happened before has to be asked for."""
        self._subscription = self.session.subscribe(self._heard)

    def stop(self) -> None:
        """Listen no more. Arrays go on."""
        close: Callable[[], None] | None = getattr(self._subscription, "close", None)
        if close is not None:
            close()
        self.session.close()

    def know(self, uuid: str, array_id: str) -> None:
        """Tell events of an array apart from here on."""
        with self._lock:
            self._uuids[array_id] = uuid
            self._ends.setdefault(array_id, set())

    def forget(self, array_id: str) -> None:
        """Take an array that is over out of memory."""
        with self._lock:
            self._uuids.pop(array_id, None)
            self._ends.pop(array_id, None)

    def _heard(self, entry: drover.JournalEntry) -> None:
        if entry.name not in _TOLD:
            return
        array_id = entry.job_id.partition(".")[0]
        with self._lock:
            uuid = self._uuids.get(array_id)
            if uuid is None:
                return
            if entry.name in {"EndReported", "Ended", "Resolved"}:
                self._ends[array_id].add(entry.job_id)
        self._changed(uuid)

    def find(self, uuid: str) -> str | None:
        """Find the array of a uuid; `None` if it was never handed in."""
        found = self.session.jobs(tag=uuid, newest=1)
        return found[0].array_id if found else None

    def submit(self, uuid: str, spec: drover.JobSpec) -> str:
        """Hand an array in; a second time gives the first one's id.

        Raises:
            UserError: The backend cannot honour it.
            DroverError: It could not be stored; nothing was.
        """
        try:
            handle = self.session.submit(spec, key=uuid)
        except KeyConflictError:
            # The profile has changed since: what was handed in stands.
            found = self.find(uuid)
            if found is None:
                raise
            return found
        return handle.id

    def counts(self, array_id: str) -> dict[State, int]:
        """Count elements by state."""
        return self.session.counts(array=array_id)

    def ended(self, array_id: str, most: int) -> tuple[list[drover.Job], bool]:
        """Take elements that have ended and were not taken yet.

        Returns:
            At most *most* of them, and whether there are more.
        """
        with self._lock:
            heard = self._ends.get(array_id, set())
            ids = sorted(heard)[:most] if len(heard) > most else list(heard)
            heard.difference_update(ids)
            more = bool(heard)
        handles = [drover.Job(self.session, job_id) for job_id in ids]
        return [handle for handle in handles if handle.refresh().state.ends_wait], more

    def list_ended(self, array_id: str, kept: Container[int | None]) -> None:
        """Have all ends told again, save those that are kept: some may not have been heard."""
        found = self.session.jobs(state=ENDED, array=array_id, newest=None)
        self.again(array_id, [job.id for job in found if job.array_index not in kept])

    def again(self, array_id: str, ids: Iterable[str]) -> None:
        """Have ends told once more that could not be taken in."""
        with self._lock:
            if array_id in self._ends:
                self._ends[array_id].update(ids)

    def running(self, array_id: str, most: int) -> list[drover.Job]:
        """List elements that run."""
        return self.session.jobs(state=RUNNING, array=array_id, newest=most)

    def cancel(self, array_id: str) -> None:
        """Ask for the end of all elements; their ends are told later."""
        self.session.ask([array_id], Verb.CANCEL, timeout=0.0)

    def retry(self, job: drover.Job) -> bool:
        """Run an element again.

        Returns:
            Whether it could be asked for: not of one that may still run somewhere.
        """
        try:
            self.session.retry([job])
        except drover.UserError:
            return False
        return True

    def purge(self, array_id: str) -> None:
        """Forget an array that is over."""
        try:
            self.session.purge(jobs=[array_id])
        except drover.UserError:
            return

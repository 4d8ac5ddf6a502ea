"""What backends have said and the engine has not made durable yet."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from drover._engine._backends import Report
from drover._engine._lanes import Reply

PATIENCE_S: Final = 0.25
"""How long an acceptance may wait for news of its job. Written together, it costs a third less."""


class Inbox:
    """Replies and reports, put in from any thread, taken out by the engine's own.

    What was taken for a round comes again unless the round is committed.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._replies: deque[Reply] = deque()
        self._reports: deque[Report] = deque()
        self._patient: deque[tuple[float, Reply]] = deque()
        """Acceptances that wait, and until when on the monotonic clock."""
        self._taken_replies: list[Reply] = []
        self._taken_reports: list[Report] = []
        self.arrived: Final = threading.Event()
        """Set whenever a reply is put in."""

    def reply(self, reply: Reply) -> None:
        """Put in what a call came to."""
        self._replies.append(reply)
        self.arrived.set()
        self._wake()

    def report(self, report: Report) -> None:
        """Put in what a backend told by itself."""
        self._reports.append(report)
        self._wake()

    def __bool__(self) -> bool:
        return bool(self._replies or self._reports)

    def take_reports(self) -> Iterator[Report]:
        """Take out what backends told by themselves."""
        while self._reports:
            self._taken_reports.append(self._reports.popleft())
            yield self._taken_reports[-1]

    def take_replies(self, tick: float, *, busy: bool) -> Iterator[Reply]:
        """Take out what calls came to, while *busy* without acceptances that can wait."""
        while self._replies:
            reply = self._replies.popleft()
            if busy and reply.call.can_wait and reply.error is None:
                self._patient.append((tick + PATIENCE_S, reply))
            else:
                self._taken_replies.append(reply)
                yield reply
        while self._patient and (not busy or self._patient[0][0] <= tick):
            reply = self._patient.popleft()[1]
            self._taken_replies.append(reply)
            yield reply

    @property
    def due_at(self) -> float | None:
        """Give the instant when an acceptance has waited long enough, by the monotonic clock."""
        return self._patient[0][0] if self._patient else None

    def next_reply(self) -> Reply | None:
        """Take out one reply for good, `None` if there is none."""
        return self._replies.popleft() if self._replies else None

    def committed(self) -> None:
        """Forget what was taken: it is durable."""
        self._taken_replies.clear()
        self._taken_reports.clear()

    def put_back(self) -> None:
        """Put back what was taken for a round that was not committed."""
        self._replies.extendleft(reversed(self._taken_replies))
        self._reports.extendleft(reversed(self._taken_reports))
        self.committed()

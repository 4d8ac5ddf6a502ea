"""Lanes: calls to a backend, one at a time, each with a deadline."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from attrs import field, frozen

from drover._plugins import Backend
from drover.errors import CallOverdueError, DroverError
from drover.hookspecs import Clock

DEADLINE_S: Final = 60.0
TRANSFER_S: Final = 24 * 3600.0
"""Of calls that move users' data, whose size nobody knows: one that is given up fails its jobs."""
_TRANSFERS: Final = ("drover_stage_in", "drover_stage_out")


@frozen(kw_only=True, eq=False)
class Call:
    """One call of a hook."""

    hook: str
    arguments: Mapping[str, Any]
    then: Callable[[Any, DroverError | None], None] = field(repr=False)
    """Given the answer or the error, in the engine's thread. Called exactly once."""
    can_wait: bool = False
    """Whether what it brings is likely to be told otherwise soon, and may wait for that."""


@frozen(kw_only=True)
class Reply:
    """What a call came to."""

    call: Call
    answer: Any
    error: DroverError | None

    def deliver(self) -> None:
        """Hand it to whom it concerns."""
        self.call.then(self.answer, self.error)


class Lane(Protocol):
    """Where calls go."""

    def add(self, call: Call) -> None:
        """Call it after those that were added before."""
        ...

    def give_up_overdue(self) -> None:
        """Answer a call that is over its deadline, and go on without it."""
        ...

    @property
    def deadline(self) -> float | None:
        """When the present call is overdue, on the monotonic clock."""
        ...

    @property
    def idle(self) -> bool:
        """Tell whether nothing is under way or waiting."""
        ...

    def close(self) -> None:
        """Take no more calls."""
        ...


class ThreadLane:
    """A lane with a thread of its own, replaced when a call hangs."""

    def __init__(self, backend: Backend, clock: Clock, reply: Callable[[Reply], None]) -> None:
        self._backend = backend
        self._clock = clock
        self._reply = reply
        self._lock = threading.Condition()
        self._calls: deque[Call] = deque()
        self._current: Call | None = None
        self._deadline: float | None = None
        self._closed = False
        self._generation = 0
        self._start()

    def _start(self) -> None:
        """Put a thread to work in the place of an earlier one."""
        self._generation += 1
        threading.Thread(
            target=self._work,
            args=(self._generation,),
            name=f"drover-lane-{self._backend.name}",
            daemon=True,
        ).start()

    def add(self, call: Call) -> None:
        """Call it after those that were added before."""
        with self._lock:
            self._calls.append(call)
            self._lock.notify()

    @property
    def deadline(self) -> float | None:
        """When the present call is overdue, on the monotonic clock."""
        return self._deadline

    @property
    def idle(self) -> bool:
        """Tell whether nothing is under way or waiting."""
        with self._lock:
            return self._current is None and not self._calls

    def give_up_overdue(self) -> None:
        """Answer a call that is over its deadline; another thread goes on."""
        with self._lock:
            call, deadline = self._current, self._deadline
            if call is None or deadline is None or self._clock.monotonic() < deadline:
                return
            self._current = self._deadline = None
            self._start()
        error = CallOverdueError(self._backend.name, call.hook, allowed_s(self._backend, call))
        self._reply(Reply(call=call, answer=None, error=error))

    def close(self) -> None:
        """Take no more calls; the present one is not waited for."""
        with self._lock:
            self._closed = True
            self._calls.clear()
            self._lock.notify_all()

    def _work(self, generation: int) -> None:
        while True:
            with self._lock:
                while not self._calls and not self._closed and self._generation == generation:
                    self._lock.wait()
                if self._closed or self._generation != generation:
                    return
                call = self._current = self._calls.popleft()
                self._deadline = self._clock.monotonic() + allowed_s(self._backend, call)
            reply = execute(self._backend, call)
            with self._lock:
                if self._current is not call:
                    return  # Given up meanwhile: its answer counts as unknown.
                self._current = self._deadline = None
            self._reply(reply)


def allowed_s(backend: Backend, call: Call) -> float:
    """Say how long a call may take, in seconds."""
    usual = TRANSFER_S if call.hook in _TRANSFERS else DEADLINE_S
    return float(backend.capabilities.call_s.get(call.hook, usual))


def execute(backend: Backend, call: Call) -> Reply:
    """Make a call here and now."""
    try:
        answer = backend.call(call.hook, **call.arguments)
    except DroverError as exc:
        return Reply(call=call, answer=None, error=exc)
    return Reply(call=call, answer=answer, error=None)

"""A backend as the engine sees it: loaded, started, called on two lanes."""

import logging
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Final

from drover._engine._lanes import Call, Lane
from drover._plugins import Backend
from drover.errors import DroverError
from drover.hookspecs import Clock
from drover.models import Claim

_log: Final = logging.getLogger(__name__)

FIRST_DELAY_S: Final = 1.0
LONGEST_DELAY_S: Final = 60.0
"""Between two attempts to reach a backend that failed: growing by two from the first."""
REFILL_S: Final = 0.03
"""Between two hand-overs to a backend that has most of its window: few rounds, full batches."""
FIRST_TURNS: Final = 96
"""Jobs handed over at first where the backend sets a window: 50 ms of the shortest on two slots."""
MOST_TURNS: Final = 2000
"""Jobs handed over in one round where the backend sets no window: a round stays short."""


class Phase(StrEnum):
    """How far a backend is."""

    STARTING = "starting"
    READY = "ready"
    UNREACHABLE = "unreachable"
    BROKEN = "broken"


class Runtime:
    """One backend at work."""

    def __init__(
        self, backend: Backend, control: Lane, data: Lane, clock: Clock, plugin: str
    ) -> None:
        self.backend: Final = backend
        self.name: Final = backend.name
        self.plugin: Final = plugin
        self.capabilities: Final = backend.capabilities
        self.control: Final = control
        self.data: Final = data
        self.phase = Phase.STARTING
        self.error = ""
        self.full = ""
        """Why it has turned the last submission away; empty if it has not."""
        self.failures = 0
        """Failed queries in a row."""
        self.next_look: float | None = None
        """When to observe next, on the monotonic clock; `None`: nothing to look at."""
        self.pause_s: float = backend.capabilities.poll_s
        """The last pause between two looks; it grows while nothing changes."""
        self.rest_s = 0.0
        """How long the backend asked to be left alone after the last look."""
        self.looked_at: float | None = None
        """When a query last told something, good or bad, on the monotonic clock."""
        self.looking = False
        self.adopted = False
        """Whether what an earlier engine left was asked about."""
        self.under_way: Final[dict[str, set[Any]]] = {}
        """What has been handed to a lane and not come back: by hook, tokens or request ids."""
        self.again_at: Final[dict[str, float]] = {}
        """When to try once more to settle a token, on the monotonic clock."""
        self._unfound: Final[set[str]] = set()
        """Tokens that the last search for them was answered about."""
        self.in_queue: frozenset[str] = frozenset()
        """Tokens that were in the queue, and had not ended by its word, at the last good look."""
        self.missing_since: Final[dict[str, float]] = {}
        """Tokens absent from good answers, since when on the monotonic clock."""
        self._refill_at = 0.0
        """When a window that is nearly full may be filled up, on the monotonic clock."""
        self._put_off = False
        """Whether jobs wait for that."""
        self._away_s = 0.0
        """How long to wait after the last submission that was turned away; grows by two."""
        self._away_until = 0.0
        self._probe: int | None = None
        """After that, how many may be tried at once; grows by two while they are taken."""
        self._clock = clock
        self._start_at = clock.monotonic()
        self._delay_s = FIRST_DELAY_S
        self._starting = False

    # Starting

    def start_if_due(self, on_ready: Callable[[], None]) -> None:
        """Call `drover_start`, at first and after every failure with a growing delay."""
        due = self._clock.monotonic() >= self._start_at
        if self.phase is Phase.READY or self._starting or not due:
            return
        self._starting = True

        def then(_answer: object, error: DroverError | None) -> None:
            self._starting = False
            if error is None:
                self.phase, self.error, self._delay_s = Phase.READY, "", FIRST_DELAY_S
                on_ready()
                return
            _log.warning("%s", error)
            self.phase, self.error = Phase.UNREACHABLE, str(error)
            self._start_at = self._clock.monotonic() + self._delay_s
            self._delay_s = min(LONGEST_DELAY_S, self._delay_s * 2)

        self.control.add(Call(hook="drover_start", arguments={}, then=then))

    @property
    def ready(self) -> bool:
        """Tell whether it can be called."""
        return self.phase is Phase.READY

    # Calls

    def call(
        self,
        hook: str,
        keys: set[Any],
        arguments: dict[str, Any],
        then: Callable[[Any, DroverError | None], None],
        *,
        lane: Lane | None = None,
        can_wait: bool = False,
    ) -> None:
        """Put a call on a lane and remember what it is about until it comes back."""
        busy = self.under_way.setdefault(hook, set())
        busy |= keys

        def back(answer: Any, error: DroverError | None) -> None:
            busy.difference_update(keys)
            if error is not None:
                self.failures += 1
                self.error = str(error)
                _log.warning("%s", error)
            then(answer, error)

        call = Call(hook=hook, arguments=arguments, then=back, can_wait=can_wait)
        (lane or self.control).add(call)

    def is_under_way(self, hook: str, key: Any) -> bool:
        """Tell whether a call about *key* has not come back."""
        return key in self.under_way.get(hook, ())

    def may_try(self, token: str) -> bool:
        """Tell whether the delay before the next attempt to settle a token is over."""
        return self._clock.monotonic() >= self.again_at.get(token, 0.0)

    def try_again_later(self, token: str, since: float) -> None:
        """Set the delay before the next attempt: it grows with the time since the first."""
        span = min(LONGEST_DELAY_S / 2, max(FIRST_DELAY_S, since / 2))
        self.again_at[token] = self._clock.monotonic() + span

    def settled(self, token: str) -> None:
        """Forget the delays of a token."""
        self._unfound.discard(token)
        self.again_at.pop(token, None)
        self.missing_since.pop(token, None)

    def searched(self, tokens: Iterable[str], *, heard: bool) -> None:
        """Note whether a search for tokens was answered."""
        if heard:
            self._unfound.update(tokens)
        else:
            self._unfound.difference_update(tokens)

    def is_unfound(self, token: str) -> bool:
        """Tell whether the backend says that it does not know a token, as far as it can say."""
        return token in self._unfound or not self.capabilities.find

    def pause_grace(self) -> None:
        """Let the time since the last query not count: this one failed, and says nothing."""
        now = self._clock.monotonic()
        if self.looked_at is not None:
            for token in self.missing_since:
                self.missing_since[token] += now - self.looked_at
        self.looked_at = now

    # Timing

    def room(self, unstarted: int) -> int:
        """Say how many more attempts it wants now."""
        if self._is_away or (self._probe is not None and self.under_way.get("drover_submit")):
            return 0
        most = MOST_TURNS if self._probe is None else self._probe
        window = self.capabilities.window
        if window is None:
            return most
        room = max(0, min(most, window - unstarted))
        if not unstarted:
            # It has nothing to do: what it gets first it gets soon, and the rest while it is busy.
            room = min(room, FIRST_TURNS)
        self._put_off = 0 < room * 4 < window and self._clock.monotonic() < self._refill_at
        return 0 if self._put_off else room

    @property
    def _is_away(self) -> bool:
        return self._clock.monotonic() < self._away_until

    def turned_away(self, why: str) -> None:
        """Hand nothing over for a while: it has said that it takes no more now.

        Else all that wait would be tried, and written down as tried, every few seconds.
        """
        self.full = why
        if self._is_away:
            return
        self._away_s = min(LONGEST_DELAY_S, max(self.capabilities.poll_s * 2, self._away_s * 2))
        self._away_until = self._clock.monotonic() + self._away_s
        self._probe = 1

    def taken(self) -> None:
        """Note that it took what it was given: try more of them."""
        self.full = ""
        if self._probe is not None and not self._is_away:
            self._away_s = 0.0
            self._probe = None if self._probe >= MOST_TURNS else self._probe * 2

    def has_moved(self) -> None:
        """Note that jobs have started or ended: what was full may have room."""
        soon = self._clock.monotonic() + self.capabilities.poll_s
        self._away_until = min(self._away_until, soon)

    def handed_over(self) -> None:
        """Note that it was given attempts."""
        self._refill_at = self._clock.monotonic() + REFILL_S

    def look_soon(self) -> None:
        """Observe soon: something has changed or is about to. Looks stay the short interval apart.

        Not at once: a scheduler knows of an end a little later than who was there.
        """
        poll_s = self.capabilities.poll_s
        due = self._clock.monotonic() + poll_s / 2
        if self.looked_at is not None:
            due = max(due, self.looked_at + poll_s)
        if self.next_look is None or self.next_look > due:
            self.next_look = due

    def wake_at(self) -> float | None:
        """Give the next instant at which it wants attention, on the monotonic clock."""
        times = [*self.again_at.values()]
        if self.phase is not Phase.READY and not self._starting and self.phase is not Phase.BROKEN:
            times.append(self._start_at)
        if self.next_look is not None and not self.looking:
            times.append(self.next_look)
        if self._put_off:
            times.append(self._refill_at)
        if self._is_away:
            times.append(self._away_until)
        times.extend(
            deadline
            for lane in (self.control, self.data)
            if (deadline := lane.deadline) is not None
        )
        return min(times, default=None)

    @property
    def polled(self) -> bool:
        """Tell whether it has to be asked."""
        return not self.capabilities.push

    @property
    def key_is_claim(self) -> bool:
        """Tell whether a submission may be repeated with the same token."""
        return self.capabilities.claim is Claim.SERVER_KEY

    def begin_round(self) -> None:
        """Answer calls that hang; forget that jobs were put off: if they still wait, they ask."""
        self._put_off = False
        self.control.give_up_overdue()
        self.data.give_up_overdue()

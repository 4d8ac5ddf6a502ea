"""Hear of ends by the library's session: sooner than by the next look, and than by accounting."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from drover.drmaa.vocabulary import JobState
from drover.errors import UnreachableError
from drover.models import EndReport, Observation, Phase, Source, Usage

PAUSE_S: Final = 0.2
"""Between two questions while there is something to hear. They are answered by the worker from
what qmaster has sent: nobody else is asked."""
PATIENCE_S: Final = 5.0
"""Mostly it is a second: execd looks at its jobs so often. What takes longer, looks find out."""

Ask = Callable[[Sequence[str]], Mapping[str, Any]]
"""How jobs ended, by native id; it can be asked once."""


@frozen
class _Recorded:
    """An end that a wrapper has recorded."""

    seen: Observation
    until: float


class Ends:
    """For ends that wrappers have recorded, get the system's own word and report it.

    Only of commands that exited by themselves: of those the library's word is as good as
    accounting's, which may be written a quarter of a minute later. Why one was killed, accounting
    tells better.
    """

    def __init__(self, ask: Ask, report: Callable[[Sequence[Observation]], None]) -> None:
        self._ask = ask
        self._report = report
        self._lock = threading.Lock()
        self._recorded: dict[str, _Recorded] = {}
        self._some = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen, on a thread of its own."""
        self._thread = threading.Thread(target=self._run, name="drover-drmaa-ends", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._stop.set()
        self._some.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def note(self, observations: Sequence[Observation]) -> None:
        """Take in what wrappers have told."""
        until = time.monotonic() + PATIENCE_S
        found = {
            row.native_id: _Recorded(row, until)
            for row in observations
            if row.native_id is not None and row.end is not None and _is_plain(row.end)
        }
        if found:
            with self._lock:
                self._recorded.update(found)
            self._some.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._some.wait()
            self.look()
            self._stop.wait(PAUSE_S)

    def look(self) -> None:
        """Ask once about all, and report what is known."""
        with self._lock:
            waiting = dict(self._recorded)
        told: Mapping[str, Mapping[str, Any]]
        try:
            told = self._ask(list(waiting)) if waiting else {}
        except UnreachableError:
            # The looks will tell, sooner or later.
            told = dict.fromkeys(waiting, _NOTHING)
        now = time.monotonic()
        heard = {
            native_id: answer
            for native_id, answer in told.items()
            if answer.get("code") != _NOT_YET or "error" not in answer
        }
        late = [native_id for native_id, entry in waiting.items() if entry.until < now]
        with self._lock:
            for native_id in {*heard, *late}:
                self._recorded.pop(native_id, None)
            if not self._recorded:
                self._some.clear()
        rows = [
            _ended(waiting[native_id].seen, answer)
            for native_id, answer in heard.items()
            if answer.get("exited") and not answer.get("aborted")
        ]
        if rows:
            self._report(rows)


_NOT_YET: Final = 23
_NOTHING: Final[Mapping[str, Any]] = {}


def _is_plain(end: EndReport) -> bool:
    return end.source is Source.EXIT_RECORD and end.exit_code is not None and end.reason is None


def _ended(seen: Observation, told: Mapping[str, Any]) -> Observation:
    usage: Mapping[str, str] = told.get("usage", {})
    rss = figure(usage, "ru_maxrss")
    end = EndReport(
        source=Source.QUEUE,
        at=figure(usage, "end_time") or seen.at,
        exit_code=int(told["code"]),
        native_id=seen.native_id or "",
        usage=Usage(
            cpu_user_s=figure(usage, "ru_utime"),
            cpu_system_s=figure(usage, "ru_stime"),
            # In units of 1024 bytes, as accounting has it.
            max_rss_bytes=int(rss * 1024) if rss else None,
            wall_s=figure(usage, "ru_wallclock"),
        ),
    )
    return Observation(
        token=seen.token,
        phase=Phase.ENDED,
        source=Source.QUEUE,
        at=time.time(),
        native_id=seen.native_id,
        native_state=JobState.DONE,
        restart=seen.restart,
        end=end,
    )


def figure(usage: Mapping[str, str], name: str) -> float | None:
    """Read one of DRMAA's figures; `None` if it is none."""
    try:
        return float(usage[name])
    except (KeyError, ValueError):
        return None

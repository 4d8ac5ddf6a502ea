"""Copy a job's output to this process's stdout and stderr while it runs."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, Protocol, TextIO

from drover.cli._terminal import OutputFilter, is_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from drover.session import Job, Output, Session

# A person sees no delay below 0.1 s; after the first second a job is not quick any more.
_EAGER_S: Final = 0.03
_CALM_S: Final = 0.2
_EAGER_FOR_S: Final = 2.0
_PIECE: Final = 1 << 16


class Sink(Protocol):
    """Where output goes."""

    def write(self, data: bytes) -> None:
        """Take the next piece."""
        ...

    def finish(self) -> None:
        """Write what was kept back."""
        ...


class RawSink:
    """Pass bytes on as they are."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream.buffer

    def write(self, data: bytes) -> None:
        """Pass the piece on at once."""
        self._stream.write(data)
        self._stream.flush()

    def finish(self) -> None:
        """Keep nothing back."""


class FilteredSink:
    """Show a terminal what it can be shown safely."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._filter = OutputFilter()

    def write(self, data: bytes) -> None:
        """Write the piece with its control characters shown."""
        self._stream.write(self._filter.feed(data))
        self._stream.flush()

    def finish(self) -> None:
        """Write what was kept back, such as half a character."""
        self._stream.write(self._filter.feed(b"", final=True))
        self._stream.flush()


def sink_to(stream: TextIO, *, raw: bool) -> Sink:
    """Choose how output reaches *stream*: bytes as they are, unless it is a terminal."""
    return RawSink(stream) if raw or not is_terminal(stream) else FilteredSink(stream)


class Pump:
    """Copy output of one job from where it left off."""

    def __init__(
        self,
        job: Job,
        streams: Sequence[str],
        *,
        raw: bool = False,
        from_attempt: int | None = None,
    ) -> None:
        """Begin at the start of an attempt.

        Args:
            job: Whose output to copy.
            streams: `stdout`, `stderr` or both; one alone goes to stdout.
            raw: Whether a terminal gets the bytes as they are.
            from_attempt: The attempt to begin with. `None`: the present one.
        """
        self._job = job
        self._attempt = job.attempt if from_attempt is None else from_attempt
        self._offsets = dict.fromkeys(streams, 0)
        self._sinks = {
            name: sink_to(
                sys.stderr if name == "stderr" and len(streams) > 1 else sys.stdout, raw=raw
            )
            for name in streams
        }

    def copy(self) -> bool:
        """Copy all that is there now.

        Returns:
            Whether there was anything.
        """
        moved = False
        for name, sink in self._sinks.items():
            while data := self._read(name):
                sink.write(data)
                moved = True
        return moved

    def _read(self, name: str) -> bytes:
        data = self._output(name).read_bytes(self._offsets[name], _PIECE, attempt=self._attempt)
        self._offsets[name] += len(data)
        return data

    def _output(self, name: str) -> Output:
        return self._job.stderr if name == "stderr" else self._job.stdout

    def _is_the_users(self, name: str) -> bool:
        spec = self._job.spec
        return (spec.stderr if name == "stderr" else spec.stdout) is not None

    def look(self) -> None:
        """Copy the rest of an attempt that is over, then begin with the one that came after.

        A file that the user named belongs to all attempts: the next may have written to it by
        now, so there is no rest to be told apart.
        """
        while self._attempt < self._job.attempt:
            for name, sink in self._sinks.items():
                while not self._is_the_users(name) and (data := self._read(name)):
                    sink.write(data)
            self._attempt += 1
            self._offsets = dict.fromkeys(self._offsets, 0)

    def finish(self) -> None:
        """Copy the rest of a job that has ended."""
        self.copy()
        for sink in self._sinks.values():
            sink.finish()


def follow(
    session: Session, job: Job, pump: Pump, on_change: Callable[[Job], None] | None = None
) -> None:
    """Copy output until the job has ended.

    Args:
        session: The job's.
        job: May have ended already.
        pump: Where its output goes.
        on_change: Called with the job whenever its state is another, and once it is not quick.
    """
    began, told = time.monotonic(), None
    while True:
        state, eager = job.state, time.monotonic() - began < _EAGER_FOR_S
        if on_change is not None and (state, eager) != told:
            on_change(job)
            told = state, eager
        if state.ends_wait:
            pump.look()
            pump.finish()
            return
        pump.look()
        pump.copy()
        session.wait([job], timeout=_EAGER_S if eager else _CALM_S)

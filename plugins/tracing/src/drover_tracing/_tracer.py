"""The wrapper around every backend hook."""

import os
from collections.abc import Generator, Sequence, Sized

from drover.errors import ConfigError
from drover.events import Event
from drover.hookspecs import Clock, Context, hookimpl
from drover.models import Attempt, JobRecord, Order, Stream
from drover_tracing._lines import LineFile

VARIABLE = "DROVER_TRACE"
Wrapper = Generator[None, object, object]


def tracing(context: Context) -> "Tracer":
    """Make the tracer that the configuration asks for.

    Raises:
        ConfigError: An option is unknown, or `file` is no path.
    """
    for option in context.config:
        if option != "file":
            raise ConfigError("[plugins.tracing]", f"unknown option {option!r}; known: file")
    file = os.environ.get(VARIABLE) or context.config.get("file")
    if not isinstance(file, str | None):
        raise ConfigError("[plugins.tracing] file", f"{file!r} is no path")
    lines = LineFile(context.home / file) if file else None
    return Tracer(backend=context.around, clock=context.clock, lines=lines)


class Tracer:
    """Write a line about each call and each fact. Without *lines* it writes nothing."""

    def __init__(self, *, backend: str, clock: Clock, lines: LineFile | None) -> None:
        self._backend = backend
        self._clock = clock
        self._lines = lines

    def _around(self, hook: str, items: int | None = None) -> Wrapper:
        """Pass the call on, and write how long it took and what it came to."""
        if self._lines is None:
            return (yield)
        at, start = self._clock.time(), self._clock.monotonic()
        answer: object = None
        error = None
        try:
            answer = yield
        except BaseException as exc:
            error = type(exc).__name__
            raise
        finally:
            self._lines.write(
                {
                    "kind": "call",
                    "at": round(at, 6),
                    "hook": hook,
                    "backend": self._backend,
                    "seconds": round(self._clock.monotonic() - start, 6),
                    "items": items,
                    "answers": len(answer) if isinstance(answer, Sized) else None,
                    "error": error,
                    "pid": os.getpid(),
                }
            )
        return answer

    @hookimpl(wrapper=True)
    def drover_capabilities(self) -> Wrapper:
        """Trace."""
        return (yield from self._around("drover_capabilities"))

    @hookimpl(wrapper=True)
    def drover_plan(self) -> Wrapper:
        """Trace."""
        return (yield from self._around("drover_plan"))

    @hookimpl(wrapper=True)
    def drover_start(self) -> Wrapper:
        """Trace."""
        return (yield from self._around("drover_start"))

    @hookimpl(wrapper=True)
    def drover_stop(self) -> Wrapper:
        """Trace."""
        return (yield from self._around("drover_stop"))

    @hookimpl(wrapper=True)
    def drover_submit(self, attempts: Sequence[Attempt]) -> Wrapper:
        """Trace."""
        return (yield from self._around("drover_submit", len(attempts)))

    @hookimpl(wrapper=True)
    def drover_find(self, tokens: Sequence[str]) -> Wrapper:
        """Trace."""
        return (yield from self._around("drover_find", len(tokens)))

    @hookimpl(wrapper=True)
    def drover_observe(self, attempts: Sequence[Attempt]) -> Wrapper:
        """Trace."""
        return (yield from self._around("drover_observe", len(attempts)))

    @hookimpl(wrapper=True)
    def drover_control(self, orders: Sequence[Order]) -> Wrapper:
        """Trace."""
        return (yield from self._around("drover_control", len(orders)))

    @hookimpl(wrapper=True)
    def drover_close(self, tokens: Sequence[str]) -> Wrapper:
        """Trace."""
        return (yield from self._around("drover_close", len(tokens)))

    @hookimpl(wrapper=True)
    def drover_read_output(self, stream: Stream) -> Wrapper:
        """Trace; nothing of what was read."""
        return (yield from self._around(f"drover_read_output:{stream}"))

    @hookimpl(wrapper=True)
    def drover_stage_in(self, attempts: Sequence[Attempt]) -> Wrapper:
        """Trace."""
        return (yield from self._around("drover_stage_in", len(attempts)))

    @hookimpl(wrapper=True)
    def drover_stage_out(self, attempts: Sequence[Attempt]) -> Wrapper:
        """Trace."""
        return (yield from self._around("drover_stage_out", len(attempts)))

    @hookimpl(wrapper=True)
    def drover_forget(self, attempts: Sequence[Attempt]) -> Wrapper:
        """Trace."""
        return (yield from self._around("drover_forget", len(attempts)))

    @hookimpl(wrapper=True)
    def drover_diagnose(self) -> Wrapper:
        """Trace."""
        return (yield from self._around("drover_diagnose"))

    @hookimpl
    def drover_job_transition(self, job: JobRecord, event: Event) -> None:
        """Write the fact's name and what the job is now."""
        if self._lines is not None:
            self._lines.write(
                {
                    "kind": "fact",
                    "at": round(event.at, 6),
                    "job": job.id,
                    "event": type(event).__name__,
                    "state": job.state.value,
                    "backend": job.backend,
                    "attempt": job.attempt,
                    "pid": os.getpid(),
                }
            )

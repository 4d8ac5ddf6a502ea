"""The first face: a `Context` whose commands go to a scripted scheduler, in this process."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from drover._plugins import BackendContext
from drover._plugins._context import CompletedCommand
from drover._plugins._environment import for_commands
from drover.errors import UnreachableError
from drover.hookspecs import Context
from drover.models import Observation
from drover.testing.scheduler._scheduler import Scheduler


def _new_list() -> list[Observation]:
    return []


@frozen(kw_only=True)
class ScriptedContext(BackendContext):
    """What a backend is given to work with, on a scripted scheduler.

    Make one with `ScriptedContext.on(scheduler, home)`, or with `ScriptedContext.in_place_of` from
    the context that a harness made. Commands see the environment that the real context gives them.
    """

    scheduler: Scheduler
    reported: list[Observation] = field(factory=_new_list)
    """What the backend reported by itself, oldest first; acknowledged at once."""
    caller: Mapping[str, str] = field(factory=lambda: dict(os.environ), repr=False)
    """The environment of the process that the backend works in."""
    time_passes: bool = True
    """Whether a command that takes time takes it from a FakeClock."""

    @classmethod
    def on(
        cls,
        scheduler: Scheduler,
        home: Path,
        *,
        name: str = "scripted",
        config: Mapping[str, Any] | None = None,
        **facts: Any,
    ) -> "ScriptedContext":
        """Make a context with a store's folder of its own.

        Args:
            scheduler: Who answers the commands; its clock is the context's.
            home: The folder; made if it is not there.
            name: The backend's name.
            config: The table `[backends.NAME]`.
            facts: Other fields.
        """
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        given: dict[str, Any] = {"store_id": "scripted-store", "epoch": 1, **facts}
        reported: list[Observation] = []
        return cls(
            name=name,
            home=home,
            clock=scheduler.clock,
            config=dict(config or {}),
            scheduler=scheduler,
            reported=reported,
            reporter=_collector(reported),
            **given,
        )

    @classmethod
    def in_place_of(cls, context: Context, scheduler: Scheduler, **facts: Any) -> "ScriptedContext":
        """Make the same context, but with commands that go to the scheduler."""
        return cls(
            name=context.name,
            home=context.home,
            store_id=context.store_id,
            clock=context.clock,
            epoch=context.epoch,
            config=context.config,
            scheduler=scheduler,
            reporter=context.report,
            **facts,
        )

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes = b"",
        timeout_s: float = 30.0,
    ) -> CompletedCommand:
        """Let the scheduler answer a command.

        Raises:
            UnreachableError: There is no such command, or it does not end in time.
            ValueError: An argument holds a NUL, which no command can be given.
        """
        if any("\0" in word for word in argv):
            raise ValueError("embedded null byte")
        reply = self.scheduler.execute(
            argv, read_input=lambda: input, environment=for_commands(self.caller)
        )
        if reply.missing:
            raise UnreachableError(argv[0], reply.missing)
        self._pass(min(reply.took_s, timeout_s))
        if reply.took_s > timeout_s:
            raise UnreachableError(argv[0], f"no answer within {timeout_s:g} s")
        return CompletedCommand(
            argv=tuple(argv),
            returncode=reply.code,
            stdout=reply.output.decode("utf-8", "backslashreplace"),
            stderr=reply.errors.decode("utf-8", "backslashreplace"),
        )

    def _pass(self, seconds: float) -> None:
        if seconds > 0 and self.time_passes:
            self.scheduler.pass_time(seconds)


def _collector(
    reported: list[Observation],
) -> Callable[[Sequence[Observation], Callable[[], None] | None], None]:
    def collect(observations: Sequence[Observation], on_durable: Callable[[], None] | None) -> None:
        reported.extend(observations)
        if on_durable is not None:
            on_durable()

    return collect

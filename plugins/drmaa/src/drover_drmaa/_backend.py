"""The hooks: drover's own for batch systems, with DRMAA behind them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import evolve

from drover.commandline import CommandLineBackend
from drover.hookspecs import Context, hookimpl
from drover.models import (
    Attempt,
    Chunk,
    Diagnosis,
    JobSpec,
    Observation,
    Order,
    OrderAnswer,
    StageAnswer,
    Stream,
    SubmitAnswer,
    Verb,
)
from drover_drmaa import _asking
from drover_drmaa._config import PLAIN, DrmaaConfig
from drover_drmaa._context import RoutingContext, ignore
from drover_drmaa._doctor import no_grid_engine
from drover_drmaa._ends import Ends
from drover_drmaa._gridengine import GridEngine
from drover_drmaa._link import Link, any_will_do
from drover_drmaa._plain import PlainDrmaa
from drover_drmaa._variables import with_own_index

CONTACT: Final = "session=drover-{store}"
"""A name of our own choosing opens a session of Grid Engine, and opens it again."""


class DrmaaBackend(CommandLineBackend):
    """Run jobs on Grid Engine, or by any other DRMAA library."""

    def __init__(self, context: Context) -> None:
        config = DrmaaConfig.read(context.name, context.config)
        self._config = config
        self._is_plain = plain = config.dialect == PLAIN
        contact = "" if plain else CONTACT.format(store=context.store_id)
        wrong = any_will_do if plain else no_grid_engine
        self.link = Link(config.drmaa_library, contact, int(config.recycle_after), wrong)
        # What the library tells once, the plain dialect asks for itself.
        self.ends = None if plain else Ends(self._reap, self._hear_end)
        note = self.ends.note if self.ends is not None else ignore
        routed = RoutingContext(context, self.link, config.commands, note)
        self._speech = (PlainDrmaa if plain else GridEngine)(context.name, config)
        super().__init__(routed, self._speech)
        self._is_started = False

    @hookimpl
    def drover_start(self) -> bool:
        """Open the session, and listen to what wrappers tell."""
        self._is_started = True
        begun = super().drover_start()
        if self.ends is not None:
            self.ends.start()
        return begun

    @hookimpl
    def drover_stop(self) -> bool:
        """Listen no more, and close the session."""
        super().drover_stop()
        if self.ends is not None:
            self.ends.stop()
        self.link.close()
        return True

    @hookimpl
    def drover_submit(self, attempts: Sequence[Attempt]) -> list[SubmitAnswer]:
        """Hand attempts over, with DRMAA's own attributes in their fields."""
        given = [self._specified(attempt) for attempt in attempts]
        if not self._is_plain:
            name, pe = self.context.name, self._config.pe
            given = [with_own_index(name, attempt, pe) for attempt in given]
        return super().drover_submit(given)

    @hookimpl
    def drover_control(self, orders: Sequence[Order]) -> list[OrderAnswer]:
        """Carry out requests. Between TERM and KILL of a cancel it is we who wait."""
        grace_s = self.scheduler.capabilities.cancel_grace_s
        return super().drover_control(
            [
                evolve(order, request=evolve(order.request, grace_s=grace_s))
                if order.request.verb is Verb.CANCEL and order.request.grace_s is None
                else order
                for order in orders
            ]
        )

    @hookimpl
    def drover_read_output(
        self, attempt: Attempt, stream: Stream, offset: int, size: int
    ) -> Chunk | None:
        """Read a piece of a file."""
        return super().drover_read_output(self._specified(attempt), stream, offset, size)

    @hookimpl
    def drover_stage_in(self, attempts: Sequence[Attempt]) -> list[StageAnswer]:
        """Copy what jobs need into their working directories, which the nodes see as well."""
        return super().drover_stage_in([self._specified(attempt) for attempt in attempts])

    @hookimpl
    def drover_stage_out(self, attempts: Sequence[Attempt]) -> list[StageAnswer]:
        """Copy what jobs have made to where it was asked for."""
        return super().drover_stage_out([self._specified(attempt) for attempt in attempts])

    @hookimpl
    def drover_diagnose(self) -> list[Diagnosis]:
        """Try what everything rests on; a client that asks leaves no worker behind."""
        try:
            return super().drover_diagnose()
        finally:
            if not self._is_started:
                self.link.close()

    def _hear_end(self, observations: Sequence[Observation]) -> None:
        self.context.report(observations)

    def _reap(self, ids: Sequence[str]) -> Mapping[str, Any]:
        command = _asking.about("reap", ids, self._config.command_timeout_s)
        reply = self.link.ask(command.argv, command.input, command.timeout_s)
        return _asking.answers(reply.stdout, "ended")

    def _specified(self, attempt: Attempt) -> Attempt:
        spec: JobSpec = self._speech.as_specified(attempt.spec)
        return attempt if spec is attempt.spec else evolve(attempt, spec=spec)

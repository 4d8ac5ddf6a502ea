"""A backend that ends jobs when the test says so."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import evolve

from drover import (
    Job,
    JobSpec,
    Reason,
    Verb,
    Verdict,
)
from drover.hookspecs import Context, hookimpl
from drover.models import (
    Answer,
    Attempt,
    Capabilities,
    EndReport,
    FieldPlan,
    Observation,
    Order,
    OrderAnswer,
    Phase,
    Plan,
    Source,
    SubmitAnswer,
    Support,
    fields_set,
)

WAIT_S = 20.0


class Hand:
    """A backend whose jobs run until the test says otherwise, or at once end with 0."""

    def __init__(self) -> None:
        self.context: Context | None = None
        self.attempts: dict[str, Attempt] = {}
        self.at_once = False

    def made(self, context: Context) -> "Hand":
        """Be the factory: one object for engine and clients, who share a process here."""
        if context.epoch:
            self.context = context
        return self

    def _report(self, phase: Phase, attempt: Attempt, **fields: Any) -> None:
        assert self.context is not None
        self.context.report([
            Observation(token=attempt.token, phase=phase, source=Source.AGENT, at=time.time(),
                        **fields)
        ])  # fmt: skip

    def end(self, job: Job, exit_code: int | None = 0, **fields: Any) -> None:
        """End a job."""
        poll(lambda: job.id in self.attempts, job)
        report = EndReport(source=Source.AGENT, at=time.time(), exit_code=exit_code)
        self._report(Phase.ENDED, self.attempts[job.id], end=evolve(report, **fields))

    def lose(self, job: Job) -> None:
        """Tell that nobody knows how a job ended."""
        self.end(job, exit_code=None, reason=Reason.LOST)

    @hookimpl
    def drover_capabilities(self) -> Capabilities:
        return Capabilities(push=True, verbs=frozenset(Verb) - {Verb.RETRY})

    @hookimpl
    def drover_plan(self, spec: JobSpec) -> Plan:
        support = {"container": Support.REFUSED, "resources.queue": Support.IGNORED}
        return Plan(
            fields=tuple(
                FieldPlan(field=name, support=support.get(name, Support.HONOURED), note="one only")
                for name in fields_set(spec)
                if name != "launcher"
            ),
            command=spec.argv,
        )

    @hookimpl
    def drover_submit(self, attempts: Sequence[Attempt]) -> list[SubmitAnswer]:
        for attempt in attempts:
            self.attempts[attempt.job_id] = attempt
            self._report(Phase.RUNNING, attempt, native_id="n")
            if self.at_once:
                end = EndReport(source=Source.AGENT, at=time.time(), exit_code=0)
                self._report(Phase.ENDED, attempt, native_id="n", end=end)
        return [
            SubmitAnswer(token=one.token, answer=Answer.ACCEPTED, native_id="n") for one in attempts
        ]

    @hookimpl
    def drover_control(self, orders: Sequence[Order]) -> list[OrderAnswer]:
        for order in orders:
            if order.request.verb.ends_job:
                report = EndReport(source=Source.AGENT, at=time.time(), signal=15)
                self._report(
                    Phase.ENDED,
                    order.attempt,
                    end=evolve(report, reason=Reason.CANCELLED, survivors=(7,)),
                )
        return [
            OrderAnswer(
                token=order.attempt.token,
                request_id=order.request.id,
                verdict=Verdict.SIGNALLED if order.request.verb.ends_job else Verdict.DONE,
            )
            for order in orders
        ]


def poll(condition: Callable[[], bool], *jobs: Job) -> None:
    """Wait for something; show the jobs' histories if it does not come."""
    ends = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > ends:
            pytest.fail("\n".join(f"{job.id}: {entry}" for job in jobs for entry in job.history()))
        time.sleep(0.005)

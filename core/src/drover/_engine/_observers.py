"""Plugins that watch jobs or decide on retries. None of them can harm a job."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import evolve

from drover._plugins import lifecycle
from drover.events import Ended, Event
from drover.models import JobRecord, Reason
from drover.states import ENDED

_log: Final = logging.getLogger(__name__)


class Observers:
    """Call the lifecycle hooks."""

    def __init__(self, plugins: Mapping[str, object]) -> None:
        hook = lifecycle(plugins).hook
        self._transition = hook.drover_job_transition
        self._ended = hook.drover_job_ended
        self._retry = hook.drover_job_should_retry

    def retry(self, job: JobRecord, event: Ended) -> Ended:
        """Let a policy decide whether another attempt follows."""
        # Of a LOST attempt nobody can say that it does not run: no policy may start another.
        is_lost = event.outcome.reason is Reason.LOST
        is_ended = bool(job.pending) or job.ending is not None
        if not self._retry.get_hookimpls() or is_ended or is_lost:
            return event
        try:
            delay_s = self._retry(job=job, outcome=event.outcome)
        # A policy is a stranger's code: the specification's own retry decides instead.
        except Exception:  # noqa: BLE001
            _log.exception("drover_job_should_retry failed")
            return event
        if delay_s is None:
            return event
        return evolve(event, retry_at=None if delay_s < 0 else event.at + delay_s)

    def tell(self, facts: Sequence[tuple[JobRecord, Event]]) -> None:
        """Tell of facts that are durable."""
        if self._transition.get_hookimpls():
            for job, event in facts:
                self._call(self._transition, job=job, event=event)
        if self._ended.get_hookimpls():
            for job, event in facts:
                if isinstance(event, Ended) and job.state in ENDED:
                    self._call(self._ended, job=job)

    @staticmethod
    def _call(hook: object, **arguments: object) -> None:
        try:
            hook(**arguments)  # type: ignore[operator]
        # An observer is a stranger's code: the job must not feel it.
        except Exception:  # noqa: BLE001
            _log.exception("an observer failed")

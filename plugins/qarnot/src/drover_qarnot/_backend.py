"""The hooks: what drover calls, and when. `drover.hookspecs` says what each may do."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from drover.errors import BackendError
from drover.hookspecs import Context, hookimpl
from drover.models import (
    Attempt,
    Capabilities,
    Chunk,
    Claim,
    CloseAnswer,
    Diagnosis,
    Found,
    JobSpec,
    Observation,
    Observed,
    Order,
    OrderAnswer,
    Phase,
    Plan,
    StageAnswer,
    Stream,
    SubmitAnswer,
    Verb,
)
from drover_qarnot._book import Book
from drover_qarnot._cloud import Cloud, RefusedError
from drover_qarnot._config import QarnotConfig, account_of_process
from drover_qarnot._control import Control
from drover_qarnot._doctor import diagnose
from drover_qarnot._forgetting import Forgetting
from drover_qarnot._handing import Handing
from drover_qarnot._names import native_id_of, short_name
from drover_qarnot._objects import Access
from drover_qarnot._observing import Observing
from drover_qarnot._options import native_problem
from drover_qarnot._output import Output
from drover_qarnot._plan import make_plan
from drover_qarnot._posting import Group, task_json
from drover_qarnot._staging import Staging

VERBS = frozenset({Verb.CANCEL, Verb.TERMINATE, Verb.KILL, Verb.SIGNAL, Verb.SUSPEND, Verb.RESUME})
TRANSFER_S = 24 * 3600.0
"""Deadline of a transfer: it goes on where it was cut off, but not beside itself."""


class QarnotBackend:
    """Run jobs as tasks of Qarnot's cloud."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._config = config = QarnotConfig.read(context.name, context.config)
        self._cloud = Cloud(lambda: account_of_process(context.name, config), config)
        self._book = Book(context.home / "backends" / context.name)
        self._gone = set[str]()
        """Tasks that the cloud has said that it does not know."""
        self._access = Access(context.store_id, context.name, self._cloud, self._book)

    @cached_property
    def _handing(self) -> Handing:
        return Handing(
            self._context.name, self._context.store_id, self._config, self._cloud, self._book
        )

    @cached_property
    def _observing(self) -> Observing:
        return Observing(
            self._cloud,
            self._context.attempt_dir,
            lambda batch: str(self._book.body(batch)["results"]),
            self._config.record_grace_s,
        )

    @cached_property
    def _control(self) -> Control:
        grace_s = self.drover_capabilities().cancel_grace_s
        return Control(self._context.store_id, self._cloud, self._book, self._handing, grace_s)

    @cached_property
    def _staging(self) -> Staging:
        return Staging(self._context, self._cloud, self._book)

    @hookimpl
    def drover_capabilities(self) -> Capabilities:
        """Say what the backend can do."""
        config = self._config
        return Capabilities(
            claim=Claim.SERVER_KEY,
            verbs=VERBS,
            arrays=True,
            dependencies=True,
            stage_in=True,
            stage_out=True,
            usage=True,
            progress=True,
            exit_record=True,
            max_batch=1000,
            poll_s=config.poll_s,
            idle_poll_s=config.idle_poll_s,
            missing_grace_s=config.missing_grace_s,
            call_s={
                "drover_submit": 600.0,
                "drover_stage_in": TRANSFER_S,
                "drover_stage_out": TRANSFER_S,
            },
            environment=("INSTANCE_", "TASK_PATH", "QARNOT_", "TMP_", "FRAME_ID", "QRANK", "QSIZE"),
        )

    @hookimpl
    def drover_plan(self, spec: JobSpec) -> Plan:
        """Say what becomes of each field, and show the task as it would be posted."""
        name = self._context.name
        known = spec.native.get(name, {})
        shown = Attempt(job_id="JOB", number=1, token="TOKEN", spec=spec)  # noqa: S106 - no secret
        if native_problem(known):
            shown = Attempt(job_id="JOB", number=1, token="TOKEN", spec=JobSpec(argv=spec.argv))  # noqa: S106
        work = Group(attempts=(shown,), name=short_name(["TOKEN"]), instances={"TOKEN": 0})
        body = task_json(work, self._config, name, self._context.store_id)
        return make_plan(name, spec, self._config, body)

    @hookimpl
    def drover_submit(self, attempts: Sequence[Attempt]) -> list[SubmitAnswer]:
        """Hand attempts over as tasks."""
        return self._handing.submit(attempts)

    @hookimpl
    def drover_find(self, tokens: Sequence[str]) -> list[Found]:
        """Search the cloud for tokens."""
        return self._handing.find(tokens)

    @hookimpl
    def drover_close(self, tokens: Sequence[str]) -> list[CloseAnswer]:
        """Shut tokens for good."""
        return self._handing.close(tokens)

    @hookimpl
    def drover_observe(self, attempts: Sequence[Attempt]) -> Observed:
        """Ask for all tasks of these attempts at once, and look at each attempt."""
        at = self._context.clock.time()
        members = self._book.members([attempt.token for attempt in attempts])
        names = list(dict.fromkeys(m.batch for m in members.values() if m.posted))
        tasks = self._ask_tasks(names)
        rows: list[Observation] = []
        sizes = {name: len(self._book.crew(name)) for name in tasks}
        for attempt in attempts:
            member = members.get(attempt.token)
            task = tasks.get(member.batch) if member else None
            if member is None or task is None:
                continue
            if attempt.native_id not in (None, native_id_of(task.uuid, member.instance)):
                continue
            seen = self._observing.look(attempt, member, task, sizes[member.batch], at)
            if any(row.phase in (Phase.ENDED, Phase.UNRUN) for row in seen):
                self._book.note_ended(attempt.token)
            rows.extend(seen)
        self._control.abort_if_due(list(members.values()), tasks, at)
        return Observed(observations=tuple(rows))

    def _ask_tasks(self, names: Sequence[str]) -> dict[str, Any]:
        """Ask for tasks by their own tags, and by its name for one that people took them from.

        A failure is one of the whole query.

        Raises:
            BackendError: Nobody answers.
        """
        try:
            found = {str(task.shortname): task for task in self._cloud.tasks(names)}
            for name in names:
                if name not in found and name not in self._gone:
                    task = self._cloud.task(name)
                    if task is None:
                        self._gone.add(name)
                    else:
                        found[name] = task
        except RefusedError as error:
            raise _AccountError(str(error)) from error
        return found

    @hookimpl
    def drover_control(self, orders: Sequence[Order]) -> list[OrderAnswer]:
        """Carry out requests."""
        return self._control.obey(orders, self._context.clock.time())

    @hookimpl
    def drover_read_output(
        self, attempt: Attempt, stream: Stream, offset: int, size: int
    ) -> Chunk | None:
        """Read a piece of a stream, from the cloud or from the bucket."""
        return Output(self._cloud, self._book).read(attempt, stream, offset, size)

    @hookimpl
    def drover_stage_in(self, attempts: Sequence[Attempt]) -> list[StageAnswer]:
        """Upload inputs."""
        return self._staging.bring(attempts)

    @hookimpl
    def drover_stage_out(self, attempts: Sequence[Attempt]) -> list[StageAnswer]:
        """Download outputs."""
        return self._staging.fetch(attempts)

    @hookimpl
    def drover_forget(self, attempts: Sequence[Attempt]) -> None:
        """Delete what the cloud keeps of attempts."""
        Forgetting(self._context.store_id, self._cloud, self._book).forget(attempts)
        for attempt in attempts:
            self._observing.forget(attempt.token)

    @hookimpl
    def drover_diagnose(self) -> list[Diagnosis]:
        """Find out what is wrong."""
        return diagnose(self._context.name, self._context.store_id, self._config)


class _AccountError(BackendError):
    """The cloud refuses the account: nothing is known of any job."""

"""Grid Engine: jobs are handed over by DRMAA, and looked at and steered by its commands."""

import getpass
import json
import os
import pwd
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Final

from attrs import evolve

from drover.commandline import (
    Batch,
    Known,
    Left,
    Listing,
    Recalled,
    Row,
    Submission,
    Talk,
    TaskSettings,
)
from drover.drmaa.vocabulary import JobState
from drover.errors import UnreachableError
from drover.models import (
    Answer,
    Capabilities,
    Claim,
    Diagnosis,
    EndReport,
    JobSpec,
    Order,
    OrderAnswer,
    Phase,
    Plan,
    Reason,
    Source,
    Verb,
)
from drover_drmaa import (
    _asking,
    _control,
    _doctor,
    _flags,
    _options,
    _qacct,
    _qstat,
    _submitting,
    _template,
)
from drover_drmaa._config import DrmaaConfig
from drover_drmaa._plan import LAUNCHERS, make_plan

MOST_ELEMENTS: Final = 1000
"""In one array: an engine's batch."""
_ASK_AGAIN_S: Final = 600.0
"""Between two looks whether accounts can be read now."""

VERBS: Final = frozenset({
    Verb.CANCEL, Verb.TERMINATE, Verb.KILL, Verb.HOLD, Verb.RELEASE, Verb.SUSPEND, Verb.RESUME,
    Verb.REQUEUE, Verb.SIGNAL,
})  # fmt: skip


def _own_name() -> str:
    """Name the user as the master does: LOGNAME may be another's, as after `su`."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return getpass.getuser()


class GridEngine:
    """All that is known about Grid Engine. It executes nothing itself."""

    native_id = "{JOB_ID}"
    element_id = "{JOB_ID}.{SGE_TASK_ID}"
    # Its tasks count from 1, ours from 0.
    element_index = "{SGE_TASK_ID-1}"
    element_pattern = "{id}.{number}"
    # 0 or 1, however often.
    restart = "{RESTARTED}+"
    settings = TaskSettings(
        pass_env=("SGE_*", "JOB_ID", "JOB_NAME", "NSLOTS", "NHOSTS", "NQUEUES", "QUEUE", "PE",
                  "PE_HOSTFILE", "RESTARTED", "REQUEST", "ARC", "TMP", "TMPDIR",
                  "CUDA_VISIBLE_DEVICES"),
        # Before a stop or a kill, and at soft limits, they go to every process of a job.
        shared_signals=(signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU, signal.SIGTERM),
        listens=True,
        launchers=LAUNCHERS,
    )  # fmt: skip

    def __init__(self, name: str, config: DrmaaConfig) -> None:
        self._name = name
        self._config = config
        self._user = _own_name()
        self._no_accounts_until = 0.0
        self._patience = _control.Patience()

    @property
    def capabilities(self) -> Capabilities:
        """Say what it can do."""
        config = self._config
        return Capabilities(
            claim=Claim.DIRECTORY,
            verbs=VERBS,
            arrays=True,
            restart=True,
            dependencies=True,
            element_separator=".",
            stage_in=True,
            stage_out=True,
            usage=True,
            exit_record=True,
            max_batch=MOST_ELEMENTS,
            poll_s=config.poll_s,
            idle_poll_s=config.idle_poll_s,
            missing_grace_s=config.missing_grace_s,
            settle_s=config.settle_s,
            unknown_after_s=config.unknown_after_s,
            cancel_grace_s=_control.GRACE_S,
            environment=tuple(name.rstrip("*") for name in self.settings.pass_env),
            call_s={"drover_submit": 300.0, "drover_observe": 300.0, "drover_control": 300.0},
            known_bad=frozenset({"test_memory_limit"}),
        )

    @property
    def most_elements(self) -> int:
        """Say how many jobs one array may have."""
        return MOST_ELEMENTS

    def start(self) -> Talk[None]:
        """See that the library is the one of Grid Engine."""
        yield _doctor.hello_command()

    def plan(self, spec: JobSpec, script: bytes) -> Plan:
        """Judge a specification."""
        spec = self.as_specified(spec) if self._is_sound(spec) else spec
        made, problem = {}, None
        if self._is_sound(spec):
            try:
                words = _options.words(self._name, spec, self._config)
                made = _template.template(self._name, spec, None, script, words)
            except _options.UnfitError as exc:
                problem = exc
        count = len(spec.array.indices) if spec.array is not None else 1
        shown = _template.shown(made, count)
        return make_plan(
            self._name, spec, self._config, command=shown, script=script, problem=problem
        )

    def as_specified(self, spec: JobSpec) -> JobSpec:
        """Put what attributes and flags say into the fields for it."""
        return _flags.as_fields(self._name, _template.as_specified(self._name, spec))

    def _is_sound(self, spec: JobSpec) -> bool:
        native = spec.native.get(self._name, {})
        return not _options.native_problem(self._name, native, self._config)

    def options(self, spec: JobSpec) -> tuple[str, ...]:
        """Give what makes jobs alike: the native specification, and what the template has else."""
        native = spec.native.get(self._name, {})
        rest = {name: value for name, value in native.items() if name in _template.SHARED}
        try:
            words = _options.words(self._name, spec, self._config)
        except _options.UnfitError as exc:
            # Refused when it is handed over, by itself.
            words = (exc.why,)
        return (*words, json.dumps(rest, sort_keys=True))

    def submit(self, batch: Batch, script: bytes) -> Talk[Submission]:
        """Hand a submission over."""
        line = script.partition(b"\n")[2].rstrip(b"\n")
        if b"\n" in line:
            # Grid Engine cuts an argument at its first newline.
            why = "the path of the store, or of python, holds a newline"
            return Submission(answer=Answer.REFUSED, message=why)
        try:
            words = (
                *_options.words(self._name, batch.spec, self._config),
                *_options.dependencies(batch.attempt.predecessors),
            )
        except _options.UnfitError as exc:
            return Submission(answer=Answer.REFUSED, message=exc.why)
        made = _template.template(self._name, batch.spec, batch, script, words)
        reply = yield _template.submit_command(
            made, len(batch.tokens), self._config.submit_timeout_s
        )
        return _submitting.read(reply)

    def queue(self, known: Sequence[Known]) -> Talk[Sequence[Row]]:
        """List all own jobs; delete those that were to end and whose wrapper is deaf."""
        rows = yield from self._list({entry.key for entry in known})
        yield from self._delete_deaf(rows, known)
        return rows

    def _list(self, keys: set[str]) -> Talk[list[Row]]:
        timeout_s = self._config.command_timeout_s
        reply = yield _qstat.list_command(self._user, timeout_s)
        rows = _qstat.rows_of(_qstat.read(reply))
        mine = [row for row in rows if row.key in keys]
        if any(row.hold is None and row.phase is not Phase.ENDED for row in mine):
            held: list[Row] = []
            reply = yield _qstat.list_command(self._user, timeout_s, _qstat.HELD_BY_USER)
            by_user = _qstat.rows_of(_qstat.read(reply))
            for which in _qstat.HELD_BY_OTHERS:
                reply = yield _qstat.list_command(self._user, timeout_s, which)
                held += _qstat.rows_of(_qstat.read(reply))
            rows = _qstat.with_holds(rows, by_user, held)
        failed = sorted({row.submission for row in mine if "E" in row.word})
        if failed:
            reply = yield _qstat.reason_command(failed, timeout_s)
            reasons = _qstat.read_reasons(reply)
            rows = [
                evolve(row, word=f"{row.word} ({reasons[row.submission]})")
                if "E" in row.word and row.submission in reasons
                else row
                for row in rows
            ]
        return rows

    def _delete_deaf(self, rows: Sequence[Row], known: Sequence[Known]) -> Talk[None]:
        deaf = self._patience.deaf(rows, known)
        if deaf:
            yield _control.delete_command(deaf, self._config.command_timeout_s)

    def recall(self, left: Sequence[Left]) -> Talk[Recalled]:
        """Ask accounting for what has ended or is listed nowhere, and wait for what it lacks."""
        rows: dict[str, Row] = {}
        again: set[str] = set()
        complete = True
        asks = self._config.accounting and time.monotonic() >= self._no_accounts_until
        if asks:
            try:
                rows = yield from self._accounts([entry.known for entry in left], again)
            except _qacct.AccountingOffError:
                self._no_accounts_until = time.monotonic() + _ASK_AGAIN_S
                asks = False
            except UnreachableError:
                complete, asks = False, False
        not_yet: set[str] = set()
        silent: list[Left] = []
        for entry in left:
            known = entry.known
            found = rows.get(known.native_id)
            if found is not None and found.key == known.key:
                continue
            if asks and entry.waited_s < self._config.accounting_gap_s:
                not_yet.add(known.native_id)
            elif entry.row is not None and complete:
                unrun = asks and (not entry.has_begun or known.native_id in again)
                rows[known.native_id] = _untold(entry, entry.row, was_deleted=unrun)
            elif asks and not entry.has_begun:
                silent.append(entry)
        rows.update((yield from self._deleted(silent)))
        return Recalled(rows=list(rows.values()), complete=complete, not_yet=frozenset(not_yet))

    def _deleted(self, silent: Sequence[Left]) -> Talk[dict[str, Row]]:
        """Find those that were deleted while they waited, where qmaster lists no ended jobs.

        They have neither account nor claim. The library's session has heard of their end if it
        was there; that it knows no such job says nothing.
        """
        if not silent:
            return {}
        ids = [entry.known.native_id for entry in silent]
        try:
            reply = yield _asking.about("status", ids, self._config.command_timeout_s)
            told = _asking.answers(reply.stdout, "status")
        except UnreachableError:
            return {}
        return {
            entry.known.native_id: _untold(entry, _unlisted(entry.known), was_deleted=True)
            for entry in silent
            if told.get(entry.known.native_id) == JobState.FAILED
        }

    def _accounts(self, known: Sequence[Known], again: set[str]) -> Talk[dict[str, Row]]:
        """Give the ends that are on record; add to *again* who was put back to be run again."""
        found: dict[str, Row] = {}
        keys = {entry.key for entry in known}
        for command in _qacct.commands(self._user, known, self._config.command_timeout_s):
            records = _qacct.read((yield command))
            mine = [record for record in records if _qacct.submission_of(record)[0] in keys]
            found.update(_qacct.rows_of(mine))
            again.update(_qacct.waiting_again(mine))
        return found

    def search(self, keys: Mapping[str, str]) -> Talk[Mapping[str, str]]:
        """Search accounting by the keys that stand in the names."""
        found: dict[str, str] = {}
        if not self._config.accounting or time.monotonic() < self._no_accounts_until:
            return found
        for key in keys:
            try:
                reply = yield _qacct.search_command(self._user, key, self._config.command_timeout_s)
                for record in _qacct.read(reply):
                    name, number = _qacct.submission_of(record)
                    if name == key:
                        found[key] = number
            except UnreachableError:
                return found
        return found

    def control(
        self, orders: Sequence[Order], known: Mapping[str, Known]
    ) -> Talk[Sequence[OrderAnswer]]:
        """Carry out requests on jobs that are what they were: ids are handed out again."""
        timeout_s = self._config.command_timeout_s
        listing = Listing((yield from self._list({entry.key for entry in known.values()})))
        rows = {token: listing.find(entry) for token, entry in known.items()}
        self._patience.begin(orders)
        return (yield from _control.talk(orders, known, rows, timeout_s))

    def diagnose(self) -> Talk[Sequence[Diagnosis]]:
        """Find out what is wrong."""
        return (yield from _doctor.talk(self._config))


def _unlisted(known: Known) -> Row:
    return Row(
        native_id=known.native_id,
        key=known.key,
        phase=Phase.ENDED,
        source=Source.QUEUE,
        word=JobState.FAILED,
        submission=known.submission,
        submitted_at=known.submitted_at,
    )


def _untold(entry: Left, row: Row, *, was_deleted: bool) -> Row:
    """Say how a job ended that is listed as ended, and of whose end there is no account."""
    end = EndReport(
        source=Source.QUEUE,
        at=row.submitted_at or 0.0,
        reason=Reason.CANCELLED if was_deleted else None,
        native_id=entry.known.native_id,
        message="it was deleted while it waited" if was_deleted else "",
    )
    return evolve(row, native_id=entry.known.native_id, indices=(), end=end)

"""Slurm as a scheduler that is spoken to by its commands."""

import math
import os
import re
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
from drover.errors import UnreachableError
from drover.models import (
    Answer,
    Capabilities,
    Claim,
    Diagnosis,
    JobSpec,
    Order,
    OrderAnswer,
    Plan,
    Verb,
)
from drover_slurm import _accounting, _capacity, _control, _doctor, _options, _queue, _submitting
from drover_slurm._config import SlurmConfig
from drover_slurm._plan import LAUNCHERS, make_plan

_MOST_ELEMENTS: Final = 1000
"""In one array: an engine's batch, and the smallest limit that sites set."""
_PARAMETERS: Final = "SchedulerParameters"
_FEWER_TASKS: Final = re.compile(r"\bmax_array_tasks=(\d+)", re.IGNORECASE)
"""Source: slurm.conf(5): so many elements in one array, where the largest index may be greater."""
_ACCOUNTS_LATE_S: Final = 5.0
"""How long accounting may lag behind the queue before the queue's own word is taken."""
_ASK_AGAIN_S: Final = 600.0
"""Between two looks whether a cluster without accounting has got it."""
_MOST_IDS: Final = 400
_CGROUPS: Final = "proctrack/cgroup"
"""There the TERM of scancel reaches only what slurmstepd itself has started: our wrapper.

Source: proctrack_p_signal in proctrack_cgroup.c, "only signal slurm tasks unless signal is
SIGKILL"; tried with 22.05, where `--full` reaches all of them in any case.
"""
_DAY_S: Final = 86400.0

VERBS: Final = frozenset({
    Verb.CANCEL, Verb.TERMINATE, Verb.KILL, Verb.HOLD, Verb.RELEASE, Verb.SUSPEND, Verb.RESUME,
    Verb.REQUEUE, Verb.SIGNAL,
})  # fmt: skip


class Slurm:
    """All that is known about Slurm. It executes nothing itself."""

    native_id = "{SLURM_JOB_ID}"
    element_id = "{SLURM_ARRAY_JOB_ID}_{SLURM_ARRAY_TASK_ID}"
    element_index = "{SLURM_ARRAY_TASK_ID}"
    element_pattern = "{id}_{index}"
    restart = "{SLURM_RESTART_COUNT}"
    settings = TaskSettings(
        pass_env=("SLURM*", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES",
                  "ZE_AFFINITY_MASK", "TMPDIR"),
        shared_signals=_control.SHARED,
        launchers=LAUNCHERS,
    )  # fmt: skip

    def __init__(self, name: str, config: SlurmConfig) -> None:
        self._name = name
        self._config = config
        # By number: LOGNAME may name somebody else, and there may be no name at all.
        self._user = str(os.geteuid())
        self._limit = _MOST_ELEMENTS
        self._kill_wait_s = math.inf
        self._no_accounts_until = 0.0
        self._capacity: _capacity.Capacity | None = None

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
            element_separator="_",
            stage_in=True,
            stage_out=True,
            usage=True,
            exit_record=True,
            max_batch=_MOST_ELEMENTS,
            poll_s=config.poll_s,
            idle_poll_s=config.idle_poll_s,
            missing_grace_s=config.missing_grace_s,
            settle_s=config.settle_s,
            unknown_after_s=config.unknown_after_s,
            cancel_grace_s=30.0,
            environment=tuple(name.rstrip("*") for name in self.settings.pass_env),
            call_s={"drover_submit": 300.0, "drover_observe": 120.0, "drover_control": 120.0},
        )

    @property
    def most_elements(self) -> int:
        """Say how many jobs one array may have."""
        return self._limit

    def start(self) -> Talk[None]:
        """Learn the cluster's limit on arrays, and whom its signals reach."""
        reply = yield _doctor.config_command()
        _queue.check(reply)
        config = _doctor.read_config(reply)
        shared = () if config.get("ProctrackType") == _CGROUPS else _control.SHARED
        self.settings = evolve(self.settings, shared_signals=shared)
        self._kill_wait_s = _kill_wait_s(config.get("KillWait", ""))
        # The largest index is one less than MaxArraySize, and ours begin with 0.
        sizes = [config.get("MaxArraySize", ""), *_FEWER_TASKS.findall(config.get(_PARAMETERS, ""))]
        limits = [int(size) for size in sizes if size.isdecimal()]
        self._limit = max(1, min([_MOST_ELEMENTS, *limits]))

    def plan(self, spec: JobSpec, script: bytes) -> Plan:
        """Judge a specification."""
        bad = _options.native_problem(self._name, spec.native.get(self._name, {}))
        words = () if bad else self.options(spec)
        shown = _submitting.command(words, spec, None, script, 0.0)
        return make_plan(self._name, spec, shown.argv, script)

    def options(self, spec: JobSpec) -> tuple[str, ...]:
        """Give the options that ask for what *spec* wants, and where it is to run."""
        return _options.options(self._name, spec)

    def submit(self, batch: Batch, script: bytes) -> Talk[Submission]:
        """Hand a submission over, unless no node could ever run it."""
        why = self._capacity.problem(batch.spec.resources) if self._capacity else ""
        if why or self._capacity is None:
            # Nodes may have been added: what was read earlier alone refuses nothing.
            try:
                reply = yield _capacity.command(self._config.command_timeout_s)
                self._capacity = _capacity.read(reply)
                why = self._capacity.problem(batch.spec.resources)
            except UnreachableError:
                why = ""  # Nothing was handed over yet: sbatch itself is asked.
        if why:
            return Submission(answer=Answer.REFUSED, message=why)
        timeout_s = self._config.submit_timeout_s
        words = (*self.options(batch.spec), *_options.dependencies(batch.attempt.predecessors))
        reply = yield _submitting.command(words, batch.spec, batch, script, timeout_s)
        return _submitting.read(reply)

    def queue(self, known: Sequence[Known]) -> Talk[Sequence[Row]]:
        """List all own jobs."""
        rows = yield from self._list()
        return (yield from self._count_restarts(rows, known))

    def _list(self) -> Talk[list[Row]]:
        reply = yield _queue.list_command(self._user, self._config.command_timeout_s)
        return _queue.read_list(reply)

    def _count_restarts(self, rows: list[Row], known: Sequence[Known]) -> Talk[list[Row]]:
        """Ask how often jobs were requeued, those alone that may be."""
        asked = {entry.native_id for entry in known if entry.requeue and entry.native_id}
        wanted = [row.native_id for row in rows if not row.indices and row.native_id in asked]
        if not wanted:
            return rows
        details = yield from self._details(wanted)
        counts = {native_id: count for native_id, (_, count, _) in details.items()}
        return [
            evolve(row, restart=counts[row.native_id]) if row.native_id in counts else row
            for row in rows
        ]

    def _details(self, ids: Sequence[str]) -> Talk[dict[str, tuple[int | None, int, str]]]:
        found: dict[str, tuple[int | None, int, str]] = {}
        for start in range(0, len(ids), _MOST_IDS):
            part = ids[start : start + _MOST_IDS]
            reply = yield _queue.details_command(part, self._config.command_timeout_s)
            found.update(_queue.read_details(reply))
        return found

    def recall(self, left: Sequence[Left]) -> Talk[Recalled]:
        """Ask accounting; where it is silent, ask the controller for the status of failed jobs."""
        rows: dict[str, Row] = {}
        complete = True
        asks = self._config.accounting and time.monotonic() >= self._no_accounts_until
        if asks:
            try:
                rows = yield from self._accounts(left)
            except _accounting.AccountingOffError:
                self._no_accounts_until = time.monotonic() + _ASK_AGAIN_S
                asks = False
            except UnreachableError:
                complete, asks = False, False
        missing = [entry for entry in left if entry.known.native_id not in rows]
        not_yet = {
            entry.known.native_id
            for entry in missing
            if asks and entry.row is not None and entry.waited_s < _ACCOUNTS_LATE_S
        }
        unclear = [
            entry.known.native_id
            for entry in missing
            if entry.row is not None
            and not entry.has_record
            and entry.known.native_id not in not_yet
        ]
        details = (yield from self._details(unclear)) if unclear else {}
        for entry in missing:
            if entry.known.native_id in details and entry.row is not None:
                status, restart, reason = details[entry.known.native_id]
                at = entry.row.end.at if entry.row.end else 0.0
                end = _queue.end_of(entry.row.word, reason, status, at, entry.known.native_id)
                rows[entry.known.native_id] = evolve(entry.row, end=end, restart=restart)
        return Recalled(rows=list(rows.values()), complete=complete, not_yet=frozenset(not_yet))

    def _accounts(self, left: Sequence[Left]) -> Talk[dict[str, Row]]:
        found: dict[str, Row] = {}
        entries = {entry.known.native_id: entry for entry in left}
        ids = list(entries)
        for start in range(0, len(ids), _MOST_IDS):
            part = ids[start : start + _MOST_IDS]
            reply = yield _accounting.command(part, self._config.command_timeout_s)
            for account in _accounting.read(reply):
                row = _accounting.row_of(account)
                entry = entries.get(account.native_id)
                if row is not None and not (entry and _is_of_earlier_run(account, entry)):
                    found[row.native_id] = row
        return found

    def search(self, keys: Mapping[str, str]) -> Talk[Mapping[str, str]]:
        """Search accounting by the names that were given to the submissions."""
        if not self._config.accounting or time.monotonic() < self._no_accounts_until:
            return {}
        since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 7 * _DAY_S))
        names = [_submitting.job_name(label, key) for key, label in keys.items()]
        found: dict[str, str] = {}
        try:
            for start in range(0, len(names), _MOST_IDS):
                part = names[start : start + _MOST_IDS]
                reply = yield _accounting.search_command(
                    part, since, self._config.command_timeout_s
                )
                for account in _accounting.read(reply):
                    if account.key in keys:
                        found[account.key] = account.native_id.partition("_")[0]
        except UnreachableError:
            return found
        return found

    def control(
        self, orders: Sequence[Order], known: Mapping[str, Known]
    ) -> Talk[Sequence[OrderAnswer]]:
        """Carry out requests on jobs that are what they were: ids are handed out again."""
        listing = Listing((yield from self._list()))
        rows = {token: listing.find(entry) for token, entry in known.items()}
        shared, timeout_s = self.settings.shared_signals, self._config.command_timeout_s
        wait_s = self._kill_wait_s
        return (
            yield from _control.talk(orders, known, rows, timeout_s, shared, kill_wait_s=wait_s)
        )

    def diagnose(self) -> Talk[Sequence[Diagnosis]]:
        """Find out what is wrong."""
        return (yield from _doctor.talk(self._config.cluster, time.time()))


def _kill_wait_s(text: str) -> float:
    """Read `30 sec`; where it is not told, no grace is known to be too long for it."""
    number = text.partition(" ")[0]
    return float(number) if number.isdecimal() else math.inf


def _is_of_earlier_run(account: _accounting.Account, entry: Left) -> bool:
    """Tell whether accounting, which lags, has only the run that the present one follows.

    A requeue is a submission anew, by the same clock.
    """
    now = entry.row.submitted_at if entry.row is not None else None
    then = account.submitted_at
    return now is not None and then is not None and then < now

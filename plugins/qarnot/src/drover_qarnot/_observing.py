"""What is seen of attempts: the cloud's word on tasks, and the records that their runners left."""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from attrs import evolve, frozen

from drover.commandline import read_exit_record, read_start_record, read_unrun_records
from drover.errors import DroverError
from drover.models import (
    Attempt,
    EndReport,
    Observation,
    Phase,
    Progress,
    Reason,
    Source,
    Started,
    Usage,
)
from drover_qarnot._book import Member
from drover_qarnot._cloud import Cloud, RefusedError
from drover_qarnot._names import native_id_of
from drover_qarnot._states import FINAL, INSTANCE_PHASES, TASK_STATES

CANCELS: Final = frozenset({"Cancelled", "PendingCancel"})
"""The cloud's words for a task that somebody has ended."""
RECORDS: Final = ("claim.", "start.", "exit.", "unrun.", "out.json")
"""Beginnings of the names of what is kept here of an instance."""


@frozen(kw_only=True)
class Instance:
    """What the cloud says of one instance of a task."""

    state: str
    """The task's."""
    phase: str = ""
    """The instance's own, while it is under way."""
    end: str = ""
    """`Success`, `Failure` or `Cancelled`, once it has ended."""
    executed_s: float | None = None
    progress: float | None = None
    usage: Usage | None = None
    message: str = ""
    waited_in_vain: bool = False
    """The tasks that it waited for came to something else."""
    alone: bool = True

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more comes of it."""
        return bool(self.end) or self.state in FINAL

    @property
    def native_state(self) -> str:
        """Give the cloud's own words."""
        return "/".join(filter(None, (self.state, self.end or self.phase)))


def read_instance(task: Any, number: int, *, alone: bool) -> Instance:
    """Read what a task says of one of its instances.

    Raises:
        TypeError, ValueError: The cloud's answer has another form than the API has.
    """
    seen = Instance(state=str(task.state), message=_errors_of(task), alone=alone)
    dependencies = task.dependencies
    if dependencies is not None and dependencies.state is not None:
        words = str(dependencies.state).lower()
        seen = evolve(seen, waited_in_vain="notfulfilled" in words.replace("_", ""))
    for ended in task.completed_instances:
        if ended.instance_id == number:
            usage = Usage(
                wall_s=ended.wall_time_sec,
                max_rss_bytes=(ended.peak_memory_mb or 0) * 2**20 or None,
            )
            return evolve(seen, end=str(ended.state), executed_s=ended.exec_time_sec, usage=usage)
    status = task.status
    infos = status.running_instances_info.per_running_instance_info if status else ()
    for info in infos:
        if info.instance_id == number:
            return evolve(
                seen,
                phase=str(info.phase or ""),
                executed_s=info.execution_time_sec,
                progress=info.progress,
            )
    return seen


def _errors_of(task: Any) -> str:
    return "; ".join(f"{error.code}: {error.message}" for error in task.errors or ())


def phase_of(seen: Instance) -> Phase:
    """Say where an instance is that is not over."""
    if seen.phase:
        return INSTANCE_PHASES.get(seen.phase.lower(), Phase.UNKNOWN)
    phase = TASK_STATES.get(seen.state, Phase.UNKNOWN)
    if phase is Phase.RUNNING and seen.state == "PartiallyExecuting" and not seen.alone:
        # Others of the task run; of this one nothing is told.
        return Phase.QUEUED
    return phase


class Observing:
    """Look at placed attempts."""

    def __init__(
        self,
        cloud: Cloud,
        attempt_dir: Callable[[Attempt], Path],
        results: Callable[[str], str],
        record_grace_s: float,
    ) -> None:
        self._cloud = cloud
        self._attempt_dir = attempt_dir
        self._results = results
        self._record_grace_s = record_grace_s
        self._over_since: dict[str, float] = {}

    def look(
        self, attempt: Attempt, member: Member, task: Any, crew: int, at: float
    ) -> list[Observation]:
        """Tell what is known of one attempt. One bad answer harms that attempt alone."""
        native_id = native_id_of(task.uuid, member.instance)
        row = Observation(
            token=attempt.token,
            phase=Phase.UNKNOWN,
            source=Source.SERVER,
            at=at,
            native_id=native_id,
        )
        try:
            seen = read_instance(task, member.instance, alone=crew == 1)
        except (AttributeError, TypeError, ValueError) as error:
            return [evolve(row, native_state=f"{task.state}: unreadable ({error!r})")]
        row = evolve(row, native_state=seen.native_state)
        if not seen.is_over:
            return [self._going_on(row, member, seen, at)]
        folder = self._attempt_dir(attempt)
        try:
            self._fetch(folder, member)
        except (DroverError, RefusedError) as error:
            # The records are the store's; if it cannot be asked, nothing follows.
            return [evolve(row, native_state=f"{seen.native_state}; no record yet: {error}")]
        return self._ended(row, attempt, member, seen, folder)

    def _going_on(self, row: Observation, member: Member, seen: Instance, at: float) -> Observation:
        phase = phase_of(seen)
        if phase is Phase.RUNNING and is_stopped(member.requests):
            phase = Phase.SUSPENDED
        progress = None
        if seen.progress:
            fraction = min(1.0, max(0.0, seen.progress / 100))
            progress = Progress(fraction=fraction, text=seen.phase, at=at)
        started_at = at - seen.executed_s if seen.executed_s and phase is not Phase.QUEUED else None
        return evolve(row, phase=phase, started_at=started_at, progress=progress)

    # --- ends ----------------------------------------------------------------------------------

    def _ended(
        self, row: Observation, attempt: Attempt, member: Member, seen: Instance, folder: Path
    ) -> list[Observation]:
        record = read_exit_record(folder, token=attempt.token)
        native_id = row.native_id or ""
        if record is not None:
            start = read_start_record(folder)
            row = evolve(row, phase=Phase.ENDED, started_at=start.at if start else None)
            reason = reason_beside(record, member, seen)
            record = evolve(record, native_id=native_id)
            told = evolve(record, source=Source.SERVER, reason=reason)
            return [
                evolve(row, source=Source.EXIT_RECORD, end=record),
                evolve(row, end=told),
            ]
        unrun = read_unrun_records(folder)
        if unrun and member.ending is None:
            return [evolve(row, phase=Phase.UNRUN, native_state=unrun[-1].why)]
        since = self._over_since.setdefault(attempt.token, row.at)
        if seen.state not in FINAL and row.at - since < self._record_grace_s:
            return [
                evolve(row, phase=Phase.RUNNING, native_state=f"{seen.native_state}; no record")
            ]
        end = unrecorded_end(seen, member, native_id, row.at, unrun=bool(unrun))
        return [evolve(row, phase=Phase.ENDED, end=end)]

    def _fetch(self, folder: Path, member: Member) -> None:
        """Bring an instance's records here, once."""
        if (folder / "exit.0.json").exists():
            return
        bucket, prefix = self._results(member.batch), f"{member.batch}/{member.instance}/"
        names = [row.key.removeprefix(prefix) for row in self._cloud.listing(bucket, prefix)]
        # The claim before the record that names it: what is cut off between is fetched again.
        for name in sorted(filter(_is_record, names), key=lambda name: name == "exit.0.json"):
            content = self._cloud.get(bucket, prefix + name)
            if content is not None:
                draft = folder / f".{name}-fetched"
                draft.write_bytes(content)
                draft.replace(folder / name)

    def forget(self, token: str) -> None:
        """Let go of what is remembered of an attempt."""
        self._over_since.pop(token, None)


def _is_record(name: str) -> bool:
    return "/" not in name and name.startswith(RECORDS)


def reason_beside(record: EndReport, member: Member, seen: Instance) -> Reason | None:
    """Say why an instance ended of which there is a record: a signal may have been the cloud's."""
    is_killed = record.reason is None and record.signal is not None
    if member.ending is not None or (is_killed and CANCELS & {seen.end, seen.state}):
        return Reason.CANCELLED
    return record.reason


def is_stopped(requests: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether the last thing asked of a command was to stand still."""
    words = [request["why"] for request in requests if request["why"] in {"suspend", "resume"}]
    return bool(words) and words[-1] == "suspend"


def unrecorded_end(
    seen: Instance, member: Member, native_id: str, at: float, *, unrun: bool
) -> EndReport:
    """Tell an end of which no runner has left a record, by the cloud's word alone."""
    word = seen.end or seen.state
    ran = bool(seen.executed_s)
    report = EndReport(
        source=Source.SERVER,
        at=at,
        native_id=native_id,
        started=Started.UNKNOWN if ran else Started.NO,
        usage=seen.usage,
        message=seen.message,
    )
    if word == "Success":
        # Every instance has exited with 0, and the runner's exit code is the command's.
        return evolve(report, exit_code=0, started=Started.YES)
    if member.ending is not None or unrun or word in {"Cancelled", "PendingDelete"}:
        reason = Reason.CANCELLED
        if seen.waited_in_vain and member.ending is None:
            reason = Reason.DEPENDENCY_FAILED
        message = seen.message or f"the cloud says {word}"
        return evolve(report, reason=reason, message=message)
    why = "its runner left no record"
    return evolve(
        report,
        reason=Reason.NODE_LOST if ran else Reason.LAUNCH_FAILED,
        message=f"{seen.message or word}; {why}",
    )


def outputs_of(folder: Path) -> dict[str, Any]:
    """Read the list of outputs that an instance brought back; empty if there is none."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((folder / "out.json").read_bytes())
        if isinstance(found, dict):
            return cast("dict[str, Any]", found)
    return {}

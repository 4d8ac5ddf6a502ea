"""What `squeue` can print of a job: each field once, by its name for -O and its letter for -o."""

import pwd
from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Final

from attrs import frozen

from drover.testing.scheduler.slurm._columns import SAME
from drover.testing.scheduler.slurm._job import Job
from drover.testing.scheduler.slurm._patterns import stream_path
from drover.testing.scheduler.slurm._site import SlurmSite
from drover.testing.scheduler.slurm._text import (
    clock_text,
    fold_hosts,
    length_text,
    size_text,
)
from drover.testing.scheduler.slurm._words import Flag, State

_TOP: Final = 4294967295
"""What a priority is measured against."""


@frozen(kw_only=True)
class Shown:
    """One line of a listing: a record, or one task of an array that waits."""

    job: Job
    task: int | None
    """The index, where a record stands for several."""
    site: SlurmSite
    now: float
    environment: Mapping[str, str]
    zone: tzinfo
    convert: bool = True

    def clock(self, at: float | None, unknown: str = "N/A") -> str:
        """Write an instant."""
        return clock_text(at, self.environment, self.zone, unknown)

    @property
    def native_id(self) -> str:
        """Give `%i`."""
        if self.task is not None:
            return f"{self.job.base_id}_{self.task}"
        if not self.job.waiting:
            return self.job.native_id
        return f"{self.job.base_id}_[{self.job.task_text(self._most)}]"

    @property
    def task_text(self) -> str:
        """Give `%K`."""
        if self.job.array is None:
            return "N/A"
        if self.task is not None:
            return str(self.task)
        if self.job.array.task is not None:
            return str(self.job.array.task)
        return self.job.task_text(self._most)

    @property
    def _most(self) -> int:
        """Give the room for indices."""
        return int(self.environment.get("SLURM_BITSTR_LEN", "64") or 64)

    @property
    def nodes(self) -> str:
        """Give `%N`."""
        return fold_hosts(self.job.nodes)

    @property
    def expected_start(self) -> float | None:
        """Give `%S`: when it started, or may at the earliest."""
        job = self.job
        if job.start_at is not None or job.held_by:
            return job.start_at
        return job.begin_at if job.begin_at > self.now else None

    @property
    def expected_end(self) -> float | None:
        """Give `%e`."""
        job, start = self.job, self.expected_start
        if job.end_at is not None or start is None or job.time_limit_s is None:
            return job.end_at
        return start + job.stopped_s + job.time_limit_s

    @property
    def why_or_where(self) -> str:
        """Give `%R`."""
        job = self.job
        bad = job.state.has_ended and job.state is not State.COMPLETED
        if job.state is State.PENDING or (bad and Flag.COMPLETING not in job.flags):
            return f"({job.reason})"
        return self.nodes

    @property
    def time_left(self) -> str:
        """Give `%L`."""
        limit = self.job.time_limit_s
        if limit is None:
            return "UNLIMITED"
        left = limit - self.job.ran_by(self.now)
        return length_text(left) if left >= 0 else f"-{length_text(-left)}"


def _option(name: str, default: str = "(null)") -> Callable[[Shown], str]:
    return lambda row: row.job.options.get(name) or default


def _fixed(text: str) -> Callable[[Shown], str]:
    return lambda _row: text


def _command(row: Shown) -> str:
    words = [row.job.command, *row.job.arguments] if row.job.command else []
    return " ".join(words) or "(null)"


def _dependency(row: Shown) -> str:
    if not row.job.dependency or row.job.state is not State.PENDING:
        return "(null)"
    failed = row.job.reason == "DependencyNeverSatisfied"
    word = "failed" if failed else "unfulfilled"
    return ",".join(f"{part}({word})" for part in row.job.dependency.split(","))


def _share(row: Shown) -> str:
    return "NO" if "exclusive" in row.job.options else "OK"


def _priority(row: Shown) -> str:
    return f"{row.job.priority / _TOP:.14f}"


def _path(name: str) -> Callable[[Shown], str]:
    """Give the path of a stream's file; only where nobody named one is it filled in."""
    return lambda row: stream_path(row.job, name, filled=False)


def _tres(row: Shown) -> str:
    job = row.job
    memory = size_text(job.total_memory_mb(row.site.memory_mb))
    nodes = len(job.nodes) or job.node_count
    return f"cpu={job.cpus},mem={memory},node={nodes},billing={job.cpus}"


def _waited(row: Shown) -> str:
    until = row.job.start_at if row.job.start_at is not None else row.now
    return str(int(until - row.job.submit_at))


FIELDS: Final[Mapping[str, Callable[[Shown], str]]] = {
    "account": lambda row: row.job.account,
    "accruetime": lambda row: row.clock(row.job.eligible_at),
    "allocnodes": lambda row: row.site.host,
    "allocsid": _fixed("1"),
    "arrayjobid": lambda row: str(row.job.base_id),
    "arraytaskid": lambda row: row.task_text,
    "batchhost": lambda row: row.job.nodes[0] if row.job.nodes else "n/a",
    "cluster": lambda row: row.site.cluster,
    "command": _command,
    "comment": lambda row: row.job.comment or "(null)",
    "cpus-per-task": _option("cpus-per-task", "1"),
    "dependency": _dependency,
    "eligibletime": lambda row: row.clock(row.job.eligible_at),
    "endtime": lambda row: row.clock(row.expected_end),
    "excnodes": _option("exclude", ""),
    "exit_code": lambda row: str(row.job.exit_status),
    "feature": _option("constraint"),
    "groupid": lambda row: str(row.job.gid),
    "groupname": lambda row: row.job.group,
    "jobarrayid": lambda row: row.native_id,
    "jobid": lambda row: str(row.job.job_id),
    "lastschedeval": lambda row: row.clock(row.job.eligible_at or row.job.submit_at),
    "licenses": _option("licenses"),
    "mincpus": lambda row: str(row.job.cpus_per_node),
    "minmemory": lambda row: size_text(row.job.memory_mb, convert=row.convert),
    "mintmpdisk": _option("tmp", "0"),
    "name": lambda row: row.job.name,
    "nice": _option("nice", "0"),
    "nodelist": lambda row: row.nodes,
    "ntpernode": _option("ntasks-per-node", "0"),
    "numcpus": lambda row: str(row.job.cpus),
    "numnodes": lambda row: str(len(row.job.nodes) or row.job.node_count),
    "numtasks": lambda row: str(row.job.tasks),
    "oversubscribe": _share,
    "partition": lambda row: row.job.partition,
    "pendingtime": _waited,
    "priority": _priority,
    "prioritylong": lambda row: str(row.job.priority),
    "qos": _option("qos", "normal"),
    "reason": lambda row: row.job.reason,
    "reasonlist": lambda row: row.why_or_where,
    "reqnodes": _option("nodelist", ""),
    "requeue": lambda row: str(int(row.job.requeue)),
    "reservation": _option("reservation"),
    "restartcnt": lambda row: str(row.job.restarts),
    "selectjobinfo": _fixed(""),
    "starttime": lambda row: row.clock(row.expected_start),
    "state": lambda row: row.job.shown,
    "statecompact": lambda row: row.job.shown_short,
    "stderr": _path("error"),
    "stdin": _path("input"),
    "stdout": _path("output"),
    "submittime": lambda row: row.clock(row.job.submit_at),
    "timeleft": lambda row: row.time_left,
    "timelimit": lambda row: length_text(row.job.time_limit_s),
    "timeused": lambda row: length_text(row.job.ran_by(row.now)),
    "tres-alloc": _tres,
    "tres-per-job": _option("gpus", "N/A"),
    "tres-per-node": _option("gres", "N/A"),
    "tres-per-task": _option("gpus-per-task", "N/A"),
    "userid": lambda row: str(row.job.uid),
    "username": lambda row: row.job.user,
    "wckey": _option("wckey"),
    "workdir": lambda row: row.job.work_dir,
    **{name: _fixed(text) for name, text in SAME.items()},
}
"""By the names of `squeue -O`, in small letters. Source: squeue(1) of Slurm 22.05."""


def is_user(name: str) -> bool:
    """Tell whether this machine knows a user, by name or number."""
    if name.isdigit():
        return True
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True

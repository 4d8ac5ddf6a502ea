"""What `sacct` can print of a job or of its batch step: each field once, by its name."""

from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Final

from attrs import frozen

from drover.testing.scheduler.slurm._accounting import Account
from drover.testing.scheduler.slurm._job import Job
from drover.testing.scheduler.slurm._site import SlurmSite
from drover.testing.scheduler.slurm._text import (
    clock_text,
    fold_hosts,
    length_text,
    size_text,
)
from drover.testing.scheduler.slurm._words import State


@frozen(kw_only=True)
class Line:
    """One line: an incarnation of a job, or its batch step."""

    account: Account
    step: str = ""
    """`batch`, or "" for the job itself."""
    site: SlurmSite
    now: float
    environment: Mapping[str, str]
    zone: tzinfo
    units: str = ""
    """K, M... for all sizes; "" for the usual; `-` for none converted."""

    @property
    def job(self) -> Job:
        """Give the job as accounting has it."""
        return self.account.job

    def clock(self, at: float | None, unknown: str = "Unknown") -> str:
        """Write an instant."""
        return clock_text(at, self.environment, self.zone, unknown)

    @property
    def suffix(self) -> str:
        """Give what follows an id."""
        return f".{self.step}" if self.step else ""

    @property
    def elapsed_s(self) -> float:
        """Give for how long it has run."""
        return self.job.ran_by(self.now)


def _job_only(give: Callable[[Line], str]) -> Callable[[Line], str]:
    return lambda line: "" if line.step else give(line)


def _step_only(give: Callable[[Line], str]) -> Callable[[Line], str]:
    return lambda line: give(line) if line.step else ""


def _fixed(text: str) -> Callable[[Line], str]:
    return lambda _line: text


def _native_id(line: Line) -> str:
    return f"{line.job.native_id}{line.suffix}"


def _end(line: Line) -> str:
    if not line.job.state.has_ended and not line.account.requeued:
        return "Unknown"
    return line.clock(line.job.end_at)


def _start(line: Line) -> str:
    job = line.job
    never = job.state is State.CANCELLED and not job.nodes
    return "None" if never else line.clock(job.start_at)


def _state(line: Line) -> str:
    state = line.account.state
    if not line.step or line.account.step_word:
        return line.account.step_word if line.step else state
    killed = state == State.FAILED and bool(line.job.exit_status & 0x7F)
    if killed or line.account.requeued or state.startswith(("CANCELLED", "TIMEOUT", "PREEMPTED")):
        return "CANCELLED"
    return state


def _step_code(line: Line) -> str:
    status = line.job.exit_status
    return f"{(status >> 8) & 0x7F}:{status & 0x7F}"


def _code(line: Line) -> str:
    return _step_code(line) if line.step else line.account.code_and_signal


def _cpu(seconds: float) -> str:
    """Write CPU time: with thousandths, without hours that are none."""
    if not seconds:
        return "00:00:00"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{minutes:02}:{rest:06.3f}"
    return f"{hours:02}:{text}" if hours else text


def _kilobytes(line: Line, kilobytes: int) -> str:
    if not kilobytes:
        return ""
    if line.units == "-":
        return str(kilobytes * 1024)
    if line.units in ("", "K"):
        return f"{kilobytes}K"
    value = kilobytes / 1024 ** "KMGTP".index(line.units)
    return f"{value:.2f}{line.units}"


def _required(line: Line) -> str:
    total = line.job.total_memory_mb(line.site.memory_mb)
    return f"{total * 1024}K" if line.units == "K" else size_text(total, convert=line.units != "-")


def _tres(line: Line, *, billing: bool) -> str:
    job = line.job
    total = job.total_memory_mb(line.site.memory_mb)
    text = f"cpu={job.cpus},mem={size_text(total)},node={len(job.nodes) or job.node_count}"
    return f"billing={job.cpus},{text}" if billing else text


def _allocated(line: Line) -> str:
    return _tres(line, billing=not line.step) if line.job.nodes else ""


def _nodes(line: Line) -> str:
    return fold_hosts(line.job.nodes) or "None assigned"


def _comment(line: Line) -> str:
    # It comes with the end, and only where the site stores it.
    told = line.site.stores_comment and line.job.state.has_ended
    return line.job.comment if told else ""


def _energy(line: Line) -> str:
    used = line.job.usage.energy_j
    return "0" if used is None else str(used)


def _waited(line: Line) -> str:
    job = line.job
    if job.eligible_at is None:
        return "00:00:00"
    until = job.start_at if job.start_at is not None else job.end_at or line.now
    return (
        length_text(until - job.eligible_at, padded=True) if until >= job.eligible_at else "INVALID"
    )


def _limit(line: Line) -> str:
    seconds = line.job.time_limit_s
    return "UNLIMITED" if seconds is None else length_text(seconds, padded=True)


def _minutes(line: Line) -> str:
    seconds = line.job.time_limit_s
    return "UNLIMITED" if seconds is None else str(int(seconds // 60))


def _option(name: str, default: str = "") -> Callable[[Line], str]:
    return _job_only(lambda line: line.job.options.get(name) or default)


def _reason(line: Line) -> str:
    job = line.job
    return job.reason if job.start_at is None or not job.nodes else "None"


def _tres_used(line: Line) -> str:
    used = line.job.usage
    if not used.max_rss_kb:
        return "energy=0"
    cpu = length_text(used.user_cpu_s + used.system_cpu_s, padded=True)
    return f"cpu={cpu},energy={used.energy_j or 0},fs/disk=0,mem={used.max_rss_kb}K,pages=0"


def _name(line: Line) -> str:
    # The database keeps 255 characters of it.
    return line.step or line.job.name[:255]


FIELDS: Final[Mapping[str, Callable[[Line], str]]] = {
    "account": lambda line: line.job.account,
    "admincomment": _fixed(""),
    "alloccpus": lambda line: str(line.job.cpus),
    "allocnodes": lambda line: str(len(line.job.nodes)),
    "alloctres": _allocated,
    "associd": _fixed("2"),
    "avecpu": _step_only(
        lambda line: _cpu(line.job.usage.user_cpu_s + line.job.usage.system_cpu_s)
    ),
    "averss": _step_only(lambda line: _kilobytes(line, line.job.usage.max_rss_kb)),
    "avevmsize": _step_only(lambda line: _kilobytes(line, line.job.usage.max_rss_kb)),
    "blockid": _fixed(""),
    "cluster": lambda line: line.site.cluster,
    "comment": _job_only(_comment),
    "constraints": _option("constraint"),
    "consumedenergy": _energy,
    "consumedenergyraw": _energy,
    "container": _fixed(""),
    "cputime": lambda line: length_text(int(line.elapsed_s) * line.job.cpus, padded=True),
    "cputimeraw": lambda line: str(int(line.elapsed_s) * line.job.cpus),
    "dbindex": lambda line: str(line.account.index),
    "derivedexitcode": _job_only(_fixed("0:0")),
    "elapsed": lambda line: length_text(line.elapsed_s, padded=True),
    "elapsedraw": lambda line: str(int(line.elapsed_s)),
    "eligible": lambda line: line.clock(line.job.eligible_at),
    "end": _end,
    "exitcode": _code,
    "flags": _job_only(_fixed("SchedMain,StartRecieved")),
    "gid": _job_only(lambda line: str(line.job.gid)),
    "group": _job_only(lambda line: line.job.group),
    "jobid": _native_id,
    "jobidraw": lambda line: f"{line.job.job_id}{line.suffix}",
    "jobname": _name,
    "layout": _step_only(_fixed("Unknown")),
    "maxrss": _step_only(lambda line: _kilobytes(line, line.job.usage.max_rss_kb)),
    "maxrssnode": _step_only(lambda line: line.job.nodes[0] if line.job.nodes else ""),
    "maxrsstask": _step_only(_fixed("0")),
    "maxvmsize": _step_only(lambda line: _kilobytes(line, line.job.usage.max_rss_kb)),
    "mcslabel": _fixed(""),
    "ncpus": lambda line: str(line.job.cpus),
    "nnodes": lambda line: str(len(line.job.nodes) or line.job.node_count),
    "nodelist": _nodes,
    "ntasks": _step_only(_fixed("1")),
    "partition": _job_only(lambda line: line.job.partition),
    "priority": _job_only(lambda line: str(line.job.priority)),
    "qos": _option("qos", "normal"),
    "qosraw": _job_only(_fixed("1")),
    "reason": _job_only(_reason),
    "reqcpufreq": _job_only(_fixed("Unknown")),
    "reqcpus": lambda line: str(line.job.cpus),
    "reqmem": _job_only(_required),
    "reqnodes": lambda line: str(line.job.node_count),
    "reqtres": _job_only(lambda line: _tres(line, billing=True)),
    "reservation": _option("reservation"),
    "reservationid": _fixed(""),
    "reserved": _job_only(_waited),
    "start": _start,
    "state": _state,
    "submit": lambda line: line.clock(line.job.start_at if line.step else line.job.submit_at),
    "submitline": _job_only(lambda line: line.job.submit_line),
    "suspended": lambda line: length_text(line.job.stopped_s, padded=True),
    "systemcomment": _fixed(""),
    "systemcpu": lambda line: _cpu(line.job.usage.system_cpu_s),
    "timelimit": _job_only(_limit),
    "timelimitraw": _job_only(_minutes),
    "totalcpu": lambda line: _cpu(line.job.usage.user_cpu_s + line.job.usage.system_cpu_s),
    "tresusageinmax": _step_only(_tres_used),
    "tresusageintot": _step_only(_tres_used),
    "uid": _job_only(lambda line: str(line.job.uid)),
    "user": _job_only(lambda line: line.job.user),
    "usercpu": lambda line: _cpu(line.job.usage.user_cpu_s),
    "wckey": _option("wckey"),
    "workdir": _job_only(lambda line: line.job.work_dir),
}
"""By the names of `sacct --format`, in small letters. Source: sacct(1) of Slurm 22.05."""

NAMES: Final = (
    "Account", "AdminComment", "AllocCPUS", "AllocNodes", "AllocTRES", "AssocID", "AveCPU",
    "AveCPUFreq", "AveDiskRead", "AveDiskWrite", "AvePages", "AveRSS", "AveVMSize", "BlockID",
    "Cluster", "Comment", "Constraints", "ConsumedEnergy", "ConsumedEnergyRaw", "Container",
    "CPUTime", "CPUTimeRAW", "DBIndex", "DerivedExitCode", "Elapsed", "ElapsedRaw", "Eligible",
    "End", "ExitCode", "Flags", "GID", "Group", "JobID", "JobIDRaw", "JobName", "Layout",
    "MaxDiskRead", "MaxDiskReadNode", "MaxDiskReadTask", "MaxDiskWrite", "MaxDiskWriteNode",
    "MaxDiskWriteTask", "MaxPages", "MaxPagesNode", "MaxPagesTask", "MaxRSS", "MaxRSSNode",
    "MaxRSSTask", "MaxVMSize", "MaxVMSizeNode", "MaxVMSizeTask", "McsLabel", "MinCPU",
    "MinCPUNode", "MinCPUTask", "NCPUS", "NNodes", "NodeList", "NTasks", "Partition", "Priority",
    "QOS", "QOSRAW", "Reason", "ReqCPUFreq", "ReqCPUFreqGov", "ReqCPUFreqMax", "ReqCPUFreqMin",
    "ReqCPUS", "ReqMem", "ReqNodes", "ReqTRES", "Reservation", "ReservationId", "Reserved",
    "ResvCPU", "ResvCPURAW", "Start", "State", "Submit", "SubmitLine", "Suspended",
    "SystemComment", "SystemCPU", "Timelimit", "TimelimitRaw", "TotalCPU", "TRESUsageInAve",
    "TRESUsageInMax", "TRESUsageInMaxNode", "TRESUsageInMaxTask", "TRESUsageInMin",
    "TRESUsageInMinNode", "TRESUsageInMinTask", "TRESUsageInTot", "TRESUsageOutAve",
    "TRESUsageOutMax", "TRESUsageOutMaxNode", "TRESUsageOutMaxTask", "TRESUsageOutMin",
    "TRESUsageOutMinNode", "TRESUsageOutMinTask", "TRESUsageOutTot", "UID", "User", "UserCPU",
    "WCKey", "WCKeyID", "WorkDir",
)  # fmt: skip
"""Every field that there is. Those that this program does not work out are empty."""

_HEADS: Final = {name.lower(): name for name in NAMES}

WIDTHS: Final[Mapping[str, int]] = {
    "jobid": -12, "jobidraw": -12, "start": 19, "end": 19, "submit": 19, "eligible": 19,
    "exitcode": 8, "derivedexitcode": 15, "user": 9, "group": 9, "uid": 6, "gid": 6,
    "comment": 14, "nodelist": 15, "nnodes": 8, "ntasks": 8, "reqcpus": 8, "qosraw": 9,
    "submitline": 20, "workdir": 20, "reason": 22, "cluster": 10, "cputimeraw": 10,
    "consumedenergy": 14, "consumedenergyraw": 17, "dbindex": 20, "layout": 9,
}  # fmt: skip
"""Widths of columns; negative: left justified. 10 where nothing stands."""


def head_of(field: str) -> str:
    """Give the head of a column."""
    return _HEADS[field]


def known(field: str) -> bool:
    """Tell whether there is such a field."""
    return field in _HEADS


def value_of(field: str, line: Line) -> str:
    """Give a field's text; a test may have set it."""
    changed = line.account.changes.get(field)
    if changed is not None and not line.step:
        return changed
    give = FIELDS.get(field)
    return give(line) if give else ""

"""What a submission asks for, checked as the controller and `sbatch` check it."""

import grp
import math
import os
import pwd
import re
from collections.abc import Mapping
from typing import Any, Final

from drover.testing.scheduler._calls import Call, encoded
from drover.testing.scheduler.slurm import _planning as planning
from drover.testing.scheduler.slurm._controller import Controller
from drover.testing.scheduler.slurm._job import Job
from drover.testing.scheduler.slurm._site import SlurmSite
from drover.testing.scheduler.slurm._text import read_clock, read_length, read_size_mb, zone_of
from drover.testing.scheduler.slurm._words import PRIORITY, signal_number

_MAIL: Final = frozenset(
    {
        "NONE", "BEGIN", "END", "FAIL", "REQUEUE", "ALL", "INVALID_DEPEND", "STAGE_OUT",
        "TIME_LIMIT", "TIME_LIMIT_90", "TIME_LIMIT_80", "TIME_LIMIT_50", "ARRAY_TASKS",
    }
)  # fmt: skip
_COUNTS: Final = ("ntasks", "cpus-per-task", "ntasks-per-node", "mincpus")
_CHOICES: Final = {
    "open-mode": ("append", "truncate"),
    "kill-on-invalid-dep": ("yes", "no"),
    "exclusive": ("", "user", "mcs"),
}
_MOST_TEXT: Final = 1024
_FAILED: Final = "sbatch: error: Batch job submission failed: "
TOO_LONG: Final = "Pathname of a file, directory or other parameter too long"


class RefusedError(Exception):
    """A submission that is turned down.

    Attributes:
        errors: Standard error.
        code: The exit code.
    """

    def __init__(self, errors: str, code: int = 1) -> None:
        self.errors, self.code = errors, code
        super().__init__(errors)


def failed(why: str, before: str = "") -> RefusedError:
    """Make the refusal of a controller."""
    return RefusedError(f"{before}{_FAILED}{why}\n")


def bad(option: str, before: str = "") -> RefusedError:
    """Make the refusal of a value that cannot be read."""
    return RefusedError(f"{before}sbatch: error: Invalid --{option} specification\n", 255)


def wished(controller: Controller, call: Call, options: Mapping[str, str]) -> dict[str, Any]:
    """Work out the fields of a job from the options.

    Raises:
        RefusedError: A value cannot be read, or names what is not there.
    """
    site = controller.site
    numbers = {name: _count(options, name) for name in _COUNTS}
    nodes = _nodes(options.get("nodes", "1"))
    tasks = numbers["ntasks"] or nodes * (numbers["ntasks-per-node"] or 1)
    begin_at = _begin(options, call, site.zone)
    memory, per_cpu = _memory(options, site.memory_per_cpu_mb)
    limit_s = _time_limit(options, site)
    check_words(options)
    held = "hold" in options or options.get("priority") == "0"
    group, gid = _group(call.uid)
    _check_names(options, site)
    return {
        "user": call.user,
        "uid": call.uid,
        "group": group,
        "gid": gid,
        "options": dict(options),
        "work_dir": os.path.join(call.cwd, options.get("chdir", call.cwd)),  # noqa: PTH118
        "submit_dir": call.cwd,
        "account": options.get("account", site.default_account or call.user),
        "partition": options.get("partition", site.partitions[0].name),
        "tasks": tasks,
        "cpus": max(tasks * (numbers["cpus-per-task"] or 1), nodes),
        "node_count": nodes,
        "memory_mb": memory,
        "memory_per_cpu": per_cpu,
        "time_limit_s": limit_s,
        "requeue": "requeue" in options or (site.default_requeue and "no-requeue" not in options),
        "dependency": options.get("dependency", ""),
        "begin_at": begin_at,
        "held_by": "user" if held else "",
        "reason": "JobHeldUser" if held else "None",
        "priority": 0 if held else PRIORITY,
        "comment": options.get("comment", ""),
    }


def _group(uid: int) -> tuple[str, int]:
    try:
        gid = pwd.getpwuid(uid).pw_gid
        return grp.getgrgid(gid).gr_name, gid
    except KeyError:
        return "users", 100


# --- values --------------------------------------------------------------------------------------


def _count(options: Mapping[str, str], name: str) -> int:
    text = options.get(name, "")
    if not text:
        return 0
    if not text.isdigit() or int(text) < 1:
        raise RefusedError(f'sbatch: error: Invalid numeric value "{text}" for --{name}.\n')
    return int(text)


def _nodes(text: str) -> int:
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if not match:
        raise RefusedError(f'sbatch: error: "{text}" is not a valid node count\n', 255)
    least, most = int(match[1]), int(match[2] or match[1])
    if most < least:
        told = f"Maximum node count {most} is less than minimum node count {least}"
        raise RefusedError(f"sbatch: error: {told}\n", 255)
    if not least:
        raise failed("Node count specification invalid")
    return least


def _time_limit(options: Mapping[str, str], site: SlurmSite) -> float | None:
    partition = site.partition(options.get("partition", site.partitions[0].name))
    if "time" not in options:
        return partition.usual_time_s if partition else None
    seconds = read_length(options["time"])
    if seconds is None:
        raise bad("time")
    return None if seconds in (0.0, float("inf")) else seconds


def _begin(options: Mapping[str, str], call: Call, zone: str) -> float:
    if "begin" not in options:
        return 0.0
    at = read_clock(options["begin"], call.at, zone_of(call.environment, zone))
    if at is None:
        raise bad("begin", f"Invalid time specification (pos=0): {options['begin']}\n")
    return at


def _memory(options: Mapping[str, str], default: int) -> tuple[int, bool]:
    for name in ("mem", "mem-per-cpu"):
        if name in options:
            size = read_size_mb(options[name])
            if size is None:
                raise bad(name)
            return size, name == "mem-per-cpu"
    return default, True


def check_words(options: Mapping[str, str]) -> None:
    """See that texts have a form that there is.

    Raises:
        RefusedError: One has not.
    """
    for name, words in _CHOICES.items():
        if name in options and options[name] not in words:
            raise bad(name)
    if {*options.get("mail-type", "").upper().split(",")} - _MAIL - {""}:
        raise bad("mail-type")
    signal = options.get("signal")
    if signal is not None and not _is_signal(signal):
        raise bad("signal")
    if planning.parse_dependency(options.get("dependency", "")) is None:
        raise failed("Job dependency problem")
    for name in ("comment", "job-name"):
        if len(encoded(options.get(name, ""))) > _MOST_TEXT:
            raise failed(TOO_LONG)


def _is_signal(text: str) -> bool:
    match = re.fullmatch(r"(?:[RB]{1,2}:)?([A-Za-z]\w*|\d+)(?:@(\d{1,5}))?", text)
    return match is not None and signal_number(match[1]) > 0


def _check_names(options: Mapping[str, str], site: SlurmSite) -> None:
    """See that what is named is there."""
    name = options.get("partition")
    if name is not None and any(site.partition(one) is None for one in name.split(",")):
        told = f"sbatch: error: invalid partition specified: {name}\n"
        raise failed("Invalid partition name specified", told)
    if site.accounts is not None and _account(options, site) not in site.accounts:
        raise failed("Invalid account or account/partition combination specified")
    if "qos" in options and options["qos"] not in site.qos:
        raise failed("Invalid qos specification")
    if "reservation" in options and options["reservation"] not in site.reservations:
        raise failed("Requested reservation is invalid")
    wanted = _amounts(options.get("gres", ""))
    if any(name in options for name in _GPU_OPTIONS):
        wanted.setdefault("gpu", 1)
    if set(wanted) - set(site.gres):
        raise RefusedError("sbatch: error: Invalid generic resource (gres) specification\n")
    licenses = _amounts(options.get("licenses", ""))
    if any(count > site.licenses.get(one, 0) for one, count in licenses.items()):
        raise failed("Invalid license specification")
    if set(re.findall(r"[A-Za-z_]\w*", options.get("constraint", ""))) - site.features:
        raise failed("Invalid feature specification")


def _account(options: Mapping[str, str], site: SlurmSite) -> str:
    return options.get("account", site.default_account)


_GPU_OPTIONS: Final = ("gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket")


def gpus_on_node(job: Job) -> int | None:
    """Give how many GPUs a job asks for on each node; `None` if it cannot be read."""
    count = _amounts(job.options.get("gres", "")).get("gpu", 0)
    for name in _GPU_OPTIONS:
        text = job.options.get(name, "0").rpartition(":")[2]
        if not text.isdigit():
            return None
        tasks = -(-job.tasks // job.node_count)
        factor = {"gpus": 1 / job.node_count, "gpus-per-task": tasks}.get(name, 1)
        count = max(count, math.ceil(int(text) * factor))
    return count


def _amounts(text: str) -> dict[str, int]:
    """Read `gpu:2,shard:a100:1`; one where no number stands."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, *rest = part.split(":")
        if name:
            found[name] = int(rest[-1]) if rest and rest[-1].isdigit() else 1
    return found


# --- limits --------------------------------------------------------------------------------------


def check_limits(controller: Controller, job: Job, size: int) -> None:
    """See that there is room for another *size* jobs.

    Raises:
        RefusedError: There is none.
    """
    site = controller.site
    if len(job.script) > site.max_script_bytes:
        raise failed(TOO_LONG)
    if site.max_submit_jobs is not None:
        mine = [other for other in controller.jobs() if other.uid == job.uid]
        there = sum(len(one.waiting) or 1 for one in mine if not one.state.has_ended)
        if there + size > site.max_submit_jobs:
            raise failed(
                "Job violates accounting/QOS policy (job submit limit, user's size and/or time "
                "limits)",
                "sbatch: error: AssocMaxSubmitJobLimit\n",
            )
    if len(controller.memory) + size > site.max_job_count:
        told = "Slurm temporarily unable to accept job, sleeping and retrying"
        raise failed("Resource temporarily unavailable", f"sbatch: error: {told}\n")


def check_fit(controller: Controller, job: Job, at: float) -> None:
    """See that a node can hold the job.

    Raises:
        RefusedError: None can. The id is used up all the same.
    """
    site = controller.site
    cpus = -(-job.cpus // job.node_count) if job.memory_per_cpu else 1
    gpus = gpus_on_node(job)
    too_much = job.memory_mb * cpus > site.memory_mb
    if too_much or gpus is None or gpus > site.gres.get("gpu", 0):
        controller.reject(job, at)
        before = "sbatch: error: Memory specification can not be satisfied\n" if too_much else ""
        raise failed("Requested node configuration is not available", before)


def indices(text: str, controller: Controller) -> tuple[tuple[int, ...], int]:
    """Read `0-15:4,20%2`: the indices in order, and the throttle.

    Raises:
        RefusedError: It cannot be read, or goes beyond MaxArraySize.
    """
    body, _, most = text.partition("%")
    found: set[int] = set()
    for part in body.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part)
        if not match:
            raise failed("Invalid job array specification")
        low, high, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        if high < low or step < 1 or high >= controller.site.max_array_size:
            raise failed("Invalid job array specification")
        found.update(range(low, high + 1, step))
    # A throttle that is no number is no throttle.
    return tuple(sorted(found)), int(most) if most.isdigit() else 0

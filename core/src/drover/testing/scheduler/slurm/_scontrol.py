"""`scontrol`: look at jobs one by one, and steer them."""

from collections.abc import Callable
from typing import Any, Final

from attrs import evolve

from drover.testing.scheduler._calls import Call, Reply, Row, encoded, listed, said
from drover.testing.scheduler._options import OptionError, Parsed
from drover.testing.scheduler.slurm import _details as details
from drover.testing.scheduler.slurm._controller import Controller
from drover.testing.scheduler.slurm._fields import Shown
from drover.testing.scheduler.slurm._grammar import SCONTROL
from drover.testing.scheduler.slurm._ids import is_id, named, own_record
from drover.testing.scheduler.slurm._job import Job
from drover.testing.scheduler.slurm._text import (
    clock_text,
    expand_hosts,
    fold_hosts,
    read_clock,
    read_length,
    zone_of,
)
from drover.testing.scheduler.slurm._words import Flag, State

_VERBS: Final = (
    "abort", "cancel_reboot", "cluster", "completing", "create", "delete", "errnumstr",
    "fsdampeningfactor", "help", "hold", "listpids", "notify", "pidinfo", "ping", "reboot",
    "reconfigure", "release", "requeue", "requeuehold", "resume", "schedloglevel", "setdebug",
    "setdebugflags", "show", "shutdown", "suspend", "takeover", "token", "top", "uhold", "update",
    "version", "wait_job", "write",
)  # fmt: skip
_NO_JOB: Final = "Invalid job id specified"


def scontrol(controller: Controller, call: Call) -> Reply:
    """Run `scontrol`."""
    try:
        line = SCONTROL.parse(call.words)
    except OptionError as error:
        hint = 'Try "scontrol --help" for more information'
        return said(errors=f"scontrol: {error}\n{hint}\n", code=1)
    verb = _verb(line)
    if line.has("version") or verb == "version":
        return said(f"slurm-wlm {controller.site.version}\n")
    if verb == "ping":
        return said(f"Slurmctld(primary) at {controller.site.host} is UP\n")
    words = line.rest[1:]
    if verb == "show":
        return _show(controller, call, line, words)
    if verb == "update":
        return _update(controller, call, words)
    if verb in _STEERING:
        return _steer(controller, call, verb, words)
    return said(errors=f"invalid keyword: {line.rest[0] if line.rest else ''}\n", code=1)


def _verb(line: Parsed) -> str:
    """Read the keyword: any case, and shortened as long as it is one."""
    word = line.rest[0].lower() if line.rest else ""
    near = [verb for verb in _VERBS if word and verb.startswith(word)]
    return word if word in _VERBS else near[0] if len(near) == 1 else ""


# --- steering ------------------------------------------------------------------------------------


def _hold(controller: Controller, call: Call, job: Job) -> str:
    if job.state.has_ended:
        return "Job has already finished"
    by = "admin" if call.user in controller.site.admins else "user"
    controller.hold(job, call.at, by)
    return ""


def _uhold(controller: Controller, call: Call, job: Job) -> str:
    if job.state.has_ended:
        return "Job has already finished"
    controller.hold(job, call.at, "user")
    return ""


def _release(controller: Controller, call: Call, job: Job) -> str:
    if job.state.has_ended:
        return "Job has already finished"
    if job.held_by == "admin" and call.user not in controller.site.admins:
        return "Access/permission denied"
    controller.release(job, call.at)
    return ""


def _suspend(controller: Controller, call: Call, job: Job) -> str:
    if call.user not in controller.site.admins:
        return "Access/permission denied"
    if job.state is State.PENDING:
        return "Job is pending execution"
    if job.state.has_ended or Flag.COMPLETING in job.flags:
        return "Job has already finished"
    if job.state is State.RUNNING:
        controller.suspend(job, call.at)
    return ""


def _resume(controller: Controller, call: Call, job: Job) -> str:
    if call.user not in controller.site.admins:
        return "Access/permission denied"
    if job.state is State.PENDING:
        return "Job is pending execution"
    if job.state.has_ended or Flag.COMPLETING in job.flags:
        return "Job has already finished"
    if job.state is not State.SUSPENDED:
        return "Job is not suspended"
    controller.resume(job, call.at)
    return ""


def _requeue(controller: Controller, call: Call, job: Job) -> str:
    return _put_back(controller, call, job, held=False)


def _requeuehold(controller: Controller, call: Call, job: Job) -> str:
    return _put_back(controller, call, job, held=True)


def _put_back(controller: Controller, call: Call, job: Job, *, held: bool) -> str:
    if job.state is State.PENDING:
        return "Job is pending execution"
    if not job.requeue:
        return "Requested operation is presently disabled"
    if Flag.COMPLETING in job.flags:
        return "Job/step already completing or completed"
    if held:
        by = "admin" if call.user in controller.site.admins else "user"
        controller.requeue(job, call.at, reason="job requeued in held state", held=by)
    else:
        controller.requeue(job, call.at)
    return ""


_STEERING: Final[dict[str, Callable[[Controller, Call, Job], str]]] = {
    "hold": _hold,
    "uhold": _uhold,
    "release": _release,
    "suspend": _suspend,
    "resume": _resume,
    "requeue": _requeue,
    "requeuehold": _requeuehold,
}
_SPEAKS_TWICE: Final = ("hold", "uhold", "release")


def _steer(controller: Controller, call: Call, verb: str, words: tuple[str, ...]) -> Reply:
    errors, last = "", ""
    words = tuple(word for word in words if word.lower() != "incomplete")
    for text in [part for word in words for part in word.split(",") if part]:
        why = _steer_one(controller, call, verb, text)
        if why:
            errors += f"{why} for job {text}\n"
            last = why
    if last and verb in _SPEAKS_TWICE:
        errors += f"slurm_suspend error: {last}\n"
    return said(errors=errors, code=1 if last else 0)


def _steer_one(controller: Controller, call: Call, verb: str, text: str) -> str:
    """Do it to what an id or `jobname=` means; gives what is wrong, of the last that is."""
    if text.lower().startswith(("jobname=", "name=")):
        name = text.partition("=")[2]
        records = [job for job in controller.jobs() if job.name == name and not job.state.has_ended]
    else:
        text = text.lower().removeprefix("jobid=")
        found = named(controller, text) if is_id(text) else []
        if not found:
            # A suspension of an unknown id was seen to answer this.
            unexpected = verb in ("suspend", "resume")
            return "Unexpected message received" if unexpected else _NO_JOB
        records = [job for one in found for job in own_record(controller, one, call.at)]
    why = ""
    for job in records:
        current = controller.memory.now(job)
        if current is None:
            continue
        if call.user not in (job.user, *controller.site.admins):
            why = "Access/permission denied"
            continue
        why = _STEERING[verb](controller, call, current) or why
    return why


# --- changing ------------------------------------------------------------------------------------


def _update(controller: Controller, call: Call, words: tuple[str, ...]) -> Reply:
    pairs = [word.partition("=") for word in words]
    values = {name.lower(): value for name, _, value in pairs}
    text = values.pop("jobid", values.pop("job", ""))
    if not text:
        return said(errors="No valid entity in update command\n", code=1)
    for name, _, value in pairs:
        if name.lower() not in (*_CHANGES, "jobid", "job"):
            unknown = f"Update of this parameter is not supported: {name}={value}"
            return said(errors=f"{unknown}\nRequest aborted\n", code=1)
    found = named(controller, text) if is_id(text) else []
    if not found:
        return said(errors=f"{_NO_JOB} for job {text}\n", code=1)
    for one in found:
        if call.user not in (one.job.user, *controller.site.admins):
            return said(errors=f"Access/permission denied for job {text}\n", code=1)
        for job in own_record(controller, one, call.at):
            _change(controller, call, job, values)
    controller.schedule_soon()
    return said()


def _change(controller: Controller, call: Call, job: Job, values: dict[str, str]) -> None:
    facts: dict[str, Any] = {}
    options = dict(job.options)
    zone = zone_of(call.environment, controller.site.zone)
    for name, value in values.items():
        field = _CHANGES[name]
        match field:
            case "time_limit_s":
                facts[field] = read_length(value)
            case "begin_at":
                facts[field] = read_clock(value, call.at, zone) or job.begin_at
            case "priority":
                facts[field] = int(value)
                facts["held_by"] = "user" if value == "0" else ""
            case "requeue":
                facts[field] = value == "1"
            case "throttle":
                if job.array is not None:
                    facts["array"] = evolve(job.array, throttle=int(value))
            case "name" | "comment" | "partition" | "dependency" | "account":
                facts[field] = value
            case _:
                options[field] = value
    controller.memory.change(job, call.at, options=options, **facts)


_CHANGES: Final = {
    "name": "name",
    "jobname": "name",
    "comment": "comment",
    "partition": "partition",
    "dependency": "dependency",
    "timelimit": "time_limit_s",
    "starttime": "begin_at",
    "eligibletime": "begin_at",
    "priority": "priority",
    "requeue": "requeue",
    "arraytaskthrottle": "throttle",
    "account": "account",
    "qos": "qos",
    "nice": "nice",
    "wckey": "wckey",
    "licenses": "licenses",
    "features": "constraint",
    "gres": "gres",
    "reservationname": "reservation",
    "mailtype": "mail-type",
    "mailuser": "mail-user",
}


# --- showing -------------------------------------------------------------------------------------


def _show(controller: Controller, call: Call, line: Parsed, words: tuple[str, ...]) -> Reply:
    entity, text = (*words, "", "")[:2]
    one_line = line.has("oneliner")
    site = controller.site
    match entity.lower().rstrip("s"):
        case "job":
            return _show_jobs(controller, call, text, one_line)
        case "hostname":
            hosts = text or call.environment.get("SLURM_JOB_NODELIST", "")
            return said("".join(f"{name}\n" for name in expand_hosts(hosts)))
        case "hostlist" | "hostlistsorted":
            return said(f"{fold_hosts(tuple(expand_hosts(text)))}\n")
        case "config":
            now = clock_text(call.at, call.environment, zone_of(call.environment, site.zone))
            lines = details.config_lines(site)
            return said("\n".join([f"Configuration data as of {now}", *lines, "", ""]))
        case "partition":
            chosen = [one for one in site.partitions if text in ("", one.name)]
            if not chosen:
                return said(f"Partition {text} not found\n", code=1)
            return said(
                "".join(_block(details.partition_lines(one, site), one_line) for one in chosen)
            )
        case "node":
            nodes = [node for node in site.nodes if not text or node in expand_hosts(text)]
            if not nodes:
                return said(f"Node {text} not found\n", code=1)
            jobs = controller.jobs(call.as_of)
            return said(
                "".join(_block(details.node_lines(node, jobs, site), one_line) for node in nodes)
            )
        case _:
            return said(errors=f"invalid entity:{entity} for keyword:show \n", code=1)


def _block(lines: list[str], one_line: bool) -> str:
    if one_line:
        return "".join(f"{line} " for line in lines) + "\n"
    return "\n   ".join(lines) + "\n\n"


def _show_jobs(controller: Controller, call: Call, text: str, one_line: bool) -> Reply:
    if text and not is_id(text):
        return said(errors=f"scontrol_print_job error: {_NO_JOB}\n", code=1)
    jobs = [job for job in controller.jobs(call.as_of) if not text or _is_meant(job, text)]
    if not jobs:
        if not text:
            return said("No jobs in the system\n")
        return said(errors=f"slurm_load_jobs error: {_NO_JOB}\n", code=1)
    rows: list[Row] = []
    for job in jobs:
        task = text.partition("_")[2]
        row = Shown(
            job=job,
            task=int(task) if job.waiting and task.isdigit() else None,
            site=controller.site,
            now=call.as_of,
            environment=call.environment,
            zone=zone_of(call.environment, controller.site.zone),
        )
        lines = details.job_lines(row)
        # Between jobs there is an empty line that holds the indent.
        shown = _block(lines, one_line) if one_line else "\n   ".join([*lines, ""]) + "\n\n"
        rows.append(Row(of=row.native_id, text=encoded(shown)))
    return listed(rows)


def _is_meant(job: Job, text: str) -> bool:
    base, _, task = text.partition(".")[0].partition("_")
    if not task:
        return int(base) in (job.job_id, job.base_id)
    if job.array is None or job.base_id != int(base):
        return False
    return task.isdigit() and (job.array.task == int(task) or int(task) in job.waiting)


def asks_only(call: Call) -> bool:
    """Tell whether the call changes nothing."""
    try:
        return _verb(SCONTROL.parse(call.words)) in ("show", "ping", "version", "completing", "")
    except OptionError:
        return True

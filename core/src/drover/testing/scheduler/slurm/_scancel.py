"""`scancel`: end jobs, or signal them."""

import signal
from typing import Final

from drover.testing.scheduler._calls import Call, Reply, said
from drover.testing.scheduler._options import OptionError, Parsed
from drover.testing.scheduler.slurm._controller import Controller
from drover.testing.scheduler.slurm._fields import FIELDS, Shown, is_user
from drover.testing.scheduler.slurm._grammar import SCANCEL
from drover.testing.scheduler.slurm._ids import Named, is_id, named
from drover.testing.scheduler.slurm._job import Job
from drover.testing.scheduler.slurm._text import zone_of
from drover.testing.scheduler.slurm._words import Flag, State, signal_number, state_word

FOREIGN_CODE: Final = 210
"""Of a job of somebody else. Source: measured on 22.05.8."""
_FILTERS: Final = ("account", "name", "jobname", "partition", "qos", "state", "user", "wckey")


def scancel(controller: Controller, call: Call) -> Reply:
    """Run `scancel`."""
    try:
        line = SCANCEL.parse(call.words)
    except OptionError as error:
        hint = 'Try "scancel --help" for more information'
        return said(errors=f"scancel: {error}\n{hint}\n", code=1)
    if line.has("version"):
        return said(f"slurm-wlm {controller.site.version}\n")
    number, complaint = _checked(controller, call, line)
    if complaint:
        return said(errors=f"{complaint}\n", code=1)
    if not line.rest:
        for job in controller.jobs():
            if _wanted(controller, call, line, job):
                _act(controller, call, line, Named(job), number)
        return said()
    errors, code = "", 0
    for text in line.rest:
        more, worse = _one(controller, call, line, text, number)
        errors, code = errors + more, max(code, worse)
    return said(errors=errors, code=code)


def _checked(controller: Controller, call: Call, line: Parsed) -> tuple[int, str]:
    """Give the signal's number, 0 for none, and what is wrong with the command line."""
    number = 0
    if line.has("signal"):
        number = signal_number(line.get("signal"))
        if not number:
            return 0, f"Unknown job signal: {line.get('signal')}"
    state = line.get("state")
    if state and state_word(state) not in ("PENDING", "RUNNING", "SUSPENDED"):
        valid = "Valid job states are PENDING, RUNNING, and SUSPENDED"
        return 0, f"Invalid job state specified: {state}\n{valid}"
    user = line.get("user")
    known = {job.user for job in controller.jobs()} | {call.user}
    if user and user not in known and not is_user(user):
        return 0, f"scancel: error: Invalid user name: {user}"
    for text in line.rest:
        if not is_id(text):
            return 0, f"scancel: error: Invalid job id {text}"
    if not line.rest and not line.has("me") and not any(line.has(name) for name in _FILTERS):
        return 0, "scancel: error: No job identification provided"
    return number, ""


def _one(
    controller: Controller, call: Call, line: Parsed, text: str, number: int
) -> tuple[str, int]:
    """Cancel or signal what one id means."""
    found = named(controller, text)
    loud = line.has("verbose")
    errors = f"scancel: Terminating job {text}\n" if loud else ""
    problem = f"scancel: error: Kill job error on job id {text}: "
    if not found:
        if number:
            return f"{problem}Invalid job id specified\n", 1
        return (f"{errors}{problem}Invalid job id specified\n" if loud else ""), 0
    for one in found:
        if call.user not in (one.job.user, *controller.site.admins):
            return f"{errors}{problem}Access/permission denied\n", FOREIGN_CODE
    if all(one.job.state.has_ended for one in found):
        told = f"{errors}{problem}Job/step already completing or completed\n"
        return (told if loud else ""), 0
    for one in found:
        _act(controller, call, line, one, number)
    return errors, 0


def _wanted(controller: Controller, call: Call, line: Parsed, job: Job) -> bool:
    """Tell whether a job passes every filter."""
    row = Shown(
        job=job,
        task=None,
        site=controller.site,
        now=call.at,
        environment=call.environment,
        zone=zone_of(call.environment, controller.site.zone),
    )
    checks = {
        "account": FIELDS["account"](row),
        "name": job.name,
        "jobname": job.name,
        "partition": job.partition,
        "qos": FIELDS["qos"](row),
        "wckey": FIELDS["wckey"](row),
    }
    if job.state.has_ended or call.user not in (job.user, *controller.site.admins):
        return False
    if line.has("me") and job.user != call.user:
        return False
    if line.has("user") and line.get("user") not in (job.user, str(job.uid)):
        return False
    if line.has("state") and state_word(line.get("state")) != job.state:
        return False
    return all(value == line.get(name) for name, value in checks.items() if line.has(name))


def _act(controller: Controller, call: Call, line: Parsed, one: Named, number: int) -> None:
    job = controller.memory.now(one.job)
    if job is None or job.state.has_ended or Flag.COMPLETING in job.flags:
        return
    if number and number != signal.SIGKILL and job.state is not State.PENDING:
        # Without --batch or --full only steps are signalled, and the script is none.
        if line.has("full") or line.has("batch"):
            controller.signal(job, number, group=line.has("full"))
    elif one.tasks is not None and one.tasks != frozenset(job.waiting):
        controller.memory.shrink(job, one.tasks, call.at)
    elif not number or number in (signal.SIGKILL, signal.SIGTERM):
        controller.cancel(job, call.at, call.uid)

"""What commands say when a daemon does not answer.

Source: each daemon was stopped or frozen on a 22.05.8 cluster with MessageTimeout 10 s and
TCPTimeout 2 s.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from attrs import frozen

from drover.testing.scheduler._calls import Call, Reply, said
from drover.testing.scheduler.slurm._grammar import SCANCEL, SCONTROL
from drover.testing.scheduler.slurm._site import SlurmSite

_DATABASE: Final = "127.0.0.1:6819"
"""Where slurmdbd listens."""
RESTORE: Final = (
    "*****************************************\n"
    "** RESTORE SLURMCTLD DAEMON TO SERVICE **\n"
    "*****************************************\n"
)
"""What `scontrol ping` adds to a controller that is down."""


class Condition(StrEnum):
    """How it stands with a daemon."""

    UP = "up"
    DOWN = "down"
    """It is not there: connections are refused."""
    HUNG = "hung"
    """It takes connections and does not answer. When it wakes, it does what it was asked."""


@frozen(kw_only=True)
class _Outage:
    why: str
    cancel_code: int
    once_s: float
    """How long one request takes to fail."""
    ping_s: float = 0.0
    socket: str = ""
    """The socket of munged, where that is what is missing."""

    def before(self, command: str, *requests: str) -> str:
        """Give what the authentication library says about each request."""
        if not self.socket:
            return ""
        head = f"{command}: error: "
        return "".join(
            f"{head}If munged is up, restart with --num-threads=10\n"
            f'{head}Munge encode failed: Failed to access "{self.socket}": '
            "No such file or directory (Did you start munged?)\n"
            f"{head}slurm_send_node_msg: auth_g_create: {request} has authentication error\n"
            for request in requests
        )


def no_controller(call: Call, condition: Condition, site: SlurmSite) -> Reply:
    """Answer without a controller."""
    if condition is Condition.HUNG:
        outage = _Outage(
            why="Socket timed out on send/recv operation",
            cancel_code=140,
            once_s=site.message_timeout_s,
            ping_s=site.message_timeout_s,
        )
    else:
        outage = _Outage(
            why="Unable to contact slurm controller (connect failure)",
            cancel_code=8,
            once_s=4.5 * site.tcp_timeout_s,
        )
    return _ANSWERS[call.name](call, outage, site)


def no_authentication(call: Call, site: SlurmSite) -> Reply:
    """Answer without munged."""
    outage = _Outage(
        why="Protocol authentication error",
        cancel_code=239,
        once_s=2.0,
        ping_s=2.0,
        socket="/run/munge/munge.socket.2",
    )
    return _ANSWERS[call.name](call, outage, site)


def _sbatch(_call: Call, outage: _Outage, _site: SlurmSite) -> Reply:
    errors = outage.before("sbatch", "REQUEST_SUBMIT_BATCH_JOB")
    errors += f"sbatch: error: Batch job submission failed: {outage.why}\n"
    return said(errors=errors, code=1, took_s=outage.once_s)


def _squeue(call: Call, outage: _Outage, _site: SlurmSite) -> Reply:
    # For one job it asks two things, and waits for each.
    one = any(word.startswith(("-j", "--job")) for word in call.words)
    requests = ("REQUEST_FED_INFO", "REQUEST_JOB_INFO_SINGLE") if one else ("REQUEST_JOB_INFO",)
    errors = f"{outage.before('squeue', *requests)}slurm_load_jobs error: {outage.why}\n"
    return said(errors=errors, code=1, took_s=len(requests) * outage.once_s)


def _sinfo(_call: Call, outage: _Outage, _site: SlurmSite) -> Reply:
    errors = outage.before("sinfo", "REQUEST_PARTITION_INFO")
    errors += f"slurm_load_partitions: {outage.why}\n"
    return said(errors=errors, code=1, took_s=outage.once_s)


def _sacct(_call: Call, outage: _Outage, _site: SlurmSite) -> Reply:
    told = f"failed to send persistent connection init message to {_DATABASE}"
    errors = outage.before("sacct", "REQUEST_PERSIST_INIT")
    errors += f"sacct: error: slurm_persist_conn_open: {told}\n{_persist(outage.why)}"
    return said(errors=errors, code=1, took_s=outage.once_s)


def _persist(why: str) -> str:
    return (
        f"sacct: error: Sending PersistInit msg: {why}\n"
        f"sacct: error: Problem talking to the database: {why}\n"
    )


def _scancel(call: Call, outage: _Outage, _site: SlurmSite) -> Reply:
    line = SCANCEL.parse(call.words)
    if not line.rest or line.has("signal"):
        errors = outage.before("scancel", "REQUEST_FED_INFO", "REQUEST_JOB_INFO")
        errors += f"slurm_load_jobs error: {outage.why}\n"
        return said(errors=errors, code=1, took_s=2 * outage.once_s)
    errors = "".join(
        outage.before("scancel", "REQUEST_KILL_JOB")
        + f"scancel: error: Kill job error on job id {one}: {outage.why}\n"
        for one in line.rest
    )
    return said(errors=errors, code=outage.cancel_code, took_s=outage.once_s)


_REQUESTS: Final = {
    "config": ("ctl_conf", "REQUEST_BUILD_INFO"),
    "partition": ("partitions", "REQUEST_PARTITION_INFO"),
    "node": ("node", "REQUEST_NODE_INFO"),
}
_STEERING: Final = {"requeue": "REQUEST_JOB_REQUEUE", "requeuehold": "REQUEST_JOB_REQUEUE"}


def _scontrol(call: Call, outage: _Outage, site: SlurmSite) -> Reply:
    words = SCONTROL.parse(call.words).rest
    verb, entity = (*words, "", "")[:2]
    if verb == "ping":
        text = f"Slurmctld(primary) at {site.host} is DOWN\n{RESTORE}"
        errors = outage.before("scontrol", "REQUEST_PING")
        return said(text, errors=errors, code=1, took_s=outage.ping_s)
    if verb == "show":
        kind, request = _REQUESTS.get(entity, ("jobs", "REQUEST_JOB_INFO"))
        requests: tuple[str, ...] = (request,)
        if entity == "job" and len(words) > 2:
            requests = ("REQUEST_FED_INFO", "REQUEST_JOB_INFO_SINGLE")
        errors = outage.before("scontrol", *requests) + f"slurm_load_{kind} error: {outage.why}\n"
        return said(errors=errors, code=1, took_s=len(requests) * outage.once_s)
    # It tells a lost connection no better than this.
    job = words[1].lower().partition("jobid=")[2] if verb == "update" else words[-1]
    request = _STEERING.get(verb, "REQUEST_UPDATE_JOB")
    errors = outage.before("scontrol", request) + f"Unexpected message received for job {job}\n"
    if verb in ("hold", "uhold", "release"):
        errors += "slurm_suspend error: Unexpected message received\n"
    return said(errors=errors, code=1, took_s=outage.once_s)


_ANSWERS: Final[dict[str, Callable[[Call, _Outage, SlurmSite], Reply]]] = {
    "sbatch": _sbatch,
    "squeue": _squeue,
    "sinfo": _sinfo,
    "sacct": _sacct,
    "scancel": _scancel,
    "scontrol": _scontrol,
}


def no_accounting(condition: Condition, *, database_up: bool) -> Reply:
    """Answer `sacct` without slurmdbd, or with one that has lost its database."""
    if condition is Condition.HUNG:
        return said(errors=_persist("Resource temporarily unavailable"), code=1, took_s=45.0)
    if condition is Condition.DOWN:
        why = "Connection refused"
        first = (
            "sacct: error: slurm_persist_conn_open_without_init: failed to open persistent "
            f"connection to host:{_DATABASE}: {why}\n"
        )
        return said(errors=first + _persist(why), code=1)
    assert not database_up, "accounting is there"
    why = "Unable to connect to database"
    first = (
        "sacct: error: slurm_persist_conn_open: Something happened with the receiving/processing "
        f"of the persistent connection init message to {_DATABASE}: {why}\n"
    )
    return said(errors=first + _persist(why), code=1)


def accounting_disabled() -> Reply:
    """Answer `sacct` at a site that keeps no accounts."""
    return said(errors="Slurm accounting storage is disabled\n", code=1)

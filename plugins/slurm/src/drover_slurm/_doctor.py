"""Find out what is wrong with a cluster, in words that a user can act on."""

import re
from collections.abc import Generator, Mapping
from typing import Final

from drover.commandline import Command, Talk
from drover.errors import UnreachableError
from drover.hookspecs import Completed
from drover.models import Diagnosis, Health
from drover_slurm import _accounting
from drover_slurm._queue import said
from drover_slurm._times import instant

OLDEST: Final = (20, 11)
"""The oldest Slurm whose commands print what is read here."""
MOST_SKEW_S: Final = 30.0
_PARTITION: Final = "%R|%a|%l|%D|%T|%c|%m|%G"
_TIMEOUT_S: Final = 15.0


def read_config(reply: Completed) -> dict[str, str]:
    """Read `scontrol show config`: names and values."""
    pairs = (line.partition("=") for line in reply.stdout.splitlines())
    config = {name.strip(): value.strip() for name, equals, value in pairs if equals}
    match = re.match(r"Configuration data as of (\S+)", reply.stdout)
    if match is not None:
        config["now"] = match[1]
    return config


def config_command() -> Command:
    """Ask for the configuration of the controller."""
    return Command(argv=("scontrol", "show", "config"), timeout_s=_TIMEOUT_S)


def talk(cluster: str, now: float) -> Talk[list[Diagnosis]]:
    """Look at controller, versions, clocks, partitions and accounting.

    Args:
        cluster: The name that it must bear; "" for any.
        now: Seconds since 1970 by this machine's clock.
    """
    try:
        reply = yield config_command()
    except UnreachableError as exc:
        return [(yield from _no_answer(exc)) if exc.sent else _no_command(exc)]
    if reply.returncode != 0:
        return [_no_controller(reply)]
    config = read_config(reply)
    findings = [_controller(config)]
    findings += filter(None, (_version(config), _name(config, cluster), _skew(config, now)))
    findings += yield from _partitions()
    findings.append((yield from _accounts(config)))
    return findings


def _no_command(exc: UnreachableError) -> Diagnosis:
    return _warning(
        "commands",
        f"there is no Slurm here: scontrol cannot be executed ({exc.why})",
        "to use one, install Slurm's client (slurm-client), load its module, or mend PATH",
    )


def _no_answer(exc: UnreachableError) -> Generator[Command, Completed, Diagnosis]:
    """Say why a command hangs: where munged was killed, it tries for a minute to reach it."""
    message = f"scontrol gave no answer: {exc.why}"
    hangs = "the controller hangs or the network does; ask the administrators"
    try:
        reply = yield Command(argv=("munge", "-n"), timeout_s=_TIMEOUT_S)
    except UnreachableError as munge:
        if munge.sent:
            return _error("munge", f"{message}, and munge gives none either", _START_MUNGED)
    else:
        if "refused" in reply.stderr:
            return _error("munge", f"{message}; {said(reply)}", _START_MUNGED)
        if reply.returncode == 0:
            return _error("controller", message, hangs)
    # Whether munged listens where Slurm looks for it cannot be told from here.
    return _error("controller", message, f"{hangs}; or munged on this machine was killed")


_START_MUNGED: Final = (
    "start munged on this machine (munge -n | unmunge tests it); the keys must agree"
)


def _no_controller(reply: Completed) -> Diagnosis:
    why = said(reply)
    if "uthentication" in why or "munge" in why.lower():
        return _error("munge", f"the controller cannot be spoken to: {why}", _START_MUNGED)
    if "configuration" in why.lower() or "SLURM_CONF" in why or "resolve" in why.lower():
        cure = "to use a cluster, set SLURM_CONF to its slurm.conf, or mend that"
        return _warning("configuration", f"no cluster is set up here: {why}", cure)
    cure = "is slurmctld running, and is SLURM_CONF of the right cluster? scontrol ping tells"
    return _error("controller", f"it cannot be reached: {why}", cure)


def _controller(config: Mapping[str, str]) -> Diagnosis:
    limits = ", ".join(
        f"{name} {config[name]}"
        for name in ("MaxArraySize", "MaxJobCount", "MinJobAge")
        if name in config
    )
    name, version = config.get("ClusterName", "?"), config.get("SLURM_VERSION", "?")
    return _ok("controller", f"cluster {name}, Slurm {version}; {limits}")


def _version(config: Mapping[str, str]) -> Diagnosis | None:
    parts = config.get("SLURM_VERSION", "").split(".")[:2]
    if len(parts) < 2 or not all(part.isdecimal() for part in parts):
        return None
    if (int(parts[0]), int(parts[1])) >= OLDEST:
        return None
    oldest = ".".join(f"{part:02}" for part in OLDEST)
    return _error("version", f"Slurm {'.'.join(parts)} is too old", f"it takes {oldest} or newer")


def _name(config: Mapping[str, str], cluster: str) -> Diagnosis | None:
    found = config.get("ClusterName", "")
    if not cluster or found == cluster:
        return None
    return _error(
        "cluster",
        f"this is cluster {found!r}, the configuration wants {cluster!r}",
        "set SLURM_CONF for the other cluster, or mend `cluster` in drover.toml",
    )


def _skew(config: Mapping[str, str], now: float) -> Diagnosis | None:
    there = instant(config.get("now", ""))
    if there is None or abs(there - now) <= MOST_SKEW_S:
        return None
    return Diagnosis(
        subject="clock",
        health=Health.WARNING,
        message=f"the controller's clock is {there - now:+.0f} s away from this machine's",
        cure="let both keep time by NTP; start times and limits are read wrongly until then",
    )


def _partitions() -> Generator[Command, Completed, list[Diagnosis]]:
    try:
        reply = yield Command(argv=("sinfo", "-h", "-a", "-o", _PARTITION), timeout_s=_TIMEOUT_S)
    except UnreachableError as exc:
        return [_error("partitions", f"sinfo gave no answer: {exc.why}", "sinfo tells more")]
    if reply.returncode != 0:
        return [_error("partitions", said(reply), "sinfo tells more")]
    lines: dict[str, list[list[str]]] = {}
    for line in reply.stdout.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) == len(_PARTITION.split("|")):
            lines.setdefault(parts[0], []).append(parts)
    return [_partition(name, rows) for name, rows in lines.items()]


def _partition(name: str, rows: list[list[str]]) -> Diagnosis:
    available, limit = rows[0][1], rows[0][2]
    nodes = ", ".join(
        f"{count} {state} ({cpus} cpus, {megabytes} MB{_gres(gres)})"
        for _, _, _, count, state, cpus, megabytes, gres in rows
    )
    subject, message = f"partition {name}", f"{available}, limit {limit}; nodes: {nodes}"
    usable = {"idle", "mixed", "allocated", "completing"}
    if available != "up":
        cure = "it takes no jobs now; choose another partition"
    elif not any(row[4].rstrip("*~#!%$@^-") in usable for row in rows):
        cure = "none of its nodes can run jobs now; sinfo -R tells why"
    else:
        return _ok(subject, message)
    return _warning(subject, message, cure)


def _gres(text: str) -> str:
    return "" if text in {"", "(null)"} else f", {text}"


def _accounts(config: Mapping[str, str]) -> Generator[Command, Completed, Diagnosis]:
    kind = config.get("AccountingStorageType", "")
    if kind.endswith("none") or kind == "(null)":
        message = "none is kept here: usage is what the jobs' own wrappers measure"
        return _ok("accounting", message)
    try:
        reply = yield Command(
            argv=("sacct", "-n", "-P", "-X", "-S", "now", "-o", "JobID"), timeout_s=_TIMEOUT_S
        )
        _accounting.read(reply)
    except UnreachableError as exc:
        return Diagnosis(
            subject="accounting",
            health=Health.WARNING,
            message=f"sacct does not answer: {exc.why}",
            cure="jobs end truly all the same; slurmdbd may be down, ask the administrators",
        )
    return _ok("accounting", "it answers")


def _ok(subject: str, message: str) -> Diagnosis:
    return Diagnosis(subject=subject, health=Health.OK, message=message)


def _warning(subject: str, message: str, cure: str) -> Diagnosis:
    return Diagnosis(subject=subject, health=Health.WARNING, message=message, cure=cure)


def _error(subject: str, message: str, cure: str) -> Diagnosis:
    return Diagnosis(subject=subject, health=Health.ERROR, message=message, cure=cure)

"""Find out what is wrong on this machine."""

import os
import shutil
import time
from typing import Final

from drover.models import Diagnosis, Health
from drover_local._config import LocalConfig
from drover_local._frames import Frame, pack
from drover_local._link import read_frame
from drover_local._place import Place

_ANSWER_S: Final = 3.0
_LITTLE: Final = 200 * 2**20
_GIB: Final = 2**30


def diagnose(place: Place, config: LocalConfig) -> list[Diagnosis]:
    """Look at the agent, the disk and what the system can tell. Changes nothing."""
    found = [_agent(place), _disk(place), _exit_codes(), _resources(config)]
    return [diagnosis for diagnosis in found if diagnosis is not None]


def ask_status(place: Place) -> Frame | None:
    """Ask the agent how it is, `None` if there is none.

    Raises:
        OSError: It is there and does not answer.
    """
    try:
        sock = place.connect(_ANSWER_S)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    with sock:
        sock.sendall(pack({"op": "status", "id": 0}))
        return read_frame(sock)


def _agent(place: Place) -> Diagnosis:
    try:
        status = ask_status(place)
    except OSError as exc:
        return Diagnosis(
            subject="agent",
            health=Health.ERROR,
            message=f"it does not answer: {exc}",
            cure=f"look into {place.log}; a stopped agent goes on after: kill -CONT PID",
        )
    if status is None:
        return Diagnosis(
            subject="agent", health=Health.OK, message="not running; it starts with the first job"
        )
    text = (
        f"pid {status['pid']} for {time.time() - status['since']:.0f} s, "
        f"{status['running']} running, {status['queued']} queued, "
        f"{status['cpus'][0]} of {status['cpus'][1]} cpus free"
    )
    if status["trouble"]:
        return Diagnosis(
            subject="agent",
            health=Health.ERROR,
            message=f"{text}; nothing is started: {status['trouble']}",
            cure="make room on the disk of the store; it goes on by itself",
        )
    if not status["keeper_alive"]:
        return Diagnosis(
            subject="agent",
            health=Health.WARNING,
            message=f"{text}; its keeper was killed",
            cure="none needed: both are replaced as soon as no job runs",
        )
    return Diagnosis(subject="agent", health=Health.OK, message=text)


def _disk(place: Place) -> Diagnosis | None:
    folder = place.folder
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    usage = shutil.disk_usage(folder)
    message = f"{usage.free / _GIB:.1f} GiB free for output in {place.folder}"
    if usage.free < _LITTLE:
        return Diagnosis(
            subject="disk",
            health=Health.WARNING,
            message=message,
            cure="make room, or forget old jobs: drover purge",
        )
    return Diagnosis(subject="disk", health=Health.OK, message=message)


def _exit_codes() -> Diagnosis:
    if hasattr(os, "pidfd_open") and os.path.isdir("/proc/self"):
        message = "exit codes are kept even if the agent is killed"
        return Diagnosis(subject="exit codes", health=Health.OK, message=message)
    return Diagnosis(
        subject="exit codes",
        health=Health.WARNING,
        message="this system has no subreaper and no pidfd: jobs whose agent is killed end as LOST",
    )


def _resources(config: LocalConfig) -> Diagnosis:
    gpus = f"gpus {','.join(config.gpus)}" if config.gpus else "no gpus"
    return Diagnosis(
        subject="slots",
        health=Health.OK,
        message=f"{config.cpus} cpus, {config.memory / _GIB:.1f} GiB of memory, {gpus}",
    )

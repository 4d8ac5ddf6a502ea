"""Read the table `[backends.NAME]`: how much of this machine drover may use."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import psutil
from attrs import frozen

from drover.errors import ConfigError, InvalidSpecError, did_you_mean
from drover.models import parse_bytes, parse_seconds

KNOWN: Final = ("cpus", "grace_s", "gpus", "idle_s", "kill_leftovers", "memory", "window")
_WINDOW: Final = 256
_WINDOW_PER_SLOT: Final = 8
_IDLE_S: Final = 15.0
_GRACE_S: Final = 10.0
_NVIDIA_S: Final = 5.0


@frozen(kw_only=True)
class LocalConfig:
    """What this machine has to give. Sizes in bytes, times in seconds."""

    cpus: int
    memory: int
    gpus: tuple[str, ...] = ()
    idle_s: float = _IDLE_S
    """How long the agent stays with no job and no engine."""
    grace_s: float = _GRACE_S
    """Between TERM and KILL where the request does not say."""
    kill_leftovers: bool = False
    """Whether what a job left behind is killed after its own end, too."""
    window: int
    """How many jobs the agent is given ahead of time."""

    def for_agent(self) -> dict[str, Any]:
        """Give what the agent needs to know."""
        return {
            "cpus": self.cpus,
            "memory": self.memory,
            "gpus": self.gpus,
            "idle_s": self.idle_s,
        }


def read_config(name: str, table: Mapping[str, Any]) -> LocalConfig:
    """Check a configuration and fill in what this machine has.

    Raises:
        ConfigError: A key is unknown or a value cannot be used.
    """
    origin = f"[backends.{name}]"
    for key in table:
        if key not in KNOWN:
            near = did_you_mean(key, KNOWN)
            raise ConfigError(origin, f"unknown key {key!r}{near} Known: {', '.join(KNOWN)}")
    try:
        cpus = _count("cpus", table["cpus"]) if "cpus" in table else available_cpus()
        window = _WINDOW + _WINDOW_PER_SLOT * cpus
        return LocalConfig(
            cpus=cpus,
            memory=(
                parse_bytes("memory", table["memory"]) if "memory" in table else available_memory()
            ),
            gpus=_gpus(table["gpus"]) if "gpus" in table else found_gpus(),
            idle_s=_seconds("idle_s", table.get("idle_s", _IDLE_S)),
            grace_s=_seconds("grace_s", table.get("grace_s", _GRACE_S)),
            kill_leftovers=_flag("kill_leftovers", table.get("kill_leftovers", False)),
            window=_count("window", table["window"]) if "window" in table else window,
        )
    except InvalidSpecError as exc:
        raise ConfigError(origin, str(exc)) from exc


def available_cpus() -> int:
    """Count the cpus that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory() -> int:
    """Give the machine's memory, or the control group's limit if that is less."""
    total = psutil.virtual_memory().total
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text("ascii").strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdecimal() else total


@cache
def found_gpus() -> tuple[str, ...]:
    """List the GPUs that may be used: those that are visible already, else all.

    Source: `nvidia-smi -L`, one line per GPU: `GPU 0: NAME (UUID: GPU-...)`.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return tuple(part for part in visible.split(",") if part and part != "-1")
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    try:
        found = subprocess.run([command, "-L"], capture_output=True, timeout=_NVIDIA_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    lines = found.stdout.decode("utf-8", "replace").splitlines()
    return tuple(
        line.split(":", 1)[0].removeprefix("GPU ").strip()
        for line in lines
        if line.startswith("GPU ")
    )


def _gpus(value: object) -> tuple[str, ...]:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return tuple(str(number) for number in range(value))
    entries: Any = value
    if isinstance(value, list | tuple):
        names = tuple(str(entry) for entry in entries)
        if len(set(names)) == len(names) and all(name and "," not in name for name in names):
            return names
    raise InvalidSpecError("gpus", entries, "give a count, or a list of distinct ids or UUIDs")


def _count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidSpecError(name, value, "give a whole number, 1 or more")
    return value


def _seconds(name: str, value: object) -> float:
    if value == 0:
        return 0.0
    return parse_seconds(name, value)


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidSpecError(name, value, "give true or false")
    return value

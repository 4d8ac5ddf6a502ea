"""From a task and its profile to what Drover is handed, and to the plan that the runner reads."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import evolve

import drover
from drover_qarnot.server import runner
from drover_qarnot.server._asked import SECRET, TaskAsked, as_dict
from drover_qarnot.server._config import Hardware, Profile
from drover_qarnot.server._errors import ApiError, invalid

Json = dict[str, Any]
_NUMBERS: Final = {
    "MinimumCoreHardwareConstraint": "coreCount",
    "MaximumCoreHardwareConstraint": "coreCount",
    "MinimumRamHardwareConstraint": "minimumMemoryMB",
    "MaximumRamHardwareConstraint": "maximumMemoryMB",
    "MinimumRamCoreRatioHardwareConstraint": "minimumMemoryGBCoreRatio",
    "MaximumRamCoreRatioHardwareConstraint": "maximumMemoryGBCoreRatio",
}
_WORDS: Final = {
    "SpecificHardwareConstraint": "specificationKey",
    "CpuModelHardwareConstraint": "cpuModel",
}
_PLAIN: Final = (
    "GpuHardwareConstraint",
    "NoGpuHardwareConstraint",
    "SSDHardwareConstraint",
    "NoSSDHardwareConstraint",
)


def offered(hardware: Hardware) -> list[Json]:
    """List the constraints that this server can honour, as the API does."""
    out: list[Json] = [
        {"discriminator": "MinimumCoreHardwareConstraint", "coreCount": hardware.cores},
        {"discriminator": "MaximumCoreHardwareConstraint", "coreCount": hardware.cores},
        {"discriminator": "MinimumRamHardwareConstraint", "minimumMemoryMB": hardware.memory_mb},
        {"discriminator": "MaximumRamHardwareConstraint", "maximumMemoryMB": hardware.memory_mb},
        {"discriminator": "NoGpuHardwareConstraint"},
    ]
    if hardware.gpus:
        out.append({"discriminator": "GpuHardwareConstraint"})
    out += [
        {"discriminator": "CpuModelHardwareConstraint", "cpuModel": model}
        for model in hardware.cpu_models
    ]
    out += [
        {"discriminator": "SpecificHardwareConstraint", "specificationKey": key}
        for key in hardware.specifications
    ]
    return out


def resources_of(profile: Profile, asked: Sequence[Json], hardware: Hardware) -> drover.Resources:
    """Make what an instance needs of its profile and its constraints.

    Raises:
        ApiError: 402, there is no such hardware here; 400, it is no constraint.
    """
    cores, memory, gpus = profile.cpus, profile.memory, 0
    for one in asked:
        kind = str(one.get("discriminator", ""))
        if kind in _NUMBERS:
            number = one.get(_NUMBERS[kind])
            if isinstance(number, bool) or not isinstance(number, int | float) or number < 0:
                raise invalid("hardwareConstraints", f"{kind} needs {_NUMBERS[kind]}")
            if kind == "MinimumCoreHardwareConstraint":
                cores = max(cores, int(number))
            elif kind == "MinimumRamHardwareConstraint":
                memory = max(memory or 0, int(number) << 20)
        elif kind in _WORDS:
            _find(kind, str(one.get(_WORDS[kind])), hardware)
        elif kind == "GpuHardwareConstraint":
            gpus = 1
        elif kind not in _PLAIN:
            raise invalid("hardwareConstraints", f"{kind[:80]!r} is none")
    if cores > hardware.cores or (memory or 0) >> 20 > hardware.memory_mb or gpus > hardware.gpus:
        raise ApiError(402, "a hardware constraint asks for more than there is here")
    return drover.Resources(
        cpus=max(1, cores), memory=memory, gpus=gpus, wall_time=profile.wall_time
    )


def shared_out(node: drover.Resources, slots: int) -> drover.Resources:
    """Give one slot's part of a node; a GPU is not shared out."""
    memory = None if node.memory is None else node.memory // slots
    return evolve(node, cpus=max(1, node.cpus // slots), memory=memory)


def _find(kind: str, word: str, hardware: Hardware) -> None:
    known = hardware.cpu_models if kind == "CpuModelHardwareConstraint" else hardware.specifications
    if word not in known:
        raise ApiError(402, f"hardware constraint: there is no {word[:80]!r} here")


def constants_of(
    profile: Profile, pool: Mapping[str, str], asked: TaskAsked, hidden: Mapping[str, str]
) -> dict[str, str]:
    """Lay the constants of a profile, a pool and a task over each other."""
    shown = {name: value for name, value in as_dict(asked.constants).items() if name not in hidden}
    forced = {
        one.constant_name: str(one.forced_value)
        for one in asked.forced_constants
        if one.forced_value is not None
    }
    own = {one.name: one.value for one in profile.constants}
    return {**own, **pool, **shown, **hidden, **forced}


def write_plan(
    folder: Path, profile: Profile, instances: Sequence[int], layers: Sequence[Path]
) -> None:
    """Write what the runner of each instance reads, and make the folders that it fills."""
    for name in ("i", "out"):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    plan = runner.Plan(
        instances=str(len(instances)),
        command_line=profile.command_line,
        layers=[str(layer) for layer in layers],
        argv=list(profile.argv),
    )
    draft = folder / "plan.draft"
    draft.write_bytes(runner.write_plan(plan))
    draft.chmod(0o600)
    draft.replace(folder / "plan")


def spec_of(
    folder: Path,
    profile: Profile,
    *,
    uuid: str,
    name: str,
    instances: Sequence[int],
    max_running: int | None,
    variables: Mapping[str, str],
    resources: drover.Resources,
    backend: str,
) -> drover.JobSpec:
    """Make the array that runs a task. Variables are sealed in Drover's store."""
    given = {**profile.environment, **variables}
    carried = {f"{runner.CARRIED}{key}": value for key, value in given.items()}
    indices = tuple(instances)
    if indices == tuple(range(len(indices))):
        indices = range(len(indices))  # type: ignore[assignment]
    return drover.JobSpec(
        argv=(sys.executable, "-I", "-S", runner.__file__, str(folder)),
        name=name[:200] or "task",
        cwd=str(folder),
        env={"PATH": os.environ.get("PATH", os.defpath), **carried},
        inherit_env=False,
        resources=resources,
        array=drover.Array(indices=indices, max_running=max_running),
        tags=(uuid,),
        native={backend: profile.native} if profile.native else {},
    )


def is_hidden(name: str) -> bool:
    """Tell whether a constant is write-only."""
    return name.startswith(SECRET)

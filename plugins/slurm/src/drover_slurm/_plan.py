"""Say per field what Slurm does with it."""

from collections.abc import Mapping
from typing import Final

from drover.models import FieldPlan, JobSpec, Plan, Support, fields_set
from drover_slurm._options import native_problem

LAUNCHERS: Final[Mapping[str, tuple[str, ...]]] = {"srun": ("srun",), "mpirun": ("mpirun",)}

REFUSED: Final[Mapping[str, str]] = {
    "container": "give an OCI bundle as native option `container`, or start it in argv",
    "period": "periodic jobs are not run here; see scrontab(1)",
}
EMULATED: Final[Mapping[str, str]] = {
    "resources.priority": "by --nice: anybody may go back, only operators may go ahead",
    "resources.wall_time": "kept to the second by drover; Slurm's own limit is in whole minutes",
    "resources.disk": "by --tmp: asked of the node's TmpDisk, not kept free",
    "inputs": "drover copies them: the working directory is seen from here and from the nodes",
    "outputs": "drover copies them: the working directory is seen from here and from the nodes",
}


def make_plan(name: str, spec: JobSpec, command: tuple[str, ...], script: bytes) -> Plan:
    """Judge a specification. It asks nobody and changes nothing."""
    resources = spec.resources
    totals = {"cpus": str(resources.total_cpus), "nodes": str(resources.nodes)}
    if resources.total_gpus:
        totals["gpus"] = str(resources.total_gpus)
    if resources.memory is not None:
        totals["memory"] = f"{resources.memory // 2**20} MiB per node"
    if resources.wall_time is not None:
        totals["wall_time"] = f"{resources.wall_time:g} s"
    return Plan(
        backend=name,
        fields=tuple(_judge(name, field, spec) for field in fields_set(spec)),
        command=command,
        script=script.decode("utf-8", "backslashreplace"),
        totals=totals,
    )


def _judge(name: str, field: str, spec: JobSpec) -> FieldPlan:
    why = REFUSED.get(field, "")
    if field == "launcher" and spec.launcher not in LAUNCHERS:
        why = f"launcher {spec.launcher!r} is not known here; {' and '.join(LAUNCHERS)} are"
    elif field == "native":
        why = native_problem(name, spec.native.get(name, {}))
    if why:
        return FieldPlan(field=field, support=Support.REFUSED, note=why)
    if field in EMULATED:
        return FieldPlan(field=field, support=Support.EMULATED, note=EMULATED[field])
    return FieldPlan(field=field, support=Support.HONOURED)

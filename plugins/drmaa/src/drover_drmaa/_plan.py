"""Say per field what Grid Engine does with it."""

from collections.abc import Mapping
from typing import Final

from drover.models import FieldPlan, JobSpec, Plan, Support, fields_set
from drover_drmaa import _options, _template
from drover_drmaa._config import DrmaaConfig

LAUNCHERS: Final[Mapping[str, tuple[str, ...]]] = {"mpirun": ("mpirun",)}

REFUSED: Final[Mapping[str, str]] = {
    "container": "start it in argv: neither DRMAA nor Grid Engine knows containers",
    "period": "periodic jobs are not run here",
}
EMULATED: Final[Mapping[str, str]] = {
    "resources.tasks": "as slots of a parallel environment: tasks times cpus",
    "resources.cpus": "as slots of a parallel environment: tasks times cpus",
    "resources.memory": "per slot, by a resource of the site's; where that is h_vmem, asking for "
    "more address space fails and the command sees it first",
    "resources.gpus": "per slot, by a resource of the site's",
    "resources.disk": "per slot, by a resource of the site's",
    "resources.exclusive": "by a resource of the site's",
    "resources.account": "as the project",
    "resources.priority": "only operators may go ahead of others",
    "resources.wall_time": "kept to the second by drover; Grid Engine ends it a little later",
    "requeue": "Grid Engine says only that it is a restart; its claims are counted",
    "inputs": "drover copies them: the working directory is seen from here and from the nodes",
    "outputs": "drover copies them: the working directory is seen from here and from the nodes",
}


def make_plan(
    name: str,
    spec: JobSpec,
    config: DrmaaConfig,
    *,
    command: tuple[str, ...],
    script: bytes,
    problem: _options.UnfitError | None,
) -> Plan:
    """Judge a specification. It asks nobody and changes nothing."""
    resources = spec.resources
    totals = {"slots": str(_options.slots(name, spec))}
    if resources.total_gpus:
        totals["gpus"] = str(resources.total_gpus)
    if resources.memory is not None:
        totals["memory"] = f"{resources.memory // 2**20} MiB per node"
    if resources.wall_time is not None:
        totals["wall_time"] = f"{resources.wall_time:g} s"
    judged = [_judge(name, field, spec, config) for field in fields_set(spec)]
    if problem is not None:
        refusal = FieldPlan(field=problem.field, support=Support.REFUSED, note=problem.why)
        judged = [refusal if entry.field == problem.field else entry for entry in judged]
        if refusal not in judged:
            judged.append(refusal)
    return Plan(
        backend=name,
        fields=tuple(judged),
        command=command,
        script=script.decode("utf-8", "backslashreplace"),
        totals=totals,
    )


def _judge(name: str, field: str, spec: JobSpec, config: DrmaaConfig) -> FieldPlan:
    native = spec.native.get(name, {})
    why = REFUSED.get(field, "")
    if field == "launcher" and spec.launcher not in LAUNCHERS:
        why = f"launcher {spec.launcher!r} is not known here; {' and '.join(LAUNCHERS)} is"
    elif field == "native":
        why = _options.native_problem(name, native, config) or _template.host_problem(native)
    elif field == "resources.nodes" and "pe" not in native:
        why = (
            "how many nodes slots are spread over is the rule of a parallel environment; give "
            "native option pe"
        )
    if why:
        return FieldPlan(field=field, support=Support.REFUSED, note=why)
    if field == "resources.nodes":
        note = "the parallel environment's rule decides"
        return FieldPlan(field=field, support=Support.EMULATED, note=note)
    if field in EMULATED:
        return FieldPlan(field=field, support=Support.EMULATED, note=EMULATED[field])
    return FieldPlan(field=field, support=Support.HONOURED)

"""Say per field what this machine does with it."""

import shutil
from typing import Final

from drover.models import FieldPlan, JobSpec, Plan, Support, fields_set
from drover_local._command import OPTIONS, full_argv
from drover_local._config import LocalConfig, available_cpus
from drover_local._output import working_dir

_MIB: Final = 2**20
_REFUSED: Final = {
    "requeue": "nothing here runs an attempt again; use retry",
    "container": "commands run on this machine as they are",
    "period": "periodic jobs are not run here yet",
    "resources.queue": "this machine has no queues",
    "resources.account": "nobody keeps accounts here",
    "resources.reservation": "nothing can be reserved here",
}


def make_plan(name: str, spec: JobSpec, config: LocalConfig) -> Plan:
    """Judge a specification against this machine. It asks nobody and changes nothing."""
    resources = spec.resources
    totals = {"cpus": f"{resources.total_cpus} of {config.cpus}"}
    if resources.total_gpus:
        totals["gpus"] = f"{resources.total_gpus} of {len(config.gpus)}"
    if resources.memory is not None:
        totals["memory"] = f"{resources.memory // _MIB} of {config.memory // _MIB} MiB"
    if resources.wall_time is not None:
        totals["wall_time"] = f"{resources.wall_time:g} s"
    return Plan(
        backend=name,
        fields=tuple(_judge(name, field, spec, config) for field in fields_set(spec)),
        command=full_argv(spec),
        totals=totals,
    )


def _judge(name: str, field: str, spec: JobSpec, config: LocalConfig) -> FieldPlan:
    why = _REFUSED.get(field) or _cannot(name, field, spec, config)
    if why:
        return FieldPlan(field=field, support=Support.REFUSED, note=why)
    support, note = _NOTES.get(field, (Support.HONOURED, ""))
    if field == "resources.disk":
        return _judge_disk(spec)
    return FieldPlan(field=field, support=support, note=note)


def _cannot(name: str, field: str, spec: JobSpec, config: LocalConfig) -> str:
    resources = spec.resources
    if field == "resources.nodes":
        return f"this is one machine, not {resources.nodes}"
    if field in {"resources.cpus", "resources.tasks"} and resources.total_cpus > config.cpus:
        return (
            f"{resources.total_cpus} cpus in all can never be had, this machine gives {config.cpus}"
        )
    if field == "resources.gpus" and resources.total_gpus > len(config.gpus):
        return (
            f"{resources.total_gpus} gpus can never be had, this machine gives {len(config.gpus)}"
        )
    if field == "resources.memory" and (resources.memory or 0) > config.memory:
        return (
            f"{(resources.memory or 0) // _MIB} MiB can never be had, this machine gives "
            f"{config.memory // _MIB} MiB"
        )
    if field == "launcher":
        return _cannot_launch(spec)
    if field == "native":
        return _cannot_native(name, spec)
    return ""


def _cannot_launch(spec: JobSpec) -> str:
    if spec.launcher != "mpirun":
        return f"launcher {spec.launcher!r} is not known here; mpirun is"
    return "" if shutil.which("mpirun") else "mpirun is not installed (not in PATH)"


def _cannot_native(name: str, spec: JobSpec) -> str:
    for option, value in spec.native.get(name, {}).items():
        if option not in OPTIONS:
            return f"no option {option!r} for {name}; there are {', '.join(OPTIONS)}"
        if not isinstance(value, bool):
            return f"option {option!r} is true or false, not {value!r}"
        if option == "affinity" and value and spec.resources.total_cpus > available_cpus():
            return f"{spec.resources.total_cpus} cpus cannot be bound, there are {available_cpus()}"
    return ""


def _judge_disk(spec: JobSpec) -> FieldPlan:
    wanted = spec.resources.disk or 0
    try:
        free = shutil.disk_usage(working_dir(spec)).free
    except OSError:
        free = 0
    if free < wanted:
        note = f"{free // _MIB} MiB are free in the working directory now, not {wanted // _MIB}"
        return FieldPlan(field="resources.disk", support=Support.REFUSED, note=note)
    note = "free space is checked at submission; nothing keeps it free afterwards"
    return FieldPlan(field="resources.disk", support=Support.EMULATED, note=note)


_NOTES: Final = {
    "resources.tasks": (
        Support.HONOURED,
        "without a launcher the command runs once, with the cpus of all tasks",
    ),
    "resources.memory": (
        Support.EMULATED,
        "the memory of the whole process tree is looked at every 0.25 s; a shorter burst is missed",
    ),
    "post_launch": (
        Support.HONOURED,
        "an exit code above 128 that is a signal's is told as that signal",
    ),
    "resources.exclusive": (Support.HONOURED, "it takes all cpus that drover may use here"),
}

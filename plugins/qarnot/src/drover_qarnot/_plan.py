"""Say per field what becomes of it."""

import json
from collections.abc import Mapping
from typing import Any, Final

from drover.models import FieldPlan, JobSpec, Plan, Support, fields_set
from drover_qarnot._config import QarnotConfig
from drover_qarnot._options import native_problem
from drover_qarnot._paths import leaves_folder
from drover_qarnot._posting import masked

REFUSED: Final[Mapping[str, str]] = {
    "launcher": "a task is one command per node; a cluster profile starts parallel ones",
    "requeue": "a token is run once; give `retry` for another attempt",
    "period": "there is no timer at the cloud",
    "resources.tasks": "each instance runs one command; give an array for more",
    "resources.nodes": "each instance has one node; give an array, or a cluster profile",
    "resources.disk": "the cloud knows none; native option hardware_constraints has `ssd`",
    "resources.exclusive": "the cloud says itself what shares a node",
    "resources.account": "the token is the account",
}
IGNORED: Final[Mapping[str, str]] = {
    "resources.priority": "the cloud has no order among tasks; the option `scheduling` helps",
}
EMULATED: Final[Mapping[str, str]] = {
    "inputs": "drover uploads them to a bucket, and its runner lays them out before the command",
    "outputs": "drover's runner collects them, and they are downloaded from a bucket at the end",
    "resources.wall_time": "kept to the second by drover's runner on the node",
    "resources.memory": "the least that the node must have; it is no limit",
    "resources.cpus": "the least that the node must have; the command gets all of it",
}
ELSEWHERE: Final = "the node does not see this machine's files; set `shared_files` where it does"
LOCAL_ONLY: Final = ("stdout", "stderr", "pre_launch", "post_launch")
"""Fields with paths that have no meaning on a node that has files of its own."""


def make_plan(name: str, spec: JobSpec, config: QarnotConfig, body: Mapping[str, Any]) -> Plan:
    """Judge a specification, and show what would be posted. It asks nobody."""
    command = [
        entry["value"] for entry in body["constants"] if entry["key"] == config.command_constant
    ]
    resources = spec.resources
    totals = {"cpus": str(resources.total_cpus)}
    if resources.memory is not None:
        totals["memory"] = f"{resources.memory // 2**20} MiB per node"
    return Plan(
        backend=name,
        fields=tuple(judge(name, field, spec, config) for field in fields_set(spec)),
        command=tuple(word for line in command for word in line.split()),
        script=json.dumps(masked(body), indent=2, ensure_ascii=False),
        totals=totals,
    )


def judge(name: str, field: str, spec: JobSpec, config: QarnotConfig) -> FieldPlan:
    """Say what becomes of one field."""
    why = REFUSED.get(field, "")
    if field in LOCAL_ONLY and not config.shared_files:
        why = ELSEWHERE
    elif field == "native":
        options = spec.native.get(name, {})
        why = native_problem(options) or _command_problem(options, config)
    elif field == "resources.gpus" and spec.resources.gpus > 1:
        why = "the cloud has nodes with a GPU and without; how many is the profile's"
    elif field in {"inputs", "outputs"} and not config.shared_files:
        inner = [t.target if field == "inputs" else t.source for t in getattr(spec, field)]
        bad = next(filter(leaves_folder, inner), None)
        why = f"{bad!r} is not in the job's own folder at the cloud" if bad else ""
    if why:
        return FieldPlan(field=field, support=Support.REFUSED, note=why)
    if field in IGNORED:
        return FieldPlan(field=field, support=Support.IGNORED, note=IGNORED[field])
    note = EMULATED.get(field, "")
    if field == "stdin" and not config.shared_files:
        note = "drover uploads the file with the inputs"
    elif field == "cwd" and not config.shared_files:
        note = "the job runs in a folder of its own; relative paths of transfers start here"
    elif field == "resources.queue":
        note = "the profile"
    return FieldPlan(field=field, support=Support.EMULATED if note else Support.HONOURED, note=note)


def _command_problem(options: Mapping[str, Any], config: QarnotConfig) -> str:
    ours = config.command_constant
    if any(ours in options.get(option, {}) for option in ("constants", "forced_constants")):
        return f"constant {ours!r} starts drover's runner; what is to run is the job's argv"
    return ""

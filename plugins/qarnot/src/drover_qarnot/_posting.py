"""From attempts to what is posted: tasks, as JSON, and the plans that their runners read."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import field, frozen

from drover.models import Attempt, JobSpec
from drover_qarnot._config import QarnotConfig
from drover_qarnot._names import (
    OURS,
    PRIVATE_TAG,
    bucket_name,
    input_prefix,
    run_prefix,
    short_name,
    token_tag,
)
from drover_qarnot._official import official
from drover_qarnot._options import apply_options
from drover_qarnot._paths import expand
from drover_qarnot._states import MOST_INSTANCES, write_ranges
from drover_qarnot._tools import tools

PASSED: Final = (
    "INSTANCE_ID", "INSTANCE_COUNT", "TASK_PATH", "QARNOT_*", "TMP_PATH", "TMP_RAMFS_PATH",
    "FRAME_ID", "QRANK", "QSIZE",
)  # fmt: skip
"""Variables that the cloud gives to every instance, besides the task's constants."""
CREDENTIALS: Final = ("AWS_*",)
"""Variables with the account's, where the task may have them, besides those of QARNOT_*."""
MASKED: Final = "***"


@frozen(kw_only=True)
class Group:
    """Attempts that become one task."""

    attempts: tuple[Attempt, ...]
    name: str
    """The task's short name."""
    instances: Mapping[str, int] = field(factory=dict[str, int])
    """Which instance each token is."""

    @property
    def first(self) -> Attempt:
        """Give the attempt that speaks for all."""
        return self.attempts[0]


def group(attempts: Sequence[Attempt]) -> list[Group]:
    """Put the elements of an array together, by the index that the cloud will give them."""
    heaps: dict[object, list[Attempt]] = {}
    for attempt in attempts:
        key: object = attempt.token
        if attempt.array_id is not None and attempt.array_index is not None:
            key = (attempt.array_id, attempt.number, attempt.predecessors)
        heaps.setdefault(key, []).append(attempt)
    groups: list[Group] = []
    for heap in heaps.values():
        ordered = sorted(heap, key=lambda attempt: attempt.array_index or 0)
        for start in range(0, len(ordered), MOST_INSTANCES):
            part = tuple(ordered[start : start + MOST_INSTANCES])
            groups.append(
                Group(
                    attempts=part,
                    name=short_name([attempt.token for attempt in part]),
                    instances={attempt.token: attempt.array_index or 0 for attempt in part},
                )
            )
    return groups


def input_key(attempt: Attempt) -> str:
    """Name whose inputs these are: all elements of an array have the same."""
    if attempt.array_id is not None:
        return f"{attempt.array_id}-{attempt.number}"
    return attempt.token


def stdin_name(attempt: Attempt, instance: int) -> str:
    """Name what is uploaded as an attempt's stdin, beside its plan."""
    return f"stdin.{instance}" if "%a" in (attempt.spec.stdin or "") else "stdin"


def native_options(spec: JobSpec, backend: str) -> Mapping[str, Any]:
    """Give what the user asks of the cloud itself."""
    return spec.native.get(backend, {})


class _Unconnected:
    """Stands for a connection where a task is only described."""

    s3client = object()
    _sanitize_bucket_paths = False
    _show_bucket_warnings = False


def task_json(
    work: Group,
    config: QarnotConfig,
    backend: str,
    store_id: str,
    placing: "Placing | None" = None,
) -> dict[str, Any]:
    """Write the JSON of a task exactly as it is posted. It asks nobody.

    Args:
        work: The attempts.
        config: The backend's settings.
        backend: The backend's name, under which the native options stand.
        store_id: Names the buckets.
        placing: Uuids that were looked up; without them their names stand there.
    """
    base: Any = official("task").Task
    bucket: Any = official("bucket").Bucket

    class Described(base):  # type: ignore[misc]
        """A task that shows what it would post."""

        def described(self) -> dict[str, Any]:
            body: dict[str, Any] = self._to_json()
            return body

    spec = work.first.spec
    options = native_options(spec, backend)
    found = placing or Placing.by_name(options)
    connection = _Unconnected()
    indices = frozenset(work.instances.values())
    is_plain = indices == frozenset(range(len(indices)))
    task = Described(
        connection,
        spec.label[:200],
        None if found.pool or found.job_has_pool else spec.resources.queue or config.profile,
        len(indices) if is_plain else write_ranges(indices),
        shortname=work.name,
    )
    task.auto_update = False
    task.constants = constants(spec, config, options, work.name)
    _ask_resources(task, spec)
    apply_options(task, options, work.name)
    task.tags = tags(work, options)
    task.resources = [
        bucket(connection, name, False, *_laid(prefix, strip), cacheTTLSec=ttl)
        for name, prefix, strip, ttl in _resources(work, options, store_id)
    ]
    ttl = options.get("results_cache_ttl_s")
    task.results = bucket(connection, result_bucket(options, store_id), False, cacheTTLSec=ttl)
    if "upload_results_on_cancellation" not in options:
        # The record of a command that was ended is as good as any other.
        task.upload_results_on_cancellation = True
    if found.dependencies:
        task.set_task_advanced_dependencies(found.dependencies)
    body: dict[str, Any] = task.described()
    body["poolUuid"], body["jobUuid"] = found.pool, found.job
    if found.project:
        body["projectUuid"] = found.project
    return json.loads(json.dumps(body))  # type: ignore[no-any-return]


@frozen(kw_only=True)
class Placing:
    """The pool, job and project that a task is put into, and the tasks that it waits for."""

    pool: str | None = None
    job: str | None = None
    job_has_pool: bool = False
    project: str | None = None
    dependencies: Sequence[Any] = ()

    @classmethod
    def by_name(cls, options: Mapping[str, Any]) -> "Placing":
        """Describe it with the names that the user gave."""
        job: Mapping[str, Any] = options.get("job", {})
        return cls(
            pool=options.get("pool"),
            job=job.get("name"),
            job_has_pool=bool(job.get("pool")),
            project=options.get("project"),
        )


def result_bucket(options: Mapping[str, Any], store_id: str) -> str:
    """Name the bucket for what comes back."""
    return str(options.get("result_bucket") or bucket_name(store_id, "out"))


def tags(work: Group, options: Mapping[str, Any]) -> list[str]:
    """Name what a task can be found by."""
    own = [PRIVATE_TAG, work.name, token_tag(work.first.token)]
    return [*own, *options.get("tags", ())]


def constants(
    spec: JobSpec, config: QarnotConfig, options: Mapping[str, Any], name: str
) -> dict[str, str]:
    """Say what the profile is given: the user's, the image, and a command line of ours."""
    found = {key: _text(value) for key, value in options.get("constants", {}).items()}
    image = spec.container or ("" if "DOCKER_REPO" in found else config.image)
    if image:
        repository, _, tag = image.partition("@")[0].rpartition(":")
        if not repository or "/" in tag:
            repository, tag = image, "latest"
        found["DOCKER_REPO"], found["DOCKER_TAG"] = repository, tag
    found[config.command_constant] = f"{config.python} -I -S {OURS}/runner.py {name}"
    return found


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _ask_resources(task: Any, spec: JobSpec) -> None:
    hardware = official("hardware_constraint")

    wanted = spec.resources
    constraints: list[Any] = []
    if wanted.cpus > 1:
        constraints.append(hardware.MinimumCoreHardware(wanted.cpus))
    if wanted.memory is not None:
        constraints.append(hardware.MinimumRamHardware(-(-wanted.memory // 2**20)))
    if wanted.gpus:
        constraints.append(hardware.GpuHardware())
    task.hardware_constraints = constraints
    if wanted.reservation:
        task.scheduling_type = official("scheduling_type").ReservedScheduling()
        task.targeted_reservation_name = wanted.reservation


def _resources(
    work: Group, options: Mapping[str, Any], store_id: str
) -> list[tuple[str, str, str, int | None]]:
    """List bucket, prefix, prefix to strip and cache time; later ones lie over earlier ones."""
    ours = bucket_name(store_id, "in")
    rows: list[tuple[str, str, str, int | None]] = []
    for entry in options.get("resources", ()):
        table: Mapping[str, Any] = {"bucket": entry} if isinstance(entry, str) else entry
        rows.append(
            (table["bucket"], table.get("prefix", ""), table.get("strip", ""),
             table.get("cache_ttl_s"))
        )  # fmt: skip
    if work.first.spec.inputs:
        prefix = input_prefix(input_key(work.first))
        rows.append((ours, prefix, prefix, None))
    rows += [(ours, prefix, prefix, None) for prefix in (tools()[0], run_prefix(work.name))]
    return rows


def _laid(prefix: str, strip: str) -> tuple[Any, Any]:
    laid = official("advanced_bucket")

    filtering, transformation = laid.Filtering(), laid.ResourcesTransformation()
    if prefix:
        filtering.append(laid.BucketPrefixFiltering(prefix))
    if strip:
        transformation.append(laid.PrefixResourcesTransformation(strip))
    return filtering, transformation


def masked(body: Mapping[str, Any]) -> dict[str, Any]:
    """Hide values that may be secret: constants carry passwords of registries."""
    ours = {"DOCKER_REPO", "DOCKER_TAG", "DOCKER_CMD"}
    shown = dict(body)
    shown["constants"] = [
        entry if entry["key"] in ours else {**entry, "value": MASKED} for entry in body["constants"]
    ]
    shown["forcedConstants"] = [
        {**entry, "forcedValue": MASKED} for entry in body["forcedConstants"]
    ]
    return shown


def runner_plan(work: Group, config: QarnotConfig, backend: str) -> dict[str, Any]:
    """Write what the runners of a task read: the commands, byte for byte."""
    bases: dict[str, dict[str, str]] = {}
    members: dict[str, dict[str, Any]] = {}
    options = native_options(work.first.spec, backend)
    passed = [*PASSED, *options.get("constants", {}), *options.get("forced_constants", {})]
    if options.get("export_credentials"):
        passed += CREDENTIALS
    for attempt in work.attempts:
        if attempt.base_digest:
            bases.setdefault(attempt.base_digest, dict(attempt.base_environment))
            own = dict(attempt.variables)
        else:
            own = attempt.environment
        members[str(work.instances[attempt.token])] = {
            "token": attempt.token,
            "base": attempt.base_digest,
            "env": own,
            **_command(attempt, config, work.instances[attempt.token]),
        }
    every = list(members.values())
    common = {
        key: value
        for key, value in every[0].items()
        if all(entry[key] == value for entry in every) and len(every) > 1
    }
    return {
        "shared": config.shared_files,
        "retried": "retries" in options,
        "bases": bases,
        "common": {"version": 1, "requeue": False, "pass_env": passed, **common},
        "members": {
            index: {key: value for key, value in entry.items() if key not in common}
            for index, entry in members.items()
        },
    }


def _command(attempt: Attempt, config: QarnotConfig, instance: int) -> dict[str, Any]:
    spec = attempt.spec
    stdin = expand(spec.stdin, attempt)
    if stdin is not None and not config.shared_files:
        stdin = stdin_name(attempt, instance)
    return {
        "argv": list(spec.argv),
        "cwd": spec.cwd if config.shared_files else None,
        "stdin": stdin,
        "stdout": expand(spec.stdout, attempt),
        "stderr": expand(spec.stderr, attempt),
        "join_output": spec.join_output,
        "pre_launch": spec.pre_launch,
        "post_launch": spec.post_launch,
        "wall_time": spec.resources.wall_time,
        "outputs": [transfer.source for transfer in spec.outputs],
    }

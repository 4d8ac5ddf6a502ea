"""What `native={"qarnot": {...}}` may hold, and how it is asked of the official package."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from drover_qarnot._forced import apply_forced, forced_problem
from drover_qarnot._official import official

TEXT: Final = "text"
COUNT: Final = "a whole number, 1 or more"
FLAG: Final = "true or false"
TEXTS: Final = "a list of texts"
WORDS: Final = "a mapping of texts to texts, numbers or true and false"
SPAN: Final = "seconds, or text like 1.06:00:00"
TABLE: Final = "a mapping"
TABLES: Final = "a list of mappings, or of texts"

NATIVE: Final[Mapping[str, str]] = {
    "constants": WORDS, "constraints": WORDS, "labels": WORDS, "tags": TEXTS,
    "hardware_constraints": TABLES, "resources": TABLES, "result_bucket": TEXT,
    "results_whitelist": TEXT, "results_blacklist": TEXT,
    "snapshot_whitelist": TEXT, "snapshot_blacklist": TEXT, "snapshot_interval": COUNT,
    "snapshot_bucket": TEXT, "snapshot_prefix": TEXT,
    "pool": TEXT, "job": TABLE, "dependencies": FLAG, "project": TEXT,
    "auto_delete": FLAG, "completion_ttl": SPAN, "max_time_queue_s": COUNT,
    "upload_results_on_cancellation": FLAG, "wait_for_pool_resources": FLAG,
    "resources_cache_ttl_s": COUNT, "results_cache_ttl_s": COUNT, "export_credentials": FLAG,
    "scheduling": TEXT, "reservation_machine": TEXT, "retries": TABLE,
    "forced_constants": TABLE, "forced_network_rules": TABLES,
    "secrets": TABLE, "purge_resources": FLAG, "purge_results": FLAG,
}  # fmt: skip
JOB: Final[Mapping[str, str]] = {
    "name": TEXT, "max_wall_time": SPAN, "auto_delete": FLAG, "completion_ttl": SPAN, "pool": TEXT,
    "tags": TEXTS,
}  # fmt: skip
"""Of the option `job`: the cloud's own job that the task is put into, made if it is not there."""
RETRIES: Final = ("total", "per_instance")
"""Of the option `retries`: the cloud runs instances again that failed, for the same token."""
SCHEDULING: Final = ("Flex", "OnDemand", "Reserved")
MOST_TAGS: Final = 6
"""Of the user's: the cloud takes fewer than ten, and we need three."""
_SPAN: Final = re.compile(r"(\d+\.)?\d{2}:\d{2}:\d{2}")
_HARDWARE: Final[Mapping[str, tuple[str, str]]] = {
    "minimum_cores": ("MinimumCoreHardware", "int"),
    "maximum_cores": ("MaximumCoreHardware", "int"),
    "minimum_ram_mb": ("MinimumRamHardware", "number"),
    "maximum_ram_mb": ("MaximumRamHardware", "number"),
    "minimum_ram_core_ratio": ("MinimumRamCoreRatioHardware", "number"),
    "maximum_ram_core_ratio": ("MaximumRamCoreRatioHardware", "number"),
    "specification": ("SpecificHardware", "text"),
    "cpu_model": ("CpuModelHardware", "text"),
    "gpu": ("GpuHardware", "flag"),
    "no_gpu": ("NoGpuHardware", "flag"),
    "ssd": ("SSDHardware", "flag"),
    "no_ssd": ("NoSSDHardware", "flag"),
}
_RESOURCE: Final = {"bucket": TEXT, "prefix": TEXT, "strip": TEXT, "cache_ttl_s": COUNT}


def native_problem(options: Mapping[str, Any]) -> str:
    """Say what is wrong with the first bad option; "" if all are good."""
    for option, value in options.items():
        kind = NATIVE.get(option)
        if kind is None:
            return f"no option {option!r}; there are {', '.join(sorted(NATIVE))}"
        if not _KINDS[kind](value):
            return f"option {option!r} is {kind}, not {value!r}"
    checks = (
        _job_problem, _hardware_problem, _resources_problem, _filters_problem, forced_problem,
        _retries_problem, _snapshot_problem, _rest_problem,
    )  # fmt: skip
    return next(filter(None, (check(options) for check in checks)), "")


def _job_problem(options: Mapping[str, Any]) -> str:
    job: Mapping[str, Any] = options.get("job", {})
    for option, value in job.items():
        kind = JOB.get(option)
        if kind is None:
            return f"no option 'job.{option}'; there are {', '.join(JOB)}"
        if not _KINDS[kind](value):
            return f"option 'job.{option}' is {kind}, not {value!r}"
    if "job" in options and not job.get("name"):
        return "option 'job' needs a name: tasks that give the same one are in one job"
    if options.get("dependencies") and "job" not in options:
        return "option 'dependencies' needs 'job': the cloud knows them between tasks of one job"
    if "job" in options and "pool" in options:
        return "a task is in a pool or in a job; give the pool to the job, as 'job.pool'"
    return ""


def _hardware_problem(options: Mapping[str, Any]) -> str:
    for entry in options.get("hardware_constraints", ()):
        if not isinstance(entry, Mapping) or len(cast("Mapping[str, Any]", entry)) != 1:
            return f"each hardware constraint is one of {', '.join(_HARDWARE)}, with its value"
        ((name, value),) = cast("Mapping[str, Any]", entry).items()
        known = _HARDWARE.get(name)
        if known is None:
            return f"no hardware constraint {name!r}; there are {', '.join(_HARDWARE)}"
        if not _HARDWARE_VALUES[known[1]](value):
            return f"hardware constraint {name!r} is {known[1]}, not {value!r}"
    return ""


def _resources_problem(options: Mapping[str, Any]) -> str:
    for entry in options.get("resources", ()):
        table: Mapping[str, Any] = {"bucket": entry} if isinstance(entry, str) else entry
        for option, value in table.items():
            if option not in _RESOURCE or not _KINDS[_RESOURCE[option]](value):
                return f"a resource is a bucket, or a mapping with {', '.join(_RESOURCE)}"
        if not table.get("bucket"):
            return "a resource names its bucket"
    return ""


def _filters_problem(options: Mapping[str, Any]) -> str:
    for option in NATIVE:
        if option.endswith("list") and option in options:
            try:
                # The cloud's expressions are .NET's, which know variables in them as well.
                re.compile(re.sub(r"\$\{\w+\}", "", options[option]))
            except re.error as error:
                return f"option {option!r} is no regular expression: {error}"
    return ""


def _retries_problem(options: Mapping[str, Any]) -> str:
    retries: Mapping[str, Any] = options.get("retries", {})
    if not all(name in RETRIES and _is_count(count) for name, count in retries.items()):
        return f"option 'retries' holds {' and '.join(RETRIES)}, each {COUNT}"
    if "retries" in options and not retries:
        return f"option 'retries' is empty; it holds {' and '.join(RETRIES)}"
    return ""


def _snapshot_problem(options: Mapping[str, Any]) -> str:
    for option in ("snapshot_bucket", "snapshot_prefix"):
        if option in options and "snapshot_interval" not in options:
            return f"option {option!r} needs 'snapshot_interval': it says where those go"
    return ""


def _rest_problem(options: Mapping[str, Any]) -> str:
    if len(options.get("tags", ())) > MOST_TAGS:
        return f"option 'tags': the cloud has room for {MOST_TAGS} beside drover's own"
    if options.get("scheduling", SCHEDULING[0]) not in SCHEDULING:
        return f"option 'scheduling' is one of {', '.join(SCHEDULING)}"
    if options.get("purge_results") and "result_bucket" not in options:
        return "option 'purge_results' deletes a bucket of yours: name it as 'result_bucket'"
    if options.get("purge_resources") and "resources" not in options:
        return "option 'purge_resources' deletes buckets of yours: name them as 'resources'"
    secrets: Mapping[str, Any] = options.get("secrets", {})
    if not all(name in {"keys", "prefixes"} and _is_texts(secrets[name]) for name in secrets):
        return "option 'secrets' holds 'keys' and 'prefixes', lists of texts"
    return ""


def apply_options(task: Any, options: Mapping[str, Any], batch: str) -> None:
    """Ask a task that is not submitted yet for all options, by the official package's names."""
    hardware, rights = official("hardware_constraint"), official("secrets")

    for option, attribute in _ATTRIBUTES.items():
        if option in options:
            setattr(task, attribute, options[option])
    if "completion_ttl" in options:
        task.completion_ttl = span_text(options["completion_ttl"])
    if "snapshot_interval" in options:
        task.snapshot(options["snapshot_interval"])
    task.results_whitelist = results_whitelist(batch, options.get("results_whitelist", ""))
    if options.get("results_blacklist"):
        task.results_blacklist = results_blacklist(batch, options["results_blacklist"])
    constraints = list(task.hardware_constraints)
    for entry in options.get("hardware_constraints", ()):
        ((name, value),) = entry.items()
        made = getattr(hardware, _HARDWARE[name][0])
        constraints.append(made() if _HARDWARE[name][1] == "flag" else made(value))
    task.hardware_constraints = constraints
    apply_forced(task, options)
    if "retries" in options:
        counts = (options["retries"].get(name) for name in RETRIES)
        task.retry_settings = official("retry_settings").RetrySettings(*counts)
    if options.get("export_credentials"):
        task.privileges = official("privileges").Privileges(exportCredentialsInEnv=True)
    if "scheduling" in options:
        words = official("scheduling_type").SchedulingType
        task.scheduling_type = words.from_string(options["scheduling"])
    if "secrets" in options:
        secrets: Mapping[str, Sequence[str]] = options["secrets"]
        by_key, by_prefix = rights.SecretAccessRightBySecret, rights.SecretAccessRightByPrefix
        task.secrets_access_rights = rights.SecretsAccessRights(
            by_secret=[by_key(key) for key in secrets.get("keys", ())],
            by_prefix=[by_prefix(word) for word in secrets.get("prefixes", ())],
        )


_ATTRIBUTES: Final[Mapping[str, str]] = {
    "constraints": "constraints",
    "labels": "labels",
    "snapshot_whitelist": "snapshot_whitelist",
    "snapshot_blacklist": "snapshot_blacklist",
    "auto_delete": "auto_delete",
    "max_time_queue_s": "max_time_queue_seconds",
    "upload_results_on_cancellation": "upload_results_on_cancellation",
    "wait_for_pool_resources": "wait_for_pool_resources_synchronization",
    "resources_cache_ttl_s": "default_resources_cache_ttl_sec",
    "reservation_machine": "targeted_reserved_machine_key",
}


def results_whitelist(batch: str, wanted: str) -> str:
    """Let our own records come back, and of other files those that the user wants."""
    ours = f"^{re.escape(batch)}/"
    if not wanted:
        return ours
    flags, rest = _flags(wanted)
    return f"{flags}{ours}|(?:{rest})"


def results_blacklist(batch: str, unwanted: str) -> str:
    """Keep back what the user does not want, but never our own records."""
    flags, rest = _flags(unwanted)
    return f"{flags}^(?!{re.escape(batch)}/)(?=.*(?:{rest})).*$"


def _flags(expression: str) -> tuple[str, str]:
    """Take flags such as `(?i)` off the beginning: they may not stand anywhere else."""
    found = re.match(r"\(\?[a-z]+\)", expression)
    flags = found.group() if found else ""
    return flags, expression[len(flags) :]


def span_text(value: float | str) -> str:
    """Write a time span as the cloud reads it, `d.hh:mm:ss`; no part of it gets lost."""
    if isinstance(value, str):
        return value
    minutes, seconds = divmod(int(value + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}.{hours:02}:{minutes:02}:{seconds:02}"


def _is_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(word, str) for word in cast("Sequence[object]", value)
    )


def _is_words(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(key, str) and isinstance(word, str | int | float)
        for key, word in cast("Mapping[object, object]", value).items()
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_span(value: object) -> bool:
    if isinstance(value, str):
        return _SPAN.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _is_tables(value: object) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(entry, Mapping | str) for entry in cast("Sequence[object]", value)
    )


_KINDS: Final[Mapping[str, Callable[[object], bool]]] = {
    TEXT: lambda value: isinstance(value, str) and "\0" not in value,
    COUNT: _is_count,
    FLAG: lambda value: isinstance(value, bool),
    TEXTS: _is_texts,
    WORDS: _is_words,
    SPAN: _is_span,
    TABLE: lambda value: isinstance(value, Mapping),
    TABLES: _is_tables,
}
_HARDWARE_VALUES: Final[Mapping[str, Callable[[object], bool]]] = {
    "int": _is_count,
    "number": lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    ),
    "text": lambda value: isinstance(value, str) and bool(value),
    "flag": lambda value: value is True,
}

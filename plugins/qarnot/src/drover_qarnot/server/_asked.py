"""What users ask for: the bodies of creations, and what is right with them."""

import re
from typing import Any, Final

from attrs import field, frozen

from drover_qarnot.server._config import PROGRESS, Limits
from drover_qarnot.server._errors import ApiError, invalid
from drover_qarnot.server._reading import Scalar
from drover_qarnot.server._values import NO_SPAN, to_instances, to_seconds

SECRET: Final = "QARNOT_SECRET__"  # noqa: S105 - the beginning of a name
"""Constants whose name begins so are never told again."""
HIDDEN: Final = "[SECRET]"
_SHORTNAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?")
_CONSTANT: Final = re.compile(r"[A-Za-z0-9_.-]+")
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_SCHEDULINGS: Final = {"flex": "Flex", "ondemand": "OnDemand", "reserved": "Reserved"}
_CONDITIONS: Final = {"success", "failure", "cancelled"}
MOST_TEXT: Final = 2048
Json = dict[str, Any]


@frozen(kw_only=True)
class Constant:
    """A name and a text."""

    key: str
    value: Scalar


@frozen(kw_only=True)
class ForcedConstant:
    """What a user may force of a profile's constant."""

    constant_name: str
    forced_value: Scalar | None = None
    force_export_in_environment: bool | None = None
    access: str | None = None


@frozen(kw_only=True)
class PrefixFiltering:
    """Which keys are resources."""

    prefix: str = ""


@frozen(kw_only=True)
class Filtering:
    """How a bucket's keys are chosen."""

    prefix_filtering: PrefixFiltering | None = None


@frozen(kw_only=True)
class StripPrefix:
    """What is taken off keys."""

    prefix: str = ""


@frozen(kw_only=True)
class Transformation:
    """How keys become paths."""

    strip_prefix: StripPrefix | None = None


@frozen(kw_only=True)
class ResourceBucket:
    """A bucket whose objects lie in the working directory."""

    bucket_name: str
    filtering: Filtering | None = None
    resources_transformation: Transformation | None = None
    cache_ttl_sec: int | None = None

    @property
    def prefix(self) -> str:
        """Give what keys must begin with."""
        found = self.filtering and self.filtering.prefix_filtering
        return found.prefix if found else ""

    @property
    def strip(self) -> str:
        """Give what is taken off keys that begin so."""
        found = self.resources_transformation and self.resources_transformation.strip_prefix
        return found.prefix if found else ""


@frozen(kw_only=True)
class DependsOn:
    """Another task, and the ends of it that are waited for."""

    task_uuid: str
    task_final_state_condition: list[str] = field(factory=list[str])


@frozen(kw_only=True)
class Dependencies:
    """What a task waits for."""

    depends_on: list[str] = field(factory=list[str])
    advanced_depends_on: list[DependsOn] = field(factory=list[DependsOn])

    def all(self) -> list[DependsOn]:
        """Write both forms as the advanced one, of which the simple one is a subset."""
        return [DependsOn(task_uuid=uuid) for uuid in self.depends_on] + self.advanced_depends_on


@frozen(kw_only=True)
class BySecret:
    """One secret."""

    key: str


@frozen(kw_only=True)
class ByPrefix:
    """All secrets below a prefix."""

    prefix: str


@frozen(kw_only=True)
class SecretsRights:
    """Which secrets a task may read."""

    by_secret: list[BySecret] = field(factory=list[BySecret])
    by_prefix: list[ByPrefix] = field(factory=list[ByPrefix])


@frozen(kw_only=True)
class Privileges:
    """What else a task is given."""

    export_api_and_storage_credentials_in_environment: bool = False


@frozen(kw_only=True)
class RetrySettings:
    """How often failed instances are run again. 0 and `None`: not limited by this one."""

    max_total_retries: int | None = None
    max_per_instance_retries: int | None = None


@frozen(kw_only=True)
class TaskAsked:
    """The body of a task's creation."""

    name: str
    shortname: str | None = None
    profile: str | None = None
    pool_uuid: str | None = None
    job_uuid: str | None = None
    project_uuid: str | None = None
    constants: list[Constant] = field(factory=list[Constant])
    constraints: list[Constant] = field(factory=list[Constant])
    forced_constants: list[ForcedConstant] = field(factory=list[ForcedConstant])
    wait_for_pool_resources_synchronization: bool | None = None
    upload_results_on_cancellation: bool | None = None
    labels: dict[str, str] = field(factory=dict[str, str])
    dependencies: Dependencies | None = None
    resource_buckets: list[str] = field(factory=list[str])
    advanced_resource_buckets: list[ResourceBucket] = field(factory=list[ResourceBucket])
    result_bucket: str | None = None
    results_bucket_prefix: str | None = None
    results_cache_ttl_sec: int | None = None
    instance_count: int | None = None
    advanced_ranges: str | None = None
    tags: list[str] = field(factory=list[str])
    auto_delete_on_completion: bool = False
    completion_time_to_live: str = NO_SPAN
    max_time_queue_seconds: int | None = None
    hardware_constraints: list[Json] = field(factory=list[Json])
    default_resources_cache_ttl_sec: int | None = None
    privileges: Privileges = field(factory=Privileges)
    retry_settings: RetrySettings = field(factory=RetrySettings)
    max_retries_per_instance: int | None = None
    forced_network_rules: list[Json] = field(factory=list[Json])
    snapshot_whitelist: str | None = None
    snapshot_blacklist: str | None = None
    snapshot_bucket: str | None = None
    snapshot_bucket_prefix: str | None = None
    results_whitelist: str | None = None
    results_blacklist: str | None = None
    scheduling_type: str | None = None
    targeted_reserved_machine_key: str | None = None
    targeted_reservation_name: str | None = None
    secrets_access_rights: SecretsRights = field(factory=SecretsRights)
    priority: int | None = None

    def buckets(self) -> list[ResourceBucket]:
        """List resource buckets in the order in which they are laid over each other."""
        plain = [ResourceBucket(bucket_name=name) for name in self.resource_buckets]
        return plain + self.advanced_resource_buckets

    def instances(self, most: int) -> tuple[int, ...]:
        """Write out the ids of its instances."""
        if self.advanced_ranges:
            return to_instances(self.advanced_ranges, most)
        return tuple(range(self.instance_count or 0))


@frozen(kw_only=True)
class PoolAsked:
    """The body of a pool's creation."""

    name: str
    shortname: str | None = None
    profile: str | None = None
    project_uuid: str | None = None
    constants: list[Constant] = field(factory=list[Constant])
    forced_constants: list[ForcedConstant] = field(factory=list[ForcedConstant])
    constraints: list[Constant] = field(factory=list[Constant])
    instance_count: int = 1
    tags: list[str] = field(factory=list[str])
    preparation_task: Json | None = None
    elastic_property: Json | None = None
    scaling: Json | None = None
    task_default_wait_for_pool_resources_synchronization: bool = False
    labels: dict[str, str] = field(factory=dict[str, str])
    resource_buckets: list[str] = field(factory=list[str])
    advanced_resource_buckets: list[ResourceBucket] = field(factory=list[ResourceBucket])
    auto_delete_on_completion: bool = False
    completion_time_to_live: str = NO_SPAN
    max_time_queue_seconds: int | None = None
    hardware_constraints: list[Json] = field(factory=list[Json])
    default_resources_cache_ttl_sec: int | None = None
    privileges: Privileges = field(factory=Privileges)
    default_retry_settings: RetrySettings = field(factory=RetrySettings)
    forced_network_rules: list[Json] = field(factory=list[Json])
    scheduling_type: str | None = None
    targeted_reserved_machine_key: str | None = None
    targeted_reservation_name: str | None = None
    secrets_access_rights: SecretsRights = field(factory=SecretsRights)
    multi_slots_settings: Json | None = None

    def buckets(self) -> list[ResourceBucket]:
        """List resource buckets in the order in which they are laid over each other."""
        plain = [ResourceBucket(bucket_name=name) for name in self.resource_buckets]
        return plain + self.advanced_resource_buckets


@frozen(kw_only=True)
class JobAsked:
    """The body of a job's creation."""

    name: str
    shortname: str | None = None
    pool_uuid: str | None = None
    tags: list[str] = field(factory=list[str])
    use_dependencies: bool = False
    max_wall_time: str | None = None
    auto_delete_on_completion: bool = False
    completion_time_to_live: str = NO_SPAN


def check_common(asked: TaskAsked | PoolAsked | JobAsked) -> None:
    """Refuse names, tags and spans that cannot be.

    Raises:
        ApiError: 400.
    """
    if not 1 <= len(asked.name) < MOST_TEXT:
        raise invalid("name", f"1 to {MOST_TEXT - 1} characters")
    if asked.shortname is not None and not (
        len(asked.shortname) <= 256 and _SHORTNAME.fullmatch(asked.shortname)
    ):
        raise invalid("shortname", "letters, digits and '-', a letter or digit at both ends")
    if len(asked.tags) > 100 or any(not 1 <= len(tag) < 512 for tag in asked.tags):
        raise invalid("tags", "at most 100, each of 1 to 511 characters")
    to_seconds(asked.completion_time_to_live, "completionTimeToLive")


def check_constants(constants: list[Constant], most: int) -> None:
    """Refuse constants that could not be variables.

    Raises:
        ApiError: 400.
    """
    if len(constants) > most:
        raise invalid("constants", f"at most {most}")
    for one in constants:
        if len(one.key) > MOST_TEXT or not _CONSTANT.fullmatch(one.key):
            raise invalid("constants", f"{one.key[:80]!r}: letters, digits, '_', '.' and '-'")
        if len(one.value) > MOST_TEXT:
            raise invalid("constants", f"{one.key}: at most {MOST_TEXT} characters")
        if one.key in PROGRESS:
            check_pattern(f"constants.{one.key}", one.value)


def check_task(asked: TaskAsked, limits: Limits) -> None:
    """Refuse a task that cannot be, before anything is looked up.

    Raises:
        ApiError: 400, or 403 above a limit of the account.
    """
    check_common(asked)
    check_constants(asked.constants, limits.constants)
    _check_instances(asked, limits)
    _check_buckets([*asked.buckets()], asked.result_bucket, limits)
    if bool(asked.advanced_resource_buckets) and bool(asked.resource_buckets):
        raise invalid("resourceBuckets", "give them in one of the two forms")
    _check_scheduling(asked)
    for name, pattern in (
        ("snapshotWhitelist", asked.snapshot_whitelist),
        ("snapshotBlacklist", asked.snapshot_blacklist),
        ("resultsWhitelist", asked.results_whitelist),
        ("resultsBlacklist", asked.results_blacklist),
    ):
        check_pattern(name, pattern)
    for one in asked.dependencies.all() if asked.dependencies else ():
        if not {word.lower() for word in one.task_final_state_condition} <= _CONDITIONS:
            raise invalid("dependencies", f"a condition is one of {', '.join(sorted(_CONDITIONS))}")


def _check_instances(asked: TaskAsked, limits: Limits) -> None:
    if (asked.instance_count is None) == (asked.advanced_ranges is None):
        raise invalid("instanceCount", "give it, or advancedRanges, and not both")
    if asked.advanced_ranges is not None:
        to_instances(asked.advanced_ranges, limits.instances)
    elif not 1 <= (asked.instance_count or 0) <= limits.instances:
        raise invalid("instanceCount", f"1 to {limits.instances}")


def _check_buckets(buckets: list[ResourceBucket], result: str | None, limits: Limits) -> None:
    if len(buckets) > limits.task_buckets:
        raise invalid("resourceBuckets", f"at most {limits.task_buckets}")
    for name in [bucket.bucket_name for bucket in buckets] + ([result] if result else []):
        check_bucket(name)


def check_bucket(name: str) -> None:
    """Refuse what is no bucket's name."""
    if not _BUCKET.fullmatch(name):
        raise invalid("bucket", f"{name[:80]!r} is no name of a bucket")


def check_pattern(field_name: str, pattern: str | None) -> None:
    """Refuse a filter that is no regular expression."""
    if not pattern:
        return
    if len(pattern) >= MOST_TEXT:
        raise invalid(field_name, f"less than {MOST_TEXT} characters")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as exc:
        raise invalid(field_name, f"no regular expression: {exc}") from exc


def _check_scheduling(asked: TaskAsked | PoolAsked) -> None:
    if (asked.max_time_queue_seconds or 0) < 0:
        raise invalid("maxTimeQueueSeconds", "0 or more")
    kind = asked.scheduling_type
    if kind is not None and kind.lower() not in _SCHEDULINGS:
        raise invalid("schedulingType", "one of Flex, OnDemand, Reserved")
    targeted = asked.targeted_reserved_machine_key or asked.targeted_reservation_name
    if targeted and (kind or "").lower() != "reserved":
        raise invalid("schedulingType", "a reservation goes with Reserved alone")


def check_pool(asked: PoolAsked, limits: Limits) -> None:
    """Refuse a pool that cannot be.

    Raises:
        ApiError: 400.
    """
    check_common(asked)
    check_constants(asked.constants, limits.constants)
    if not 1 <= asked.instance_count <= limits.instances:
        raise invalid("instanceCount", f"1 to {limits.instances}")
    if not asked.profile:
        raise invalid("profile", "a pool needs one")
    _check_buckets(asked.buckets(), None, limits)
    _check_scheduling(asked)


def check_job(asked: JobAsked) -> None:
    """Refuse a job that cannot be.

    Raises:
        ApiError: 400.
    """
    check_common(asked)
    if asked.max_wall_time is not None:
        to_seconds(asked.max_wall_time, "maxWallTime")


def as_dict(pairs: list[Constant]) -> dict[str, str]:
    """Read constants as variables; the last of a name counts."""
    return {one.key: str(one.value) for one in pairs}


def too_many(kind: str) -> ApiError:
    """Make the answer above an account's quota, in the words that the SDK looks for."""
    return ApiError(403, f"maximum number of {kind} reached")

"""What a user asks for: the job and its resources."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from math import isfinite
from typing import Any, Final, cast

from attrs import Attribute, field, fields, frozen

from drover.errors import InvalidSpecError
from drover.models._checking import (
    TEXT,
    YES_OR_NO,
    Kinds,
    check_kinds,
    naming_near_misses,
    whole,
)
from drover.models._converting import (
    EMPTY,
    MAX_ARRAY,
    NOTHING,
    PathText,
    show_names,
    to_argv,
    to_backoff,
    to_cwd,
    to_deadline,
    to_disk,
    to_env,
    to_exit_codes,
    to_expiry,
    to_factor,
    to_indices,
    to_launcher,
    to_longest_backoff,
    to_memory,
    to_not_before,
    to_period,
    to_post_launch,
    to_pre_launch,
    to_source,
    to_stderr,
    to_stdin,
    to_stdout,
    to_tags,
    to_target,
    to_wall_time,
)
from drover.models._outcome import RETRYABLE, Reason

MAX_COUNT: Final = 1_000_000
"""Most tasks, cpus, gpus or nodes: more is a typing error on any machine there is."""
MAX_PRIORITY: Final = 2**31 - 1
"""Slurm's range, and more than any other system's."""


class Condition(StrEnum):
    """When a dependency lets its dependent go."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Ended, but did not succeed; cancelled counts, LOST does not."""
    ENDED = "ended"


def _condition(value: Condition | str) -> Condition:
    try:
        return Condition(value)
    except ValueError:
        words = ", ".join(Condition)
        raise InvalidSpecError("after.condition", value, f"give one of {words}") from None


def _is_id(_owner: object, _attribute: "Attribute[str]", value: object) -> None:
    if not isinstance(value, str):
        raise InvalidSpecError("after.job", value, "give the job's id, or the job")


@naming_near_misses
@frozen(kw_only=True)
class Dependency:
    """Another job of the same store, and what it must have come to."""

    job: str = field(validator=_is_id)
    condition: Condition = field(default=Condition.SUCCEEDED, converter=_condition)


@naming_near_misses
@frozen(kw_only=True)
class Transfer:
    """A file or folder that moves between the client and the job's working directory."""

    source: str = field(converter=to_source)
    target: str = field(converter=to_target)


def _count(minimum: int, maximum: int = MAX_COUNT) -> Any:
    def check(_owner: object, attribute: "Attribute[int]", value: object) -> None:
        whole(attribute.name, value, minimum, maximum)

    return check


_RESOURCE_KINDS: Final[Kinds] = {
    "exclusive": YES_OR_NO,
    "queue": TEXT,
    "account": TEXT,
    "reservation": TEXT,
}


@naming_near_misses
@frozen(kw_only=True)
class Resources:
    """What a job needs. Sizes in bytes, times in seconds, both also as text with a unit."""

    tasks: int = field(default=1, validator=_count(1))
    cpus: int = field(default=1, validator=_count(1))
    """Per task."""
    gpus: int = field(default=0, validator=_count(0))
    """Per task."""
    memory: int | None = field(default=None, converter=to_memory)
    """Bytes per node. `None`: no limit asked for."""
    disk: int | None = field(default=None, converter=to_disk)
    """Bytes of scratch per node."""
    nodes: int = field(default=1, validator=_count(1))
    wall_time: float | None = field(default=None, converter=to_wall_time)
    """Seconds from the start. `None`: the backend's own limit."""
    exclusive: bool = False
    queue: str | None = None
    """The partition of Slurm, the queue of Grid Engine."""
    account: str | None = None
    reservation: str | None = None
    priority: int = field(default=0, validator=_count(-MAX_PRIORITY, MAX_PRIORITY))
    """Higher goes first."""

    def __attrs_post_init__(self) -> None:
        """Refuse values of the wrong kind."""
        check_kinds(self, "resources.", _RESOURCE_KINDS)

    @property
    def total_cpus(self) -> int:
        """Multiply tasks by cpus per task."""
        return self.tasks * self.cpus

    @property
    def total_gpus(self) -> int:
        """Multiply tasks by gpus per task."""
        return self.tasks * self.gpus


def _reasons(value: "Iterable[Reason | str]") -> frozenset[Reason]:
    if isinstance(value, str):
        value = (value,)
    if not isinstance(cast("object", value), Iterable):
        raise InvalidSpecError("retry.on", value, _retry_words())
    chosen = set[Reason]()
    for word in value:
        try:
            chosen.add(Reason(word))
        except ValueError:
            raise InvalidSpecError("retry.on", word, _retry_words()) from None
    if not chosen <= RETRYABLE:
        raise InvalidSpecError("retry.on", min(chosen - RETRYABLE).value, _retry_words())
    return frozenset(chosen)


def _retry_words() -> str:
    return "a retry can be asked for on " + ", ".join(sorted(RETRYABLE))


@naming_near_misses
@frozen(kw_only=True)
class Retry:
    """How often and after what an attempt that failed is followed by another."""

    attempts: int = field(default=1, validator=_count(1))
    """Runs in all, the first included."""
    on: frozenset[Reason] = field(default=RETRYABLE, converter=_reasons)
    exit_codes: frozenset[int] = field(factory=frozenset[int], converter=to_exit_codes)
    """Exit codes to retry on. Empty: any but 0."""
    backoff_s: float = field(default=0.0, converter=to_backoff)
    """Seconds before the second attempt."""
    factor: float = field(default=2.0, converter=to_factor)
    """The delay grows by this from attempt to attempt."""
    max_backoff_s: float = field(default=3600.0, converter=to_longest_backoff)

    def __attrs_post_init__(self) -> None:
        """Refuse delays that are negative or shrink."""
        if not 0 <= self.backoff_s < 10**9:
            raise InvalidSpecError("retry.backoff_s", self.backoff_s, "give seconds, 0 or more")
        if not 1 <= self.factor < 10**6:
            raise InvalidSpecError("retry.factor", self.factor, "give a factor of 1 or more")
        if not 0 <= self.max_backoff_s < 10**9:
            raise InvalidSpecError(
                "retry.max_backoff_s", self.max_backoff_s, "give seconds, 0 or more"
            )

    def delay_s(self, failures: int) -> float:
        """Give the delay in seconds after this many failed attempts (1 or more)."""
        try:
            delay_s = self.backoff_s * self.factor ** (failures - 1)
        except OverflowError:
            delay_s = self.max_backoff_s
        return min(self.max_backoff_s, delay_s)


@naming_near_misses
@frozen(kw_only=True)
class Array:
    """Many jobs of one specification, told apart by an index.

    Each element finds its index in the variable `DROVER_ARRAY_INDEX`, and `%a` in
    `stdin`, `stdout` and `stderr` stands for it.
    """

    indices: range | tuple[int, ...] = field(converter=to_indices)
    """A count, a range or a list of distinct whole numbers from 0."""
    max_running: int | None = field(default=None)
    """How many elements may be placed at the same time. `None`: no limit."""

    def __attrs_post_init__(self) -> None:
        """Refuse an empty array, and a limit that would let no element run."""
        if not self.indices:
            raise InvalidSpecError("array.indices", self.indices, "an array has at least one")
        if self.max_running is not None:
            whole("array.max_running", self.max_running, 1, MAX_ARRAY)


def _dependencies(value: "Iterable[Dependency | str] | Dependency | str") -> tuple[Dependency, ...]:
    if value is EMPTY:
        return EMPTY
    # A handle has an `id`; that of an array stands for the array, not for its elements.
    single = isinstance(value, Dependency | str) or hasattr(value, "id")
    given = cast("object", (value,) if single else value)
    if not isinstance(given, Iterable):
        raise InvalidSpecError("after", given, "give jobs, their ids, or drover.Dependency")
    return tuple(
        entry if isinstance(entry, Dependency) else Dependency(job=str(getattr(entry, "id", entry)))
        for entry in cast("Iterable[object]", given)
    )


def _inputs(value: "Iterable[Transfer | tuple[PathText, PathText]]") -> tuple[Transfer, ...]:
    return _transfers("inputs", value)


def _outputs(value: "Iterable[Transfer | tuple[PathText, PathText]]") -> tuple[Transfer, ...]:
    return _transfers("outputs", value)


def _transfers(name: str, value: object) -> tuple[Transfer, ...]:
    if value is EMPTY:
        return EMPTY
    if not isinstance(value, Iterable):
        raise InvalidSpecError(name, value, "give a list of Transfer(source=..., target=...)")
    return tuple(_transfer(name, entry) for entry in cast("Iterable[object]", value))


def _is_pair(entry: object) -> bool:
    return isinstance(entry, tuple | list) and len(cast("Sequence[object]", entry)) == 2


def _transfer(name: str, entry: object) -> Transfer:
    if isinstance(entry, Transfer):
        return entry
    if _is_pair(entry):
        source, target = cast("Sequence[PathText]", entry)
        return Transfer(source=source, target=target)
    raise InvalidSpecError(name, entry, "give Transfer(source=..., target=...)")


# Shared by all specifications that do not say otherwise: they are frozen.
_PLAIN: Final = Resources()
_ONCE: Final = Retry()


_SPEC_KINDS: Final[Kinds] = {
    "name": TEXT,
    "inherit_env": YES_OR_NO,
    "join_output": YES_OR_NO,
    "resources": ((Resources,), "give a drover.Resources"),
    "launcher": TEXT,
    "array": ((Array, type(None)), "give a drover.Array"),
    "retry": ((Retry,), "give a drover.Retry"),
    "requeue": YES_OR_NO,
    "hold": YES_OR_NO,
    "container": TEXT,
    "parent": TEXT,
    "native": ((Mapping,), "give a mapping of backends' names to options"),
}
_KINDS_SEEN: Final[set[tuple[type, ...]]] = set()


def _check_native(native: Mapping[object, object]) -> None:
    for name, options in native.items():
        if not isinstance(name, str):
            raise InvalidSpecError("native", name, "a backend's name is text")
        if not isinstance(options, Mapping):
            raise InvalidSpecError(f"native.{name}", options, "give a mapping of options")
        for option, value in cast("Mapping[object, object]", options).items():
            if not isinstance(option, str):
                raise InvalidSpecError(f"native.{name}", option, "an option's name is text")
            if not _is_plain(value):
                raise InvalidSpecError(
                    f"native.{name}.{option}", value, "give text, numbers, or lists of them"
                )


def _is_plain(value: object) -> bool:
    """Tell whether JSON can hold a value, and give back the same."""
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, list | tuple):
        return all(map(_is_plain, cast("Sequence[object]", value)))
    if isinstance(value, dict):
        entries = cast("Mapping[object, object]", value).items()
        return all(isinstance(name, str) and _is_plain(entry) for name, entry in entries)
    return value is None or isinstance(value, str | int)


# Not slotted, for the same reason as JobRecord: `placed_in` copies it by its dict.
@naming_near_misses
@frozen(kw_only=True, slots=False)
class JobSpec:
    """One command and everything asked of the system that runs it.

    Data only: it says nothing about where it runs. What a backend cannot honour it refuses
    before submission, see `Session.plan`.
    """

    argv: tuple[str, ...] = field(converter=to_argv)
    """The command and its arguments, each one word. Never a shell string."""
    name: str | None = None
    cwd: str | None = field(default=None, converter=to_cwd)
    """`None`: the client's working directory at submission."""
    env: Mapping[str, str] = field(default=NOTHING, converter=to_env, repr=show_names)
    """Variables to set. Their values may be secret: they are never listed or logged."""
    inherit_env: bool = True
    """Whether the client's environment at submission is the base, less schedulers' variables."""
    stdin: str | None = field(default=None, converter=to_stdin)
    stdout: str | None = field(default=None, converter=to_stdout)
    """`None`: a file that drover keeps. `%j` is the job's id, `%a` its array index, `%%` a `%`."""
    stderr: str | None = field(default=None, converter=to_stderr)
    join_output: bool = False
    """Send stderr where stdout goes."""
    resources: Resources = _PLAIN
    launcher: str | None = field(default=None, converter=to_launcher)
    """`"mpirun"`, `"srun"`...: what starts the tasks. `None`: the command itself."""
    pre_launch: str | None = field(default=None, converter=to_pre_launch)
    """A shell script sourced before the command, in the same environment."""
    post_launch: str | None = field(default=None, converter=to_post_launch)
    """A shell script sourced after the command. The job keeps the command's exit code."""
    after: tuple[Dependency, ...] = field(default=EMPTY, converter=_dependencies)
    array: Array | None = None
    retry: Retry = _ONCE
    requeue: bool = False
    """Let the scheduler run the same attempt again. The command may then run twice."""
    inputs: tuple[Transfer, ...] = field(default=EMPTY, converter=_inputs)
    outputs: tuple[Transfer, ...] = field(default=EMPTY, converter=_outputs)
    tags: tuple[str, ...] = field(default=EMPTY, converter=to_tags)
    hold: bool = False
    """Keep it from starting until `release`."""
    not_before: float | None = field(default=None, converter=to_not_before)
    """Seconds since 1970 UTC, or a datetime with a zone: it does not start earlier."""
    deadline: float | None = field(default=None, converter=to_deadline)
    """Instant at which it is ended (reason DEADLINE) if it has not ended by itself."""
    period: float | None = field(default=None, converter=to_period)
    """Run it again and again, this many seconds apart."""
    expires_after: float | None = field(default=None, converter=to_expiry)
    """Forget the job, its output included, this many seconds after its end."""
    container: str | None = None
    parent: str | None = None
    """The id of the job that submitted this one."""
    native: Mapping[str, Mapping[str, Any]] = NOTHING
    """Options for one backend, by its name. A backend refuses options it does not know."""

    def __attrs_post_init__(self) -> None:
        """Refuse values of the wrong kind, and what contradicts itself."""
        kinds = (
            self.name.__class__, self.inherit_env.__class__, self.join_output.__class__,
            self.resources.__class__, self.launcher.__class__, self.array.__class__,
            self.retry.__class__, self.requeue.__class__, self.hold.__class__,
            self.container.__class__, self.parent.__class__, self.native.__class__,
        )  # fmt: skip
        # Most specifications are alike: one look into a set costs a tenth of twelve checks.
        if kinds not in _KINDS_SEEN:
            check_kinds(self, "", _SPEC_KINDS)
            _KINDS_SEEN.add(kinds)
        if self.native:
            _check_native(cast("Mapping[object, object]", self.native))
        if self.name is not None and ("\0" in self.name or len(self.name) > 1024):
            raise InvalidSpecError("name", self.name, "at most 1,024 characters, no NUL")
        if self.join_output and self.stderr is not None:
            raise InvalidSpecError("stderr", self.stderr, "join_output sends it to stdout")

    @property
    def label(self) -> str:
        """Give the name, or the command's own name."""
        return self.name or self.argv[0].rpartition("/")[2] or self.argv[0]


SPEC_FIELDS: Final = tuple(attribute.name for attribute in fields(JobSpec))
RESOURCE_FIELDS: Final = tuple(attribute.name for attribute in fields(Resources))


def fields_set(spec: JobSpec) -> tuple[str, ...]:
    """List what *spec* asks for beyond the defaults, `resources.` in front of resources.

    Returns:
        Field names in declaration order, `argv` always first.
    """
    names: list[str] = []
    for owner, prefix in ((spec, ""), (spec.resources, "resources.")):
        for attribute in fields(type(owner)):
            if attribute.name == "resources":
                continue
            if getattr(owner, attribute.name) != attribute.default:
                names.append(prefix + attribute.name)
    return tuple(names)


def placed_in(spec: JobSpec, cwd: str) -> JobSpec:
    """Give the same specification another working directory, without checking it again."""
    known = spec.__dict__.copy()
    known["cwd"] = cwd
    copy = object.__new__(JobSpec)
    object.__setattr__(copy, "__dict__", known)
    return copy


def script(text: str, *, shell: str = "/bin/sh") -> tuple[str, ...]:
    """Make the argv that runs *text* as a shell script.

    Args:
        text: The whole script; it may span lines.
        shell: Path of the shell. It must know `-c`.

    Returns:
        An argv; `$0` of the script is `drover`.
    """
    return (shell, "-c", text, "drover")

"""Job templates: what a job is to be, under DRMAA's names."""

import os
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from types import TracebackType
from typing import Any, ClassVar, Final, Generic, Self, TypeVar, cast

from drover.drmaa._attached import GATE
from drover.drmaa.vocabulary import (
    ATTRIBUTES,
    PLACEHOLDER_HD,
    PLACEHOLDER_INCR,
    PLACEHOLDER_WD,
    SUBMISSION_STATE_ACTIVE,
    SUBMISSION_STATE_HOLD,
    FileTransferMode,
    InvalidArgumentException,
    InvalidAttributeFormatException,
    InvalidAttributeValueException,
    InvalidJobTemplateException,
    UnsupportedAttributeException,
    fault,
    limit_of,
    next_instant,
)
from drover.errors import did_you_mean

T = TypeVar("T")
SCALARS: Final = tuple(
    name for name in ATTRIBUTES if name not in {"args", "jobEnvironment", "email"}
)
UNSUPPORTED: Final = ("softWallclockTimeLimit", "softRunDurationLimit")
"""Limits that end nothing: no backend does anything with one."""


class Attribute(Generic[T]):
    """One attribute of a template. Read from the class it is its default."""

    def __init__(self, default: Callable[[], T], read: Callable[[str, object], T]) -> None:
        self._default = default
        self._read = read
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, template: "JobTemplate | None", owner: type | None = None) -> T:
        if template is None:
            return self._default()
        values = _values_of(template)
        # A copy: as in drmaa-python, a list changes nothing before it is set.
        return copy(cast("T", values[self._name])) if self._name in values else self._default()

    def __set__(self, template: "JobTemplate", value: Any) -> None:
        _values_of(template)[self._name] = self._read(self._name, value)


def _text(name: str, value: object) -> str:
    if isinstance(value, os.PathLike):
        value = os.fspath(cast("os.PathLike[str] | os.PathLike[bytes]", value))
    if isinstance(value, bytes):
        return os.fsdecode(value)
    if not isinstance(value, str):
        raise fault(InvalidArgumentException, f"{name}={value!r}: give text")
    return value


def _flag(_name: str, value: object) -> bool:
    return bool(value)


def _limit(_name: str, value: object) -> int | None:
    return limit_of(os.fsdecode(value) if isinstance(value, bytes) else value)


def _no_limit(name: str, _value: object) -> int | None:
    text = f"{name} is a limit that ends nothing, and nothing is done with it here"
    raise fault(UnsupportedAttributeException, text)


def _instant(name: str, value: object) -> str:
    text = _text(name, value)
    next_instant(text, 0.0)
    return text


def _start(name: str, value: object) -> str:
    text = _text(name, value)
    if text not in {SUBMISSION_STATE_ACTIVE, SUBMISSION_STATE_HOLD}:
        wanted = f"{SUBMISSION_STATE_ACTIVE!r} or {SUBMISSION_STATE_HOLD!r}"
        raise fault(InvalidAttributeValueException, f"{name}={text!r}: give {wanted}")
    return text


def _transfer(name: str, value: object) -> str:
    text = str(value) if isinstance(value, FileTransferMode) else _text(name, value)
    if len(set(text)) != len(text) or not set(text) <= set("ioe"):
        why = "give some of the letters i (input), o (output) and e (error)"
        raise fault(InvalidAttributeFormatException, f"{name}={text!r}: {why}")
    return text


def _words(name: str, value: object) -> list[str]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise fault(InvalidAttributeValueException, f"{name}={value!r}: give a list of words")
    return [
        os.fsdecode(word) if isinstance(word, bytes) else str(word)
        for word in cast("Iterable[object]", value)
    ]


def _variables(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        # What it holds may be a secret, and in the wrong place: say only what it is.
        text = f"{name} is a {type(value).__name__}; give a mapping of names to values"
        raise fault(InvalidAttributeValueException, text)
    pairs = cast("Mapping[object, object]", value).items()
    return {_plain(key): _plain(entry) for key, entry in pairs}


def _plain(value: object) -> str:
    return os.fsdecode(value) if isinstance(value, bytes) else str(value)


def _nothing() -> int | None:
    return None


def _values_of(template: "JobTemplate") -> dict[str, Any]:
    values: dict[str, Any] | None = vars(template)["_values"]
    if values is None:
        raise fault(InvalidJobTemplateException, "the job template was deleted")
    return values


class JobTemplate:
    """A job to be submitted.

    Attributes can be given as arguments, too. A name that DRMAA has not is refused, where
    drmaa-python keeps it without effect.
    """

    HOME_DIRECTORY: ClassVar[str] = PLACEHOLDER_HD
    """Stands for the user's home directory, at the beginning of a path."""
    WORKING_DIRECTORY: ClassVar[str] = PLACEHOLDER_WD
    """Stands for the job's working directory, at the beginning of a path."""
    PARAMETRIC_INDEX: ClassVar[str] = PLACEHOLDER_INCR
    """Stands for the index of a bulk job, anywhere in a path."""

    remoteCommand = Attribute(str, _text)
    """The command."""
    jobSubmissionState = Attribute(str, _start)
    """`drmaa_active`, or `drmaa_hold`: then it waits for its release."""
    workingDirectory = Attribute(str, _text)
    """Not given: the user's home directory."""
    jobCategory = Attribute(str, _text)
    """The name of a table `[drmaa.categories.NAME]` in the configuration."""
    nativeSpecification = Attribute(str, _text)
    """Options for the session's backend alone: `name=value` words, or its own flags."""
    blockEmail = Attribute(bool, _flag)
    """Whether no mail is to be sent."""
    startTime = Attribute(str, _instant)
    """A partial timestamp: it does not start earlier."""
    jobName = Attribute(str, _text)
    """Not given: the command's own name."""
    inputPath = Attribute(str, _text)
    """`[host]:path` of what it reads. Not given: nothing."""
    outputPath = Attribute(str, _text)
    """`[host]:path` of what it writes; in a folder that is there `NAME.oID`. Not given: Drover
    keeps it, see `drover logs ID`. The host is this one, or left out."""
    errorPath = Attribute(str, _text)
    """The same for its errors; in a folder `NAME.eID`."""
    joinFiles = Attribute(bool, _flag)
    """Whether errors go where the output goes."""
    transferFiles = Attribute(str, _transfer)
    """Letters of what is copied between hosts (`i`, `o`, `e`), or a FileTransferMode. Files are
    read and written where the paths say, on every host that shares them: nothing is copied."""
    deadlineTime = Attribute(str, _instant)
    """A partial timestamp: then it is ended, if it has not ended by itself."""
    hardWallclockTimeLimit = Attribute(_nothing, _limit)
    """Seconds after its start at which it is ended; while it is suspended they count on."""
    softWallclockTimeLimit = Attribute(_nothing, _no_limit)
    """Refused: it would end nothing."""
    hardRunDurationLimit = Attribute(_nothing, _limit)
    """As `hardWallclockTimeLimit`; the smaller one holds."""
    softRunDurationLimit = Attribute(_nothing, _no_limit)
    """Refused: it would end nothing."""

    args = Attribute(list[str], _words)
    """The command's arguments."""
    jobEnvironment = Attribute(dict[str, str], _variables)
    """Variables to set, over those of the submitting process."""
    email = Attribute(list[str], _words)
    """Whom to tell, where the backend sends mail (Grid Engine does, as `-m` has it); any other
    refuses the job, unless `blockEmail` is set."""

    def __init__(self, **kwargs: Any) -> None:
        GATE.refuse_without_session()
        self._values: dict[str, Any] | None = {}
        for name, value in kwargs.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        if name not in ATTRIBUTES and not name.startswith("_"):
            near = did_you_mean(name, tuple(ATTRIBUTES))
            text = f"a job template has no attribute {name!r}{near}"
            raise fault(UnsupportedAttributeException, text)
        super().__setattr__(name, value)

    @property
    def attributeNames(self) -> list[str]:
        """List DRMAA's names of the scalar attributes that can be set."""
        return [ATTRIBUTES[name] for name in SCALARS if name not in UNSUPPORTED]

    def delete(self) -> None:
        """Let go of it. Jobs are not touched; a second call does nothing."""
        self._values = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.delete()

"""Every error of DRMAA 1.0, with the bases that drmaa-python gives it.

They are no `DroverError`s: a program that was written for drmaa-python must find the classes that
it catches, and no others.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class DrmaaException(Exception):
    """Catch anything that a DRMAA call raises on purpose."""


class AlreadyActiveSessionException(DrmaaException):
    """A session is active in this process already."""


class AuthorizationException(DrmaaException):
    """The user may not do this."""


class ConflictingAttributeValuesException(DrmaaException, AttributeError):
    """Two attributes contradict each other."""


class DefaultContactStringException(DrmaaException):
    """The default backend cannot be used."""


class DeniedByDrmException(DrmaaException):
    """The backend refuses the job as it is; trying again does not help."""


class DrmCommunicationException(DrmaaException):
    """The backend, or the engine, cannot be reached now."""


class DrmsExitException(DrmaaException):
    """The session could not be left in order."""


class DrmsInitException(DrmaaException):
    """The session could not be opened."""


class ExitTimeoutException(DrmaaException):
    """The time to wait ran out; the job goes on."""


class HoldInconsistentStateException(DrmaaException):
    """The job cannot be held in its state."""


class IllegalStateException(DrmaaException):
    """The call cannot be made now. Kept for programs that catch it; not raised here."""


class InternalException(DrmaaException):
    """Something went wrong that none of the others names."""


class InvalidAttributeFormatException(DrmaaException, AttributeError):
    """An attribute's text is not written as DRMAA wants it."""


class InvalidContactStringException(DrmaaException):
    """A contact string names no backend and no session that there can be."""


class InvalidJobException(DrmaaException):
    """No such job, or its record was reaped already."""


class InvalidJobTemplateException(DrmaaException):
    """It is no job template, or a deleted one."""


class NoActiveSessionException(DrmaaException):
    """No session is active in this process."""


class NoDefaultContactStringSelectedException(DrmaaException):
    """No backend was named. Kept for programs that catch it; there is always a default here."""


class ReleaseInconsistentStateException(DrmaaException):
    """The job cannot be released in its state."""


class ResumeInconsistentStateException(DrmaaException):
    """The job is not suspended."""


class SuspendInconsistentStateException(DrmaaException):
    """The job does not run."""


class TryLaterException(DrmaaException):
    """The backend is too busy now."""


class UnsupportedAttributeException(DrmaaException, AttributeError):
    """The attribute does not exist, or nothing can be made of it here."""


class InvalidArgumentException(DrmaaException, AttributeError):
    """An argument is none that the call can take."""


class InvalidAttributeValueException(DrmaaException, AttributeError):
    """An attribute cannot have this value."""


class OutOfMemoryException(DrmaaException, MemoryError):
    """There is not enough memory. Kept for programs that catch it; not raised here."""


CODES: Final[Mapping[int, type[DrmaaException]]] = MappingProxyType(
    {
        1: InternalException,
        2: DrmCommunicationException,
        3: AuthorizationException,
        4: InvalidArgumentException,
        5: NoActiveSessionException,
        6: OutOfMemoryException,
        7: InvalidContactStringException,
        8: DefaultContactStringException,
        9: NoDefaultContactStringSelectedException,
        10: DrmsInitException,
        11: AlreadyActiveSessionException,
        12: DrmsExitException,
        13: InvalidAttributeFormatException,
        14: InvalidAttributeValueException,
        15: ConflictingAttributeValuesException,
        16: TryLaterException,
        17: DeniedByDrmException,
        18: InvalidJobException,
        19: ResumeInconsistentStateException,
        20: SuspendInconsistentStateException,
        21: HoldInconsistentStateException,
        22: ReleaseInconsistentStateException,
        23: ExitTimeoutException,
    }
)
"""The numbers of DRMAA 1.0's errors. 24 (no usage) and 25 (no more elements) have no class."""
_CODE_OF: Final = {kind: code for code, kind in CODES.items()}


def fault(kind: type[DrmaaException], text: str) -> DrmaaException:
    """Make an error whose message begins as drmaa-python's does: `code N: `.

    Programs read the number off the message. A kind that has no number gets none.
    """
    code = _CODE_OF.get(kind)
    return kind(text if code is None else f"code {code}: {text}")

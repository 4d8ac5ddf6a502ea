"""Drover's errors as DRMAA's."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from drover.drmaa.vocabulary import (
    AuthorizationException,
    DeniedByDrmException,
    DrmaaException,
    DrmCommunicationException,
    InternalException,
    InvalidAttributeValueException,
    InvalidContactStringException,
    InvalidJobException,
    fault,
)
from drover.errors import (
    BackendError,
    ConfigError,
    DroverError,
    EngineUnavailableError,
    InvalidSpecError,
    StoreReadOnlyError,
    UnknownBackendError,
    UnknownFieldError,
    UnknownJobError,
    UnsupportedFieldError,
)

# In this order: the first that fits.
MEANT: Final[Mapping[type[DroverError], type[DrmaaException]]] = MappingProxyType(
    {
        UnsupportedFieldError: DeniedByDrmException,
        UnknownFieldError: DeniedByDrmException,
        InvalidSpecError: InvalidAttributeValueException,
        UnknownBackendError: InvalidContactStringException,
        UnknownJobError: InvalidJobException,
        ConfigError: DeniedByDrmException,
        StoreReadOnlyError: AuthorizationException,
        EngineUnavailableError: DrmCommunicationException,
        BackendError: DrmCommunicationException,
        DroverError: InternalException,
    }
)


@contextmanager
def translated(otherwise: type[DrmaaException] | None = None) -> Generator[None]:
    """Raise what DRMAA has for an error of Drover's, the cause kept.

    Args:
        otherwise: What to raise for any of them; `None`: by MEANT.
    """
    try:
        yield
    except DroverError as exc:
        kind = otherwise or next(kind for error, kind in MEANT.items() if isinstance(exc, error))
        raise fault(kind, str(exc)) from exc

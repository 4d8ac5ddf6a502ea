"""Verdicts and errors of Drover's, as the exceptions that DRMAA has for them."""

import inspect

import pytest

from drover import CancelVerdict, Verdict, drmaa, errors
from drover.drmaa._translating import MEANT, translated
from drover.drmaa.session import _refuse
from drover.drmaa.vocabulary import VERB_OF

INCONSISTENT = {
    "suspend": drmaa.SuspendInconsistentStateException,
    "resume": drmaa.ResumeInconsistentStateException,
    "hold": drmaa.HoldInconsistentStateException,
    "release": drmaa.ReleaseInconsistentStateException,
    "terminate": drmaa.DeniedByDrmException,
}


@pytest.mark.parametrize("operation", sorted(VERB_OF))
@pytest.mark.parametrize("verdict", Verdict)
def test_a_verdict_is_an_exception_or_none(verdict: Verdict, operation: str) -> None:
    """A request that came to nothing must not look as if it had been done."""
    kind = {
        Verdict.REFUSED: INCONSISTENT[operation],
        Verdict.TOO_LATE: drmaa.InvalidJobException,
        # An end that was asked for is durable, and comes; a hold that nobody answers may not.
        Verdict.ASKED: None if operation == "terminate" else drmaa.DrmCommunicationException,
    }.get(verdict)
    told = CancelVerdict(job="k3x9", verdict=verdict, verb=VERB_OF[operation], message="why")
    if kind is None:
        _refuse(told, operation)
        return
    with pytest.raises(kind, match=rf"^code \d+: {operation} of job 'k3x9': .*why"):
        _refuse(told, operation)


def made(kind: type[errors.DroverError]) -> errors.DroverError:
    error = kind.__new__(kind)
    error.args = ("what happened",)
    return error


ALL = [
    kind
    for kind in vars(errors).values()
    if inspect.isclass(kind) and issubclass(kind, errors.DroverError)
]
EXPECTED = {
    errors.UnsupportedFieldError: drmaa.DeniedByDrmException,
    errors.UnknownFieldError: drmaa.DeniedByDrmException,
    errors.ConfigError: drmaa.DeniedByDrmException,
    errors.InvalidSpecError: drmaa.InvalidAttributeValueException,
    errors.UnknownBackendError: drmaa.InvalidContactStringException,
    errors.UnknownJobError: drmaa.InvalidJobException,
    errors.StoreReadOnlyError: drmaa.AuthorizationException,
    errors.EngineUnavailableError: drmaa.DrmCommunicationException,
    errors.BackendError: drmaa.DrmCommunicationException,
    errors.CallOverdueError: drmaa.DrmCommunicationException,
    errors.UnreachableError: drmaa.DrmCommunicationException,
    errors.UnreadableReplyError: drmaa.DrmCommunicationException,
}


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_of_drover_has_one_of_drmaa(kind: type[errors.DroverError]) -> None:
    """A program catches DRMAA's exceptions; one that it does not know ends it."""
    error = made(kind)
    expected = pytest.raises(drmaa.DrmaaException, match=r"^code \d+: what happened$")
    with expected as caught, translated():
        raise error

    assert EXPECTED.get(kind, drmaa.InternalException) is type(caught.value)
    assert error is caught.value.__cause__
    assert errors.DroverError is list(MEANT)[-1]


def test_what_is_no_error_of_drovers_passes() -> None:
    with pytest.raises(KeyError), translated():
        raise KeyError

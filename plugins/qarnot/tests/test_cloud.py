"""The retries that the official package lacks, and its errors in drover's words."""

from typing import Any

import botocore.exceptions
import pytest
import qarnot.exceptions as q
import requests.exceptions

from drover.errors import ConfigError, DroverError, UnreachableError
from drover_qarnot._cloud import AbsentError, Cloud, RefusedError
from drover_qarnot._config import Account, QarnotConfig

ACCOUNT = Account(url="http://127.0.0.1:9", storage_url=None, token="t", origin="here")


def cloud(retries: int = 3) -> Cloud:
    made = Cloud(lambda: ACCOUNT, QarnotConfig(retries=retries, retry_wait_s=0.001))
    made._local.connection = object()
    return made


class Failing:
    """A call that fails so often before it answers."""

    def __init__(self, times: int, error: BaseException) -> None:
        self.calls = 0
        self._times, self._error = times, error

    def __call__(self, _connection: Any) -> str:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error
        return "answer"


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.ConnectionError("refused"),
        requests.exceptions.ReadTimeout("slow"),
        requests.exceptions.ChunkedEncodingError("cut"),
        botocore.exceptions.EndpointConnectionError(endpoint_url="http://x"),
        botocore.exceptions.ReadTimeoutError(endpoint_url="http://x"),
    ],
)
def test_a_connection_that_fails_is_tried_again(error: Exception) -> None:
    """A server that is restarted must not fail a job."""
    call = Failing(2, error)

    assert (cloud().ask(call), call.calls) == ("answer", 3)


def test_tries_end() -> None:
    """An engine that waits for ever for one answer does nothing for other jobs."""
    call = Failing(9, requests.exceptions.ConnectionError("refused"))

    with pytest.raises(UnreachableError):
        cloud().ask(call)
    assert call.calls == 4


def test_what_makes_a_task_is_asked_once() -> None:
    """Whether it is there is looked up first: the request may have arrived."""
    call = Failing(1, requests.exceptions.ConnectionError("refused"))

    with pytest.raises(UnreachableError):
        cloud().tell(call)
    assert call.calls == 1


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        (q.MissingTaskException("no such task"), AbsentError, False),
        (q.MissingBucketException("no such bucket"), AbsentError, False),
        (q.UnauthorizedException(), RefusedError, False),
        (q.MaxTaskException("too many"), RefusedError, True),
        (q.MaxJobException("too many"), RefusedError, True),
        (q.NotEnoughCreditsException("broke"), RefusedError, False),
        (q.QarnotGenericException("Error: Service Unavailable"), UnreachableError, None),
        (q.QarnotGenericException("Error: bad name"), RefusedError, False),
        (botocore.exceptions.ClientError(
            {"Error": {"Code": "NoSuchKey"}}, "GetObject"), AbsentError, False),
        (botocore.exceptions.ClientError(
            {"Error": {"Code": "NoSuchUpload"}}, "UploadPart"), AbsentError, False),
        (botocore.exceptions.ClientError(
            {"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}},
            "PutObject"), UnreachableError, None),
        (botocore.exceptions.ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject"),
         RefusedError, False),
    ],
)  # fmt: skip
def test_errors_are_told_in_our_words(
    error: Exception, kind: type[Exception], retryable: bool | None
) -> None:
    """What may pass later is tried later; what is said for good is told to the user."""
    with pytest.raises(kind) as raised:
        cloud(retries=0).ask(Failing(1, error))
    assert getattr(raised.value, "retryable", None) is retryable
    assert str(raised.value)


def test_a_missing_token_is_an_error_of_the_settings() -> None:
    """It is said before anybody is asked."""

    def none() -> Account:
        raise ConfigError("backends.q.token_file", "there is no token")

    with pytest.raises(DroverError, match="no token"):
        Cloud(none, QarnotConfig(retries=0)).ask(lambda connection: connection)

"""The official package, with the retries that it lacks, and its errors as drover's."""

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from attrs import frozen

from drover.errors import UnreachableError, UnreadableReplyError
from drover_qarnot._config import Account, QarnotConfig
from drover_qarnot._official import official, outside

T = TypeVar("T")

SYSTEM: Final = "Qarnot"
PAGE: Final = 50
"""Tags in one query, and tasks in one answer."""
SERVER_RETRIES: Final = 2
"""Of the package's own, for 429 and 5xx: 0.5 and 1 s. Beyond that the engine asks again."""
SERVER_WAIT_S: Final = 0.5


class RefusedError(Exception):
    """The cloud said no, for good or for now."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        self.retryable = retryable
        super().__init__(message)


class AbsentError(RefusedError):
    """The cloud does not have what was asked for."""


@frozen(kw_only=True)
class Stored:
    """An object of the store's."""

    key: str
    size: int
    etag: str


class Cloud:
    """One account. Each thread gets a connection of its own, made when it first needs one."""

    def __init__(self, account: Callable[[], Account], config: QarnotConfig) -> None:
        self._account = account
        self._config = config
        self._local = threading.local()

    @property
    def connection(self) -> Any:
        """Connect, or give the connection that is there.

        Raises:
            UnreachableError: Nobody answers.
            RefusedError: The token is not taken.
            ConfigError: There is no token.
        """
        known = getattr(self._local, "connection", None)
        if known is None:
            known = self._repeat(self._connect)
            self._local.connection = known
        return known

    def _connect(self) -> Any:
        account = self._account()
        certificate = self._config.certificate_file or None
        return official().Connection(
            client_token=account.token,
            cluster_url=account.url,
            cluster_timeout=self._config.timeout_s,
            cluster_custom_certificate=certificate,
            storage_url=account.storage_url,
            storage_custom_certificate=certificate,
            retry_count=SERVER_RETRIES,
            retry_wait=SERVER_WAIT_S,
            sanitize_bucket_paths=False,
            show_bucket_warnings=False,
        )

    # --- calls ---------------------------------------------------------------------------------

    def ask(self, call: Callable[[Any], T]) -> T:
        """Make a call that may be repeated: one that reads, or that twice is as good as once.

        Args:
            call: Given the connection.

        Raises:
            UnreachableError: No answer, after all retries.
            RefusedError: It said no; AbsentError: there is no such thing.
            UnreadableReplyError: It said something else than the API has.
        """
        return self._repeat(lambda: call(self.connection))

    def tell(self, call: Callable[[Any], T]) -> T:
        """Make a call that must not be repeated before its effect was looked at."""
        connection = self.connection
        with _translated():
            return call(connection)

    def _repeat(self, call: Callable[[], T]) -> T:
        wait_s = self._config.retry_wait_s
        for _ in range(self._config.retries):
            try:
                with _translated():
                    return call()
            except UnreachableError:
                time.sleep(wait_s)
                wait_s *= 2
        with _translated():
            return call()

    # --- tasks ---------------------------------------------------------------------------------

    def task(self, uuid_or_name: str) -> Any | None:
        """Give a task by uuid or short name; `None` if the cloud does not know it."""
        try:
            found = self.ask(lambda connection: connection.retrieve_task(uuid_or_name))
        except AbsentError:
            return None
        found.auto_update = False
        return found

    def tasks(self, tags: Sequence[str]) -> Iterator[Any]:
        """Give the tasks that bear one of these tags, in as few questions as go."""
        for first in range(0, len(tags), PAGE):
            wanted, token = list(tags[first : first + PAGE]), None
            while True:
                page = self._page(wanted, token)
                for task in page.page_data:
                    task.auto_update = False
                    yield task
                if not page.is_truncated or page.next_token is None:
                    break
                token = page.next_token

    def _page(self, tags: Sequence[str], token: str | None) -> Any:
        return self.ask(
            lambda connection: connection.tasks_page(
                token=token, maximum=PAGE, summary=False, tags=tags
            )
        )

    # --- objects -------------------------------------------------------------------------------

    @property
    def store(self) -> Any:
        """Give the S3 client.

        Raises:
            RefusedError: The account has no store.
        """
        client = self.connection.s3client
        if client is None:
            raise RefusedError("the cluster offers no object store: no job can be handed over")
        return client

    def make_bucket(self, bucket: str) -> None:
        """Make a bucket, unless it is there."""
        self._repeat(lambda: self.store.create_bucket(Bucket=bucket))

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Write an object whole."""
        self._repeat(lambda: self.store.put_object(Bucket=bucket, Key=key, Body=content))

    def get(self, bucket: str, key: str, offset: int = 0, size: int | None = None) -> bytes | None:
        """Read an object or a piece of it; `None` if it is not there."""
        extra: dict[str, str] = {}
        if offset or size is not None:
            extra["Range"] = f"bytes={offset}-{'' if size is None else offset + size - 1}"
        try:
            content: bytes = self.ask(
                lambda connection: connection.s3client.get_object(Bucket=bucket, Key=key, **extra)[
                    "Body"
                ].read()
            )
        except AbsentError:
            return None
        except EmptyRangeError:
            return b""
        return content

    def head(self, bucket: str, key: str) -> Stored | None:
        """Look at an object; `None` if it is not there."""
        try:
            found = self._repeat(lambda: self.store.head_object(Bucket=bucket, Key=key))
        except AbsentError:
            return None
        return Stored(key=key, size=found["ContentLength"], etag=found["ETag"].strip('"'))

    def listing(self, bucket: str, prefix: str) -> list[Stored]:
        """List the objects under a prefix; empty if there are none, or no bucket."""
        try:
            return self._repeat(lambda: list(self._listed(bucket, prefix)))
        except AbsentError:
            return []

    def _listed(self, bucket: str, prefix: str) -> Iterator[Stored]:
        pages = self.store.get_paginator("list_objects").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            for row in page.get("Contents", ()):
                yield Stored(key=row["Key"], size=row["Size"], etag=row["ETag"].strip('"'))

    def delete_under(self, bucket: str, prefix: str) -> None:
        """Delete all objects under a prefix."""
        rows = self.listing(bucket, prefix)
        for first in range(0, len(rows), 1000):
            objects = [{"Key": row.key} for row in rows[first : first + 1000]]
            self._delete(bucket, objects)

    def _delete(self, bucket: str, objects: Sequence[dict[str, str]]) -> None:
        wanted = {"Objects": objects, "Quiet": True}
        self.ask(
            lambda connection: connection.s3client.delete_objects(Bucket=bucket, Delete=wanted)
        )


class EmptyRangeError(RefusedError):
    """What was asked for lies behind an object's end."""


@contextmanager
def _translated() -> Generator[None]:
    """Turn what the packages raise into what drover understands."""
    q, store, web = official("exceptions"), outside("botocore.exceptions"), outside("requests")

    try:
        yield
    except (
        web.exceptions.ConnectionError,
        web.exceptions.Timeout,
        web.exceptions.ChunkedEncodingError,
        store.ConnectionError,
        store.HTTPClientError,
        store.IncompleteReadError,
        store.ResponseStreamingError,
    ) as error:
        raise UnreachableError(SYSTEM, _short(error)) from error
    except store.ClientError as error:
        raise _of_store(error) from error
    except (
        q.MissingBucketException,
        q.MissingJobException,
        q.MissingPoolException,
        q.MissingProfileException,
        q.MissingTaskException,
        q.MissingTaskInstanceException,
    ) as error:
        raise AbsentError(str(error) or type(error).__name__) from error
    except q.UnauthorizedException as error:
        why = str(error) or "the token is not valid"
        raise RefusedError(f"{SYSTEM} refuses the account: {why}") from error
    except (q.MaxTaskException, q.MaxPoolException, q.MaxJobException) as error:
        raise RefusedError(str(error), retryable=True) from error
    except q.QarnotException as error:
        if "Service Unavailable" in str(error):
            raise UnreachableError(SYSTEM, str(error)) from error
        raise RefusedError(str(error)) from error
    except web.exceptions.JSONDecodeError as error:
        raise UnreadableReplyError(SYSTEM, error.doc, "it is no JSON") from error


def _of_store(error: Any) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in {"NoSuchKey", "NoSuchBucket", "NoSuchUpload", "404"}:
        return AbsentError(str(error))
    if code == "InvalidRange" or status == 416:
        return EmptyRangeError(str(error))
    if status >= 500 or code in {"SlowDown", "ServiceUnavailable"}:
        return UnreachableError("the object store", str(error))
    return RefusedError(f"the object store says no: {error}")


def _short(error: BaseException) -> str:
    """Say in a line what the connection came to: the packages nest three errors in one text."""
    return f"{type(error).__name__}: {error}"[:300]

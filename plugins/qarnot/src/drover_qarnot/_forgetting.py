"""Delete what the cloud keeps of ended attempts: objects, tasks, and buckets where asked for."""

from collections.abc import Callable, Sequence

from drover.models import Attempt
from drover_qarnot._book import Book
from drover_qarnot._cloud import AbsentError, Cloud
from drover_qarnot._names import bucket_name, run_prefix


class Forgetting:
    """Safe to repeat: what is gone already stays gone."""

    def __init__(self, store_id: str, cloud: Cloud, book: Book) -> None:
        self._bucket = bucket_name(store_id, "in")
        self._cloud = cloud
        self._book = book

    def forget(self, attempts: Sequence[Attempt]) -> None:
        """Delete results of each, and of a task of which nothing is left all the rest.

        Raises:
            BackendError, RefusedError: The cloud cannot be asked, or says no. Call it again.
        """
        for attempt in attempts:
            self._forget(attempt.token)

    def _forget(self, token: str) -> None:
        member = self._book.members([token]).get(token)
        if member is not None:
            record = self._book.body(member.batch)
            self._cloud.delete_under(record["results"], f"{member.batch}/{member.instance}/")
            if all(other.token == token for other in self._book.crew(member.batch)):
                self._forget_task(member.batch, record["purge"])
        # There may be inputs where there was never a task.
        inputs = self._book.own_inputs(token)
        if inputs:
            self._delete(inputs)
        self._book.unstage(token)
        if member is not None:
            self._book.forget(token)

    def _delete(self, prefix: str) -> None:
        """Delete what lies under a prefix, and what was cut off on its way there."""
        self._cloud.delete_under(self._bucket, prefix)
        for target, upload in self._book.uploads_under(f"{self._bucket}/{prefix}"):
            self._abort_upload(target.removeprefix(f"{self._bucket}/"), upload)
            self._book.note_upload(target, None)

    def _abort_upload(self, key: str, upload: str) -> None:
        self._quietly(
            lambda: self._cloud.ask(
                lambda connection: connection.s3client.abort_multipart_upload(
                    Bucket=self._bucket, Key=key, UploadId=upload
                )
            )
        )

    def _forget_task(self, name: str, buckets: Sequence[str]) -> None:
        task = self._cloud.task(name)
        if task is not None:
            self._quietly(lambda: self._cloud.ask(lambda _connection: task.delete()))
        self._delete(run_prefix(name))
        for bucket in buckets:
            self._delete_bucket(bucket)

    def _delete_bucket(self, bucket: str) -> None:
        self._quietly(
            lambda: self._cloud.ask(lambda connection: connection.retrieve_bucket(bucket).delete())
        )

    @staticmethod
    def _quietly(call: Callable[[], object]) -> None:
        """Make a call whose object may be gone."""
        try:
            call()
        except AbsentError:
            return

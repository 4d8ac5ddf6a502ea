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
        members = self._book.members([attempt.token for attempt in attempts])
        for attempt in attempts:
            member = members.get(attempt.token)
            if member is None:
                continue
            record = self._book.body(member.batch)
            self._cloud.delete_under(record["results"], f"{member.batch}/{member.instance}/")
            others = [m for m in self._book.crew(member.batch) if m.token != member.token]
            if not others:
                self._forget_task(member.batch, record["purge"])
                inputs = record["inputs"]
                if inputs and not self._book.shares_inputs(member.batch, inputs):
                    self._cloud.delete_under(self._bucket, inputs)
            self._book.forget(attempt.token)

    def _forget_task(self, name: str, buckets: Sequence[str]) -> None:
        task = self._cloud.task(name)
        if task is not None:
            self._quietly(lambda: self._cloud.ask(lambda _connection: task.delete()))
        self._cloud.delete_under(self._bucket, run_prefix(name))
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

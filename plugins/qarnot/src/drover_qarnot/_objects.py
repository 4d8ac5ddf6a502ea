"""The official package's own objects behind jobs of drover's, for what drover has no verb for."""

import weakref
from typing import Any, Final

import drover
from drover.errors import BackendError
from drover_qarnot._book import Book
from drover_qarnot._cloud import Cloud

_OPENED: Final = weakref.WeakValueDictionary[tuple[str, str], "Access"]()


class NoTaskError(BackendError):
    """The cloud has nothing for a job: it was not handed over, or is purged."""


class Access:
    """What is needed to ask about a backend's tasks. Lives as long as the backend object."""

    def __init__(self, store_id: str, name: str, cloud: Cloud, book: Book) -> None:
        self.cloud: Final = cloud
        self.book: Final = book
        _OPENED[store_id, name] = self


def task_of(session: drover.Session, job: drover.Job) -> Any:
    """Give the official `Task` behind a job.

    Args:
        session: Where the job is.
        job: A job that was handed over.

    Returns:
        A connected `qarnot.task.Task`; an element of an array has that of the whole array.

    Raises:
        NoTaskError: The cloud has no task for it.
        UnreachableError: Nobody answers.
    """
    access = _access(session, job)
    token = session.token_of(job.record)
    member = access.book.members([token]).get(token)
    task = None if member is None else access.cloud.task(member.batch)
    if task is None:
        raise NoTaskError(f"the cloud has no task for job {job.id}")
    task.auto_update = True
    return task


def job_of(session: drover.Session, job: drover.Job) -> Any:
    """Give the official `Job` that a job's task was put into by the native option `job`.

    Raises:
        NoTaskError: It is in none.
        UnreachableError: Nobody answers.
    """
    uuid = task_of(session, job)._job_uuid  # noqa: SLF001 - the package has no name for it
    if not uuid:
        raise NoTaskError(f"the task of job {job.id} is in no job of the cloud")
    return _access(session, job).cloud.ask(lambda connection: connection.retrieve_job(uuid))


def _access(session: drover.Session, job: drover.Job) -> Access:
    session.load_backend(job.backend)
    store_id = session.plugin_context().store_id
    access = _OPENED.get((store_id, job.backend))
    if access is None:
        raise NoTaskError(f"job {job.id} is on backend {job.backend!r}, which is not Qarnot's")
    return access

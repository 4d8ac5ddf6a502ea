"""Look up where a task belongs: its pool, job and project, and the tasks that it waits for."""

from collections.abc import Mapping
from typing import Any

from drover.errors import BackendError
from drover.models import Condition, Predecessor
from drover_qarnot._book import Book
from drover_qarnot._cloud import AbsentError, Cloud, RefusedError
from drover_qarnot._names import short_name
from drover_qarnot._official import official
from drover_qarnot._options import span_text
from drover_qarnot._posting import Group, Placing


class Places:
    """Ask the cloud, and make a job that is not there yet."""

    def __init__(self, store_id: str, cloud: Cloud, book: Book) -> None:
        self._store_id = store_id
        self._cloud = cloud
        self._book = book

    def place(self, work: Group, options: Mapping[str, Any]) -> Placing:
        """Look up the pool, the job and the project; make the job if it is not there.

        Raises:
            RefusedError: The pool or the project is not there, or the job takes nothing.
        """
        pool = job = project = None
        job_has_pool = False
        if "pool" in options:
            pool = self._cloud.ask(
                lambda connection: connection.retrieve_pool(options["pool"]).uuid
            )
        if "job" in options:
            job = self._job(options["job"])
            job_has_pool = "pool" in options["job"]
        if "project" in options:
            project = self._project(options["project"])
        dependencies = [self._dependency(before) for before in work.first.predecessors]
        return Placing(
            pool=pool, job=job, job_has_pool=job_has_pool, project=project,
            dependencies=dependencies,
        )  # fmt: skip

    def _project(self, wanted: str) -> str:
        known = self._cloud.ask(lambda connection: connection.user_info.projects)
        for project in known:
            if wanted in {project.uuid, project.slug, project.name}:
                return str(project.uuid)
        names = ", ".join(sorted(str(project.slug or project.uuid) for project in known))
        raise RefusedError(f"the account has no project {wanted!r}; there are: {names or 'none'}")

    def _job(self, wanted: Mapping[str, Any]) -> str:
        name = job_short_name(self._store_id, wanted["name"])
        try:
            return str(self._cloud.ask(lambda connection: connection.retrieve_job(name).uuid))
        except AbsentError:
            pass

        def make(connection: Any) -> str:
            pool = connection.retrieve_pool(wanted["pool"]) if "pool" in wanted else None
            job = connection.create_job(wanted["name"], pool, name, useDependencies=True)
            job.auto_update = False
            if "max_wall_time" in wanted:
                job.max_wall_time = span_text(wanted["max_wall_time"])
            if "tags" in wanted:
                job.tags = list(wanted["tags"])
            if "auto_delete" in wanted:
                job.auto_delete = wanted["auto_delete"]
            if "completion_ttl" in wanted:
                job.completion_ttl = span_text(wanted["completion_ttl"])
            job.submit()
            return str(job.uuid)

        try:
            return self._cloud.tell(make)
        except (BackendError, RefusedError):
            # The answer may have got lost, or somebody else was first: the name decides.
            return str(self._cloud.ask(lambda connection: connection.retrieve_job(name).uuid))

    def _dependency(self, before: Predecessor) -> Any:
        words = official("dependency")

        uuid, _, _ = before.native_id.rpartition(".")
        member = self._book.members([before.token]).get(before.token)
        if member is not None and len(self._book.crew(member.batch)) > 1:
            raise RefusedError(
                f"job {before.job} is one instance of a task, and the cloud waits for whole tasks; "
                "leave out the native option `dependencies`, and drover waits itself"
            )
        states = {
            Condition.SUCCEEDED: [words.TaskFinalStateSuccess()],
            Condition.FAILED: [words.TaskFinalStateFailure(), words.TaskFinalStateCancelled()],
            Condition.ENDED: None,
        }
        return words.AdvancedDependency(uuid, states[before.condition])


def job_short_name(store_id: str, name: str) -> str:
    """Name the cloud's job that tasks of one store share under a name."""
    return short_name([store_id, "job", name])

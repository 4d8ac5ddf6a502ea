"""What a user asks for where the nodes see this machine's files, as with a server of one's own."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from qarnot_live import LiveServer, Place

import drover
from drover.models import Reason
from drover.states import State
from drover_qarnot import NoTaskError, task_of


@pytest.fixture(scope="module")
def near(qarnot_server: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = Place(tmp_path_factory.mktemp("near"), qarnot_server.config)
    yield place
    place.close()


def test_scripts_surround_the_command(near: Place) -> None:
    """What is sourced before sets the command's environment; what comes after keeps its end."""
    (near.folder / "before").write_text("export SET=before\n")
    (near.folder / "after").write_text('echo "after $DROVER_EXIT_CODE"\n')
    job = near.run("sh", "-c", 'echo "$SET"; exit 3', pre_launch="before", post_launch="after")

    assert job.outcome is not None
    assert (job.outcome.exit_code, job.stdout.read()) == (3, "before\nafter 3\n")


def test_the_engine_sees_to_the_rest(near: Place) -> None:
    """Dependencies, start times, tags and parents do not need the cloud."""
    begin = time.time() + 1
    parent = near.submit("true", tags=["mine"])
    child = near.submit(
        "date", "+%s", after=[parent], not_before=begin, parent=parent.id, tags=["mine"]
    )
    near.session.wait([parent, child], timeout=60)

    assert {job.id for job in near.session.jobs(tag="mine")} == {parent.id, child.id}
    assert child.record.spec.parent == parent.id
    assert int(child.stdout.read()) >= int(begin)


def test_a_deadline_ends_a_job(near: Place) -> None:
    """Nobody pays for what comes too late."""
    at = datetime.fromtimestamp(time.time() + 3, UTC)
    job = near.run("sleep", "60", deadline=at)

    assert job.outcome is not None
    assert job.outcome.reason is Reason.DEADLINE


def test_a_job_expires_at_the_cloud_too(near: Place, connection: Any) -> None:
    """What is forgotten here must not stay there."""
    job = near.submit("sh", "-c", "sleep 1", expires_after=1)
    near.until("running", lambda: job.refresh().state is State.RUNNING)
    name = task_of(near.session, job).shortname

    def is_gone() -> bool:
        from qarnot.exceptions import MissingTaskException

        try:
            return str(connection.retrieve_task(name).state) == "PendingDelete"
        except MissingTaskException:
            return True

    near.until("gone", is_gone)
    assert job.id not in {known.id for known in near.session.jobs(newest=None)}


def test_a_job_of_another_backend_has_no_task(near: Place) -> None:
    """Who asks the wrong cloud is told so."""
    job = near.session.submit(drover.JobSpec(argv=("true",), cwd="/"), backend="local")
    assert isinstance(job, drover.Job)
    job.wait(60)

    with pytest.raises(NoTaskError, match="not Qarnot"):
        task_of(near.session, job)

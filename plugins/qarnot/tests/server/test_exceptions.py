"""Every exception that the SDK knows, raised by a live server in its case."""

import inspect
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import qarnot.exceptions
from qarnot.credits_client import CreditsClient
from qarnot.exceptions import (
    BucketStorageUnavailableException,
    MaxJobException,
    MaxPoolException,
    MaxTaskException,
    MissingBucketException,
    MissingJobException,
    MissingPoolException,
    MissingPoolInstanceException,
    MissingProfileException,
    MissingProjectException,
    MissingTaskException,
    MissingTaskInstanceException,
    NotEnoughCreditsException,
    QarnotException,
    QarnotGenericException,
    SecretConflictException,
    SecretNotFoundException,
    UnauthorizedException,
)
from qarnot.secrets import Secrets

from .conftest import SETTINGS, Server, clean, finished, make_server, until

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated as of 2.6.0")
NOWHERE = "11111111-1111-1111-1111-111111111111"
# No buckets, one of each thing; ten euros for a second of a processor, and half a euro to spend.
NARROW = """
storage = false
strict_abort = true

[credits]
core_hour = 36000.0
accounts = { "drover@localhost" = 0.5 }
""" + SETTINGS.replace("tasks = 5000", "tasks = 1\njobs = 1\npools = 1")


class Stage(NamedTuple):
    """What the cases need."""

    conn: Any
    """To a server with room for all."""
    poor: Any
    """To the narrow server, by its first user."""
    narrow: Any
    """To the same, by a user who has one of each."""
    task: Any
    """That has ended."""
    gone_task: Any
    pool: Any
    """That is there, with one slot."""
    gone_pool: Any
    gone_job: Any
    bucket: Any
    """That was deleted, as all whose name begins with `gone`."""
    wrong: Callable[[], Any]
    """Connects with a token that is none."""


@pytest.fixture(scope="module")
def narrow_server() -> Iterator[Server]:
    one = make_server(NARROW)
    one.start()
    yield one
    clean(one)


@pytest.fixture(scope="module")
def stage(server: Server, conn: Any, narrow_server: Server) -> Stage:
    task, gone_task = (_task(conn, "true") for _ in range(2))
    pool, gone_pool, gone_job = (
        conn.create_pool("there", "docker-batch", 1), conn.create_pool("gone", "docker-batch", 1),
        conn.create_job("gone"),
    )  # fmt: skip
    for one in (task, gone_task, pool, gone_pool, gone_job):
        one.submit()
    copies = [
        conn.retrieve_task(gone_task.uuid), conn.retrieve_pool(gone_pool.uuid),
        conn.retrieve_job(gone_job.uuid),
    ]  # fmt: skip
    for one in (gone_task, gone_pool, gone_job):
        one.delete()
    bucket = conn.create_bucket("gone-exceptions")
    bucket.delete()
    narrow = narrow_server.connect(narrow_server.add_user("narrow@example.org"))
    for one in (_task(narrow, "sleep 600"), narrow.create_pool("one", "docker-batch", 1),
                narrow.create_job("one")):  # fmt: skip
        one.submit()
    return Stage(
        conn, narrow_server.connect(), narrow, finished(task), copies[0], pool, copies[1],
        copies[2], bucket, partial(server.connect, "wrong"),
    )  # fmt: skip


def _task(conn: Any, command: str) -> Any:
    task = conn.create_task("exceptions", "docker-batch", 1)
    task.constants["DOCKER_CMD"] = command
    return task


def _outputs(of: str, *words: Any) -> list[Any]:
    names = ("stdout", "stderr", "fresh_stdout", "fresh_stderr")
    return [lambda s, name=name: getattr(getattr(s, of), name)(*words) for name in names]


def _with_resource(thing: Any, bucket: Any) -> Any:
    thing.resources.append(bucket)
    return thing


def _in_project(stage: Stage) -> Any:
    return CreditsClient(stage.conn).get_project_budgets(NOWHERE, True)


def _conflict(stage: Stage) -> None:
    for _ in range(2):
        Secrets(stage.conn).create_secret("exceptions/twice", "x")


def _spent(stage: Stage) -> Any:
    """Spend what there is, once."""
    poor = stage.poor
    if poor.credits().amount_in_euros > 0:
        pool = poor.create_pool("costs", "docker-batch", 1)
        pool.submit()
        task = poor.create_task("costs", pool, 1)
        task.constants["DOCKER_CMD"] = "sleep 0.2"
        task.submit()
        cost = finished(task).credits().amount_in_euros
        assert cost > 1
        assert cost == pool.credits().amount_in_euros
        assert abs(0.5 - cost - poor.credits().amount_in_euros) < 0.001
        task.delete()
        pool.delete()
        assert poor.credits().amount_in_euros < -0.5, "nothing is given back"
    return poor


def _abort_strictly(stage: Stage) -> None:
    strict = next(task for task in stage.narrow.all_tasks())
    strict.abort()
    finished(strict)
    try:
        strict.abort()
    finally:
        # The account goes on having one task that is not over.
        strict.delete()
        until(lambda: not list(stage.narrow.all_tasks()))
        _task(stage.narrow, "sleep 600").submit()


Case = Callable[[Stage], Any]
CASES: dict[type[Exception], list[Case]] = {
    QarnotGenericException: [
        lambda s: s.conn.create_task("x", "none-such", 1).submit(),
        lambda s: s.conn.create_pool("x", "none-such").submit(),
        lambda s: s.conn.create_job("").submit(),
        lambda s: s.conn.get_organization_computing_quotas(),
    ],
    BucketStorageUnavailableException: [
        lambda s: s.narrow.create_bucket("x"),
        lambda s: s.narrow.retrieve_bucket("x"),
        lambda s: s.narrow.buckets(),
    ],
    UnauthorizedException: [
        lambda s: s.wrong().profiles_names(),
        lambda s: s.task.update_resources(),
        _abort_strictly,
    ],
    MissingProfileException: [lambda s: s.conn.retrieve_profile("none-such")],
    MissingTaskInstanceException: _outputs("task", 7),
    MissingTaskException: [
        lambda s: s.conn.retrieve_task(NOWHERE),
        lambda s: s.gone_task.update(True),
        lambda s: s.gone_task.abort(),
        lambda s: s.gone_task.commit(),
        lambda s: s.gone_task.update_resources(),
        lambda s: s.gone_task.instant(),
        lambda s: s.gone_task.snapshot(5),
        lambda s: s.gone_task.wait(),
        lambda s: s.gone_task.carbon_facts(),
        lambda s: s.gone_task.credits(),
        *_outputs("gone_task"),
        lambda s: s.conn.retrieve_task(s.gone_task.uuid).delete(),
    ],
    MissingPoolInstanceException: _outputs("pool", 7),
    MissingPoolException: [
        lambda s: s.conn.retrieve_pool(NOWHERE),
        lambda s: s.gone_pool.update(True),
        lambda s: s.gone_pool.commit(),
        lambda s: s.gone_pool.update_resources(),
        lambda s: s.gone_pool.close(),
        lambda s: s.gone_pool.carbon_facts(),
        lambda s: s.gone_pool.credits(),
        *_outputs("gone_pool"),
    ],
    MissingJobException: [
        lambda s: s.conn.retrieve_job(NOWHERE),
        lambda s: s.gone_job.update(True),
        lambda s: s.gone_job.terminate(),
        lambda s: s.gone_job.tasks,
        lambda s: s.gone_job.delete(),
    ],
    MissingProjectException: [_in_project],
    MissingBucketException: [
        lambda s: s.bucket.list_files(),
        lambda s: s.bucket.add_string("x", "x"),
        lambda s: s.bucket.copy_file("x", "y"),
        lambda s: s.bucket.delete_file("x"),
        lambda s: s.bucket.sync_files({"x": __file__}),
        lambda s: s.bucket.sync_directory(str(Path(__file__).parent)),
        lambda s: s.bucket.delete(),
        lambda s: _with_resource(_task(s.conn, "true"), s.bucket).submit(),
        lambda s: _with_resource(s.conn.create_pool("x", "docker-batch"), s.bucket).submit(),
    ],
    MaxTaskException: [lambda s: _task(s.narrow, "true").submit()],
    MaxPoolException: [lambda s: s.narrow.create_pool("x", "docker-batch").submit()],
    MaxJobException: [lambda s: s.narrow.create_job("x").submit()],
    NotEnoughCreditsException: [
        lambda s: _task(_spent(s), "true").submit(),
        lambda s: _spent(s).create_pool("x", "docker-batch").submit(),
        lambda s: _spent(s).create_job("x").submit(),
    ],
    SecretNotFoundException: [
        lambda s: Secrets(s.conn).get_secret("exceptions/none"),
        lambda s: Secrets(s.conn).update_secret("exceptions/none", "x"),
        lambda s: Secrets(s.conn).delete_secret("exceptions/none"),
    ],
    SecretConflictException: [_conflict],
}


@pytest.mark.parametrize(
    ("kind", "case"), [(kind, case) for kind, cases in CASES.items() for case in cases]
)
def test_the_sdk_raises(stage: Stage, kind: type[Exception], case: Case) -> None:
    """A script that catches one of them must not be ended by another."""
    with pytest.raises(kind) as told:
        case(stage)

    assert told.type is kind


def test_there_is_a_case_for_each() -> None:
    """The SDK's next version may bring one that this server never raises."""
    known = {
        value for _, value in inspect.getmembers(qarnot.exceptions, inspect.isclass)
        if issubclass(value, Exception)
    }  # fmt: skip

    assert {*CASES, QarnotException} == known

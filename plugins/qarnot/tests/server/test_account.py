"""Secrets, quotas, carbon and credits, through the unmodified SDK."""

from typing import Any

import pytest
import qarnot
from qarnot.exceptions import (
    QarnotGenericException,
    SecretConflictException,
    SecretNotFoundException,
)
from qarnot.secrets import SecretAccessRightBySecret, Secrets, SecretsAccessRights

from .conftest import Server, finished, run


def test_secrets_are_kept_changed_listed_and_forgotten(conn: Any, server: Server) -> None:
    """Keys are paths, and listings go down them level by level."""
    Secrets(conn).create_secret("db/prod/password", "one")
    Secrets(conn).create_secret("db/name", "two \u00e9")
    with pytest.raises(SecretConflictException):
        Secrets(conn).create_secret("db/name", "three")
    Secrets(conn).update_secret("db/name", "four")

    assert "four" == Secrets(conn).get_secret("db/name")
    assert {"db/prod/", "db/name"} == set(Secrets(conn).list_secrets("db", recursive=False))
    assert {"db/prod/password", "db/name"} <= set(Secrets(conn).list_secrets("", recursive=True))
    Secrets(conn).delete_secret("db/name")
    for again in (Secrets(conn).get_secret, Secrets(conn).delete_secret):
        with pytest.raises(SecretNotFoundException):
            again("db/name")
    other = server.connect(server.add_user("spy@example.org"))
    with pytest.raises(SecretNotFoundException):
        Secrets(other).get_secret("db/prod/password")


def test_a_task_is_given_the_secrets_that_it_may_read(conn: Any) -> None:
    """And no other of its user's."""
    Secrets(conn).create_secret("task/one", "first")
    Secrets(conn).create_secret("task/two", "second")
    task = conn.create_task("reader", "docker-batch", 1)
    task.secrets_access_rights = SecretsAccessRights([SecretAccessRightBySecret("task/one")], [])
    task.constants["DOCKER_CMD"] = "sh -c 'env | grep ^QARNOT_SECRET'"
    task.submit()
    finished(task)

    assert "QARNOT_SECRET__task__one=first\n" == task.stdout(instanceId=0)


def test_credentials_are_exported_only_where_asked(conn: Any, server: Server) -> None:
    """A task gets its user's token only by that privilege."""
    plain = run(conn, "sh -c 'env | cut -d= -f1 | grep -c TOKEN'")
    task = conn.create_task("privileged", "docker-batch", 1)
    task.privileges = qarnot.privileges.Privileges(True)
    task.constants["DOCKER_CMD"] = "printenv QARNOT_CLIENT_TOKEN"
    task.submit()
    finished(task)

    assert "1\n" == plain.stdout(instanceId=0), "Drover's own, and no other"
    assert server.facts["token"] + "\n" == task.stdout(instanceId=0)


def test_what_costs_nothing_is_answered_all_the_same(conn: Any) -> None:
    """Scripts that print what a task has cost must not fail here."""
    task = run(conn, "true")

    assert 0.0 == task.credits().amount_in_euros
    assert 0.0 == vars(task.carbon_facts())["energy_consumption_Wh"]
    assert conn.get_user_computing_quotas().flex.max_instances > 0
    with pytest.raises(QarnotGenericException):
        conn.get_organization_computing_quotas()

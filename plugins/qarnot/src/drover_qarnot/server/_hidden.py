"""What a task is given and nobody is told: secret constants, secrets, credentials."""

import json
from collections.abc import Mapping
from typing import Final

from drover_qarnot.server._accounts import Accounts
from drover_qarnot.server._asked import SECRET, PoolAsked, TaskAsked
from drover_qarnot.server._database import Database
from drover_qarnot.server._errors import ApiError, invalid, missing
from drover_qarnot.server._records import Task
from drover_qarnot.server._sealing import Sealer

LONGEST_KEY: Final = 1024


def about_constants(uuid: str) -> str:
    """Name what secret constants are sealed for."""
    return f"constants {uuid}"


class Hidden:
    """Secrets of users, and what tasks get of them."""

    def __init__(self, database: Database, sealer: Sealer, accounts: Accounts) -> None:
        self._database = database
        self._sealer = sealer
        self._accounts = accounts
        self.api_url = ""
        self.storage_url = ""

    def seal_constants(self, uuid: str, constants: Mapping[str, str]) -> bytes | None:
        """Seal the write-only constants of something that is being created."""
        if not constants:
            return None
        return self._sealer.seal(json.dumps(dict(constants)), about_constants(uuid))

    def open_constants(self, uuid: str, sealed: bytes | None) -> dict[str, str]:
        """Open what `seal_constants` made."""
        if sealed is None:
            return {}
        out: dict[str, str] = json.loads(self._sealer.open(sealed, about_constants(uuid)))
        return out

    def constants(self, task: Task) -> dict[str, str]:
        """Give the write-only constants of a task."""
        return self.open_constants(task.uuid, task.sealed)

    def variables(self, owner: str, asked: TaskAsked | PoolAsked) -> dict[str, str]:
        """Give secrets and credentials as variables of a task, or of all tasks of a pool.

        A secret `a/b` is `QARNOT_SECRET__a__b`, the name that write-only constants have.
        """
        out: dict[str, str] = {}
        rights = asked.secrets_access_rights
        keys = [one.key.strip("/") for one in rights.by_secret]
        for one in rights.by_prefix:
            keys += self.keys(owner, one.prefix.strip("/"))
        for key in keys:
            value = self.get(owner, key)
            if value is not None:
                out[SECRET + key.replace("/", "__")] = value
        if asked.privileges.export_api_and_storage_credentials_in_environment:
            token = self._accounts.token_of(owner) or ""
            out |= {
                "QARNOT_CLIENT_TOKEN": token,
                "QARNOT_CLUSTER_URL": self.api_url,
                "QARNOT_STORAGE_URL": self.storage_url,
                "AWS_ACCESS_KEY_ID": owner,
                "AWS_SECRET_ACCESS_KEY": token,
            }
        return out

    # Secrets of users

    def keys(self, owner: str, prefix: str) -> list[str]:
        """List the keys of a user's secrets at or below a prefix."""
        rows = self._database.read("SELECT key FROM secrets WHERE owner = ? ORDER BY key", owner)
        found = [str(row["key"]) for row in rows]
        return [key for key in found if not prefix or key == prefix or key.startswith(f"{prefix}/")]

    def level(self, owner: str, prefix: str) -> list[str]:
        """List one level below a prefix; folders end in `/`."""
        below = f"{prefix}/" if prefix else ""
        names = dict[str, None]()
        for key in self.keys(owner, prefix):
            if key.startswith(below) and (rest := key[len(below) :]):
                first, slash, _ = rest.partition("/")
                names[first + slash] = None
        return list(names)

    def get(self, owner: str, key: str) -> str | None:
        """Open one secret."""
        row = self._database.first(
            "SELECT sealed FROM secrets WHERE owner = ? AND key = ?", owner, key
        )
        return None if row is None else self._sealer.open(row["sealed"], f"secret {owner} {key}")

    def create(self, owner: str, key: str, value: str, most: int) -> None:
        """Keep a new secret.

        Raises:
            ApiError: 409, it is there; 400, its name cannot be; 403, they are too many.
        """
        if not 1 <= len(key) <= LONGEST_KEY or "\0" in key or "//" in key:
            raise invalid("key", f"a path of 1 to {LONGEST_KEY} characters")
        with self._database.write() as connection:
            count = connection.execute(
                "SELECT count(*) FROM secrets WHERE owner = ?", (owner,)
            ).fetchone()[0]
            if count >= most:
                raise ApiError(403, "maximum number of secrets reached")
            known = connection.execute(
                "SELECT 1 FROM secrets WHERE owner = ? AND key = ?", (owner, key)
            ).fetchone()
            if known:
                raise ApiError(409, f"secret {key[:100]!r} is there already")
            sealed = self._sealer.seal(value, f"secret {owner} {key}")
            connection.execute("INSERT INTO secrets VALUES (?, ?, ?)", (owner, key, sealed))

    def update(self, owner: str, key: str, value: str) -> None:
        """Give a secret another value.

        Raises:
            ApiError: 404.
        """
        sealed = self._sealer.seal(value, f"secret {owner} {key}")
        with self._database.write() as connection:
            if not connection.execute(
                "UPDATE secrets SET sealed = ? WHERE owner = ? AND key = ?", (sealed, owner, key)
            ).rowcount:
                raise missing("secret", key)

    def delete(self, owner: str, key: str) -> None:
        """Forget a secret.

        Raises:
            ApiError: 404.
        """
        with self._database.write() as connection:
            if not connection.execute(
                "DELETE FROM secrets WHERE owner = ? AND key = ?", (owner, key)
            ).rowcount:
                raise missing("secret", key)

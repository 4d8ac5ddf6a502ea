"""The project's own Ceph: it comes up, breaks where it is told to, keeps what it was given."""

import http.client
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from own_cluster import command
from radosgw_cluster import RadosgwCluster

from clusters.s3.place import LONGEST

pytestmark = pytest.mark.s3


def answers(radosgw: RadosgwCluster) -> int:
    """Ask the gateway for anything, unsigned; give its status."""
    asked = http.client.HTTPConnection(urlsplit(radosgw.url).netloc, timeout=20)
    asked.request("GET", "/no-such-bucket-here")
    status = asked.getresponse().status
    asked.close()
    return status


def test_up_twice_starts_nothing_twice(radosgw: RadosgwCluster) -> None:
    """Who types it again wants to see the keys, and no other Ceph."""
    before = {name: radosgw.daemons.process(name) for name in radosgw.daemons.names()}
    exports = radosgw.up()

    assert {"mon", "osd", "rgw"} == set(before)
    assert before == {name: radosgw.daemons.process(name) for name in before}
    assert f"export AWS_ENDPOINT_URL={radosgw.url}" in exports
    assert 404 == answers(radosgw)


def test_a_daemon_that_died_comes_back(radosgw: RadosgwCluster) -> None:
    """And with it the buckets: they are the OSD's."""
    users = radosgw.run("radosgw-admin", "user", "list")
    with radosgw.without("rgw"), pytest.raises(OSError, match="refused"):
        answers(radosgw)
    radosgw.up()

    assert 404 == answers(radosgw)
    assert users == radosgw.run("radosgw-admin", "user", "list")


def test_what_was_put_is_there_after_down_and_up(radosgw: RadosgwCluster) -> None:
    """It is in memory; `down` has to write it down."""
    keys = radosgw.users
    radosgw.run("radosgw-admin", "user", "create", "--uid=kept", "--display-name=kept")
    radosgw.down()
    assert [] == radosgw.daemons.names()
    radosgw.up()

    assert keys == radosgw.users
    assert "kept" in radosgw.run("radosgw-admin", "user", "list")
    assert 404 == answers(radosgw)


def test_keys_are_for_their_owner_alone(radosgw: RadosgwCluster) -> None:
    """A keyring opens the whole cluster."""
    for name in ("etc", "mon", "osd"):
        assert 0o700 == stat.S_IMODE((radosgw.folder / name).stat().st_mode)
    secrets = [keys.secret for keys in radosgw.users]
    pids = [process[0] for name in radosgw.daemons.names()
            if (process := radosgw.daemons.process(name))]  # fmt: skip
    words = "".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in pids)

    assert [] == [secret for secret in secrets if secret in words]


def test_a_folder_too_long_for_sockets_is_refused(radosgw: RadosgwCluster, tmp_path: Path) -> None:
    """Ceph itself would say that a name is too long, and not which."""
    code, _, said = command("s3", "up", tmp_path / ("x" * LONGEST))

    assert 1 == code
    assert "too long for sockets" in said

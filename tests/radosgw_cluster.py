"""A real Ceph of the tests' own, which speaks S3."""

from collections.abc import Generator
from typing import NamedTuple

import pytest
from own_cluster import OwnCluster
from own_cluster import must_be_installed as _must_be_installed

from clusters.s3.cluster import PATH

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin")


class Keys(NamedTuple):
    """What a user signs with."""

    access: str
    secret: str


class RadosgwCluster(OwnCluster):
    """A Ceph in a folder of its own. Its daemons are mon, osd and rgw."""

    KIND = "s3"
    PATH = PATH

    @property
    def url(self) -> str:
        """Say where it speaks S3."""
        return self.environment["AWS_ENDPOINT_URL"]

    @property
    def users(self) -> list[Keys]:
        """List the keys of two users."""
        return [
            Keys(
                self.environment[f"{begin}_ACCESS_KEY_ID"],
                self.environment[f"{begin}_SECRET_ACCESS_KEY"],
            )
            for begin in ("AWS", "SECOND")
        ]


def must_be_installed() -> None:
    """Skip where there is no Ceph, loudly; where nobody looks at skips, fail."""
    _must_be_installed("s3", PROGRAMS, PATH)


@pytest.fixture(scope="session")
def radosgw() -> Generator[RadosgwCluster]:
    """Give a Ceph, brought up once. Leave it as you found it."""
    must_be_installed()
    with RadosgwCluster() as cluster:
        yield cluster

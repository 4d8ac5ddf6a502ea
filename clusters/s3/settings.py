"""What can be chosen about a Ceph, and the command line that chooses it."""

import argparse
from dataclasses import dataclass, field

from clusters import settings

# The OSD takes four ports, wherever it finds some from here on.
OSD_PORTS = (10, 39)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What `up` was told. What a later `up` is not told stays as it was."""

    port: int = 17480
    disk: bool = False
    set: list[str] = field(default_factory=list[str])

    @property
    def ports(self) -> dict[str, int]:
        """Give the port of each daemon."""
        return {"rgw": self.port, "mon": self.port + 1}

    @property
    def osd_ports(self) -> tuple[int, int]:
        """Give the first and the last port that the OSD may take."""
        return self.port + OSD_PORTS[0], self.port + OSD_PORTS[1]


def parser() -> argparse.ArgumentParser:
    """Build the command line of `up`."""
    made = settings.parser("s3", "Ceph with its S3 gateway", "mon, osd or rgw")
    settings.add_number(made, "port", 60000, "the gateway's; mon +1, osd +10 to +39 (17480)")
    made.add_argument(
        "--disk",
        action=argparse.BooleanOptionalAction,
        help="keep objects in a file of 8 GiB at most, and sync it as Ceph does on a disk "
        "(default: no, in memory; written to the folder by `down`)",
    )
    settings.add_lines(made, "a line of ceph.conf")
    return made

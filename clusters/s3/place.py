"""What is in the folder of a Ceph."""

import json
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clusters.folder import ClusterFolder
from clusters.s3.settings import Settings
from clusters.settings import ClusterError

USERS = ("first", "second")
# A path of a Unix socket has 108 bytes; ours ends in /run/client.admin.1234567.12345678901234.asok.
LONGEST = 60


@dataclass(frozen=True)
class Place(ClusterFolder):
    """Where a Ceph is."""

    FOLDERS = ("etc", "log", "mon", "osd", "rgw", "run")

    def load(self, told: dict[str, Any]) -> Settings:
        """Give what is remembered, or the defaults, with what *told* says otherwise."""
        return Settings(**self.known(told))

    @property
    def conf(self) -> Path:
        """Name the configuration file."""
        return self.folder / "etc/ceph.conf"

    def look_at_length(self) -> None:
        """Refuse a path in which no socket can be made."""
        if len(str(self.folder)) > LONGEST:
            raise ClusterError(f"{self.folder} is too long for sockets: choose a shorter folder")

    def keys(self, user: str) -> tuple[str, str] | None:
        """Give access key and secret of a user who was made."""
        file = self.folder / f"etc/{user}.json"
        if not file.exists():
            return None
        (row,) = json.loads(file.read_text("utf-8"))["keys"]
        return row["access_key"], row["secret_key"]

    def lay_out(self, settings: Settings) -> None:
        """Make all files that are there before the first daemon is."""
        self.make(asdict(settings))
        for name in ("etc", "mon", "osd", "rgw", "run"):
            # Whoever may read a keyring may do everything.
            (self.folder / name).chmod(0o700)
        fsid = self.folder / "etc/fsid"
        if not fsid.exists():
            self.put("etc/fsid", str(uuid.uuid4()))
        self.put("etc/ceph.conf", configuration(self.folder, fsid.read_text("utf-8"), settings))


def configuration(folder: Path, fsid: str, settings: Settings) -> str:
    """Write ceph.conf: one of everything, on loopback, with little memory."""
    first, last = settings.osd_ports
    lines = {
        "fsid": fsid,
        "mon_host": f"v2:127.0.0.1:{settings.ports['mon']}",
        "ms_bind_ipv6": "false",
        "ms_bind_msgr1": "false",
        "ms_bind_port_min": first,
        "ms_bind_port_max": last,
        "public_addr": "127.0.0.1",
        "cluster_addr": "127.0.0.1",
        "auth_cluster_required": "cephx",
        "auth_service_required": "cephx",
        "auth_client_required": "cephx",
        "keyring": f"{folder}/etc/keyring",
        "run_dir": f"{folder}/run",
        "log_file": f"{folder}/log/$type.log",
        "admin_socket": f"{folder}/run/$name.$pid.$cctid.asok",
        "mon_data": f"{folder}/mon",
        "osd_data": f"{folder}/osd",
        "osd_objectstore": "bluestore" if settings.disk else "memstore",
        # Else it leaves without writing down what is in memory.
        "osd_fast_shutdown": "false",
        "memstore_device_bytes": "4G",
        "bluestore_block_size": "8G",
        "bluestore_cache_autotune": "false",
        "bluestore_cache_size": 128 * 1024**2,
        "osd_pool_default_size": 1,
        "osd_pool_default_min_size": 1,
        "osd_pool_default_pg_num": 1,
        "osd_pool_default_pgp_num": 1,
        "osd_pool_default_pg_autoscale_mode": "off",
        "osd_crush_chooseleaf_type": 0,
        "mon_allow_pool_size_one": "true",
        "mon_warn_on_pool_no_redundancy": "false",
        "rgw_frontends": f"beast endpoint=127.0.0.1:{settings.ports['rgw']}",
        "rgw_data": f"{folder}/rgw",
        "rgw_run_sync_thread": "false",
        "rgw_enable_ops_log": "false",
        "rgw_enable_usage_log": "false",
        "rgw_thread_pool_size": 32,
        "debug_ms": 0,
    }
    given = dict(line.split("=", 1) for line in settings.set)
    rows = [f"{name} = {value}" for name, value in {**lines, **given}.items()]
    return "\n".join(["[global]", *rows, "[osd]", f"keyring = {folder}/osd/keyring", ""])

"""The daemons of one Ceph: how each is started, and when it is ready."""

import http.client
import json
import os
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from clusters.cluster import DaemonCluster
from clusters.s3.place import USERS, Place
from clusters.s3.settings import Settings

PATH = os.environ.get("PATH", os.defpath)
MONITOR = "a"
ADMIN = ("--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")


@dataclass(frozen=True)
class Cluster(DaemonCluster):
    """A Ceph: a monitor, one OSD with all data, and the gateway that speaks S3."""

    INSTALL = "clusters/s3/install"
    PATH = PATH

    settings: Settings

    @property
    def place(self) -> Place:
        """Give the folder."""
        return Place(self.folder)

    @property
    def environment(self) -> dict[str, str]:
        """Give the variables that make S3 clients, and Ceph's programs, talk to this cluster."""
        variables = {
            "CEPH_CONF": str(self.place.conf),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.ports['rgw']}",
        }
        for user, begin in zip(USERS, ("AWS", "SECOND"), strict=True):
            keys = self.place.keys(user)
            if keys is not None:
                variables[f"{begin}_ACCESS_KEY_ID"], variables[f"{begin}_SECRET_ACCESS_KEY"] = keys
        return variables

    @property
    def ports(self) -> dict[str, int]:
        """Give the port of each daemon."""
        return self.settings.ports

    def starters(self) -> dict[str, Callable[[], None]]:
        """List what starts each daemon, in the order in which they need each other."""
        return {"mon": self._mon, "osd": self._osd, "rgw": self._rgw}

    def look_at_machine(self) -> None:
        """Refuse a folder in which sockets cannot be made."""
        self.place.look_at_length()

    def lay_out(self) -> None:
        """Make all files."""
        self.place.lay_out(self.settings)

    def _mon(self) -> None:
        if not (self.folder / "mon/made").exists():
            self._make_monitor()
        self._start("mon", "ceph-mon", "-i", MONITOR)
        self.until("mon", lambda: self._ceph("status"))

    def _make_monitor(self) -> None:
        """Make an empty database; one that is half made does not count."""
        shutil.rmtree(self.folder / "mon")
        (self.folder / "mon").mkdir(mode=0o700)
        etc = self.folder / "etc"
        keyring, members = str(etc / "keyring"), str(etc / "monmap")
        tool = self.program("ceph-authtool")
        monitor = ("-n", "mon.", "--cap", "mon", "allow *")
        self.must(tool, "--create-keyring", keyring, "--gen-key", *monitor)
        self.must(tool, keyring, "--gen-key", "-n", "client.admin", *ADMIN)
        (self.folder / "etc/keyring").chmod(0o600)
        fsid = (etc / "fsid").read_text("utf-8")
        address = f"[v2:127.0.0.1:{self.ports['mon']}]"
        self.must(
            self.program("monmaptool"), "--create", "--clobber", "--addv", MONITOR, address,
            "--fsid", fsid, "--set-min-mon-release", "pacific", members,
        )  # fmt: skip
        words = ("--mkfs", "-i", MONITOR, "--monmap", members, "--keyring", keyring)
        self.must(self.program("ceph-mon"), *words)
        (self.folder / "mon/made").touch()

    def _osd(self) -> None:
        if not (self.folder / "osd/made").exists():
            self._make_osd()
        self._start("osd", "ceph-osd", "-i", (self.folder / "osd/made").read_text("utf-8"))
        self.until("osd", self._osd_is_up)

    def _make_osd(self) -> None:
        """Make an empty OSD."""
        shutil.rmtree(self.folder / "osd")
        (self.folder / "osd").mkdir(mode=0o700)
        ceph, name = self.program("ceph"), str(uuid.uuid4())
        number = self.must(ceph, "osd", "new", name).strip()
        keyring = self.must(
            ceph, "auth", "get-or-create", f"osd.{number}",
            "mon", "allow profile osd", "osd", "allow *",
        )  # fmt: skip
        self.place.put("osd/keyring", keyring, 0o600)
        self.must(self.program("ceph-osd"), "-i", number, "--mkfs", "--osd-uuid", name)
        self.must(ceph, "osd", "crush", "add", f"osd.{number}", "1.0", "root=default", "host=here")
        self.place.put("osd/made", number)

    def _osd_is_up(self) -> bool | None:
        told = json.loads(self._ceph("osd", "stat") or "{}")
        return told.get("num_up_osds") == 1 or None

    def _rgw(self) -> None:
        for user in USERS:
            if self.place.keys(user) is None:
                # It makes up keys: one that we gave it would be seen in the list of processes.
                words = ("user", "create", f"--uid={user}", f"--display-name={user}")
                made = self.must(self.program("radosgw-admin"), *words)
                self.place.put(f"etc/{user}.json", made, 0o600)
        self._start("rgw", "radosgw", "-n", "client.admin")

    def await_ready(self) -> None:
        """Wait until the gateway answers."""
        self.until("rgw", self._answers)

    def _answers(self) -> bool | None:
        asked = http.client.HTTPConnection("127.0.0.1", self.ports["rgw"], timeout=5)
        try:
            asked.request("GET", "/")
            # A refusal is an answer, too: nobody signed this.
            return asked.getresponse().status < 500 or None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            asked.close()

    def sweep(self) -> None:
        """Daemons of Ceph leave no process behind."""

    def _ceph(self, *words: str) -> str | None:
        return self.ask(self.program("ceph"), "--connect-timeout", "5", "-f", "json", *words)

    def _start(self, name: str, program: str, *words: str) -> None:
        variables = {"PATH": PATH, "LANG": "C.UTF-8", "CEPH_CONF": str(self.place.conf)}
        clean = [f"{key}={value}" for key, value in variables.items()]
        self.daemons.start(name, ["env", "-i", *clean, self.program(program), "-f", *words])

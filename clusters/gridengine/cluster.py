"""The daemons of one Grid Engine: how each is started, and when it is ready."""

import getpass
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clusters.cluster import DaemonCluster
from clusters.gridengine import configuration, leftovers, names
from clusters.gridengine.configuration import CELL, HOST, LIBRARY
from clusters.gridengine.place import SHARE, Place
from clusters.gridengine.settings import Settings

# The programs themselves; those of Debian's /usr/bin are scripts that take ten times as long.
PATH = f"{LIBRARY}:{os.environ.get('PATH', os.defpath)}"
# How qconf lists, adds and changes each kind of thing.
QCONF = {
    "host": ("-sel", "-Ae", "-Me"),
    "pe": ("-spl", "-Ap", "-Mp"),
    "project": ("-sprjl", "-Aprj", "-Mprj"),
    "queue": ("-sql", "-Aq", "-Mq"),
}


@dataclass(frozen=True)
class Cluster(DaemonCluster):
    """A Grid Engine: its qmaster, which schedules, too, and one execd."""

    INSTALL = "clusters/gridengine/install"
    PATH = PATH

    settings: Settings

    @property
    def place(self) -> Place:
        """Give the folder."""
        return Place(self.folder)

    @property
    def environment(self) -> dict[str, str]:
        """Give the variables that make Grid Engine's programs talk to this cluster."""
        return {
            "SGE_ROOT": str(self.place.root),
            "SGE_CELL": CELL,
            "SGE_QMASTER_PORT": str(self.ports["qmaster"]),
            "SGE_EXECD_PORT": str(self.ports["execd"]),
            "DRMAA_LIBRARY_PATH": str(self.place.library),
        }

    @property
    def ports(self) -> dict[str, int]:
        """Give the port of each daemon."""
        return self.settings.ports

    def starters(self) -> dict[str, Callable[[], None]]:
        """List what starts each daemon, in the order in which they need each other."""
        return {"qmaster": self._qmaster, "execd": self._execd}

    def look_at_machine(self) -> None:
        """Refuse a machine without a name of its own, and lines that no configuration has."""
        names.of_this_machine()
        configuration.configurations(self.folder, self.settings)

    def lay_out(self) -> None:
        """Make all files."""
        self.place.lay_out(self.settings, self.must(str(SHARE / "util/arch")).strip())

    def _qmaster(self) -> None:
        if not (self.folder / "spool/made").exists():
            self._make_spool()
        self._start("qmaster")
        self.until("qmaster", lambda: self._qconf("-sh"))
        self._configure()

    def _make_spool(self) -> None:
        """Make an empty database; one that is half made does not count."""
        shutil.rmtree(self.folder / "spool")
        (self.folder / "etc/configured").unlink(missing_ok=True)
        for name in ("db", "execd", "qmaster/job_scripts"):
            (self.folder / "spool" / name).mkdir(parents=True)
        # The numbers of the last job and the last reservation.
        for name in ("jobseqnum", "arseqnum"):
            (self.folder / "spool/qmaster" / name).write_text("0\n", "utf-8")
        database = str(self.folder / "spool/db")
        self.must(self.program("spoolinit"), "berkeleydb", "libspoolb", database, "init")
        for words in (
            ("configuration", f"{self.folder}/etc/global"),
            ("complexes", str(SHARE / "util/resources/centry")),
            ("complexes", f"{self.folder}/etc/complexes"),
            ("usersets", str(SHARE / "util/resources/usersets")),
            ("managers", getpass.getuser()),
        ):
            self.must(self.program("spooldefaults"), *words)
        (self.folder / "spool/made").touch()

    def _configure(self) -> None:
        """Tell qmaster what it does not know yet. What others told it since stays as it is."""
        objects = list(configuration.objects(self.folder, self.settings))
        etc = self.folder / "etc"
        wanted = "".join(
            [*((etc / name).read_text("utf-8") for name in ("global", "scheduler")),
             *(text for _, _, text in objects)]
        )  # fmt: skip
        done = etc / "configured"
        if done.exists() and done.read_text("utf-8") == wanted:
            return
        for words in (("-ah", HOST), ("-as", HOST), ("-Mconf", "global"), ("-Msconf", "scheduler")):
            path = str(etc / words[1]) if words[0].startswith("-M") else words[1]
            self.must(self.program("qconf"), words[0], path)
        for kind, name, text in objects:
            listing, add, change = QCONF[kind]
            known = [*(self._qconf(listing) or "").split(), "global"]
            self.place.put(f"etc/{name}", text)
            self.must(self.program("qconf"), change if name in known else add, f"{etc}/{name}")
        self.place.put("etc/configured", wanted)

    def _execd(self) -> None:
        log = self.folder / "spool/execd" / HOST / "messages"
        before = log.stat().st_size if log.exists() else 0
        if self._start("execd") and self.daemons.process("qmaster") is not None:
            # A job that is sent to one that does not listen yet is sent again a minute later.
            self.until("execd", lambda: _says(log, before, b"registered at qmaster") or None)

    def await_ready(self) -> None:
        """Wait until the queues take jobs."""
        if self._is_left_from_earlier("execd"):
            # It would look for its qmaster again after half a minute, and then keep the ends of
            # older DRMAA jobs to itself for ten. A new one takes the jobs over at once.
            self.daemons.stop("execd")
            self._execd()
        self.until("execd", self._queues)

    def _is_left_from_earlier(self, name: str) -> bool:
        ours, qmaster = self.daemons.process(name), self.daemons.process("qmaster")
        return ours is not None and qmaster is not None and int(ours[1]) < int(qmaster[1])

    def _queues(self) -> str | None:
        """List the queues once the host is heard of: `u` is unknown, `a` is its load."""
        told = self.ask(self.program("qstat"), "-f", "-q", "all.q") or ""
        rows = [line.split() for line in told.splitlines() if line.startswith(f"all.q@{HOST} ")]
        heard = [row for row in rows if row[3] != "-NA-" and not set("".join(row[5:])) & set("au")]
        return told if heard else None

    def stop(self, name: str, *, wipe: bool) -> None:
        """Stop a daemon. Where nothing is kept, nobody waits until qmaster has put it in order."""
        if wipe and name == "qmaster" and self.daemons.process(name) is not None:
            self.daemons.kill(name)
        super().stop(name, wipe=wipe)

    def sweep(self) -> None:
        """Kill shepherds and jobs."""
        leftovers.kill(self.place.root)

    def _qconf(self, *words: str) -> str | None:
        return self.ask(self.program("qconf"), *words)

    def _start(self, name: str) -> bool:
        # A clean environment, which shepherds inherit; SGE_ND: stay, as the process that we know.
        variables = {**self.environment, "PATH": "/usr/local/bin:/usr/bin:/bin", "SGE_ND": "1"}
        words = [f"{key}={value}" for key, value in {**variables, "LANG": "C.UTF-8"}.items()]
        return self.daemons.start(name, ["env", "-i", *words, self.program(f"sge_{name}")])


def _says(log: Path, offset: int, words: bytes) -> bool:
    return log.exists() and words in log.read_bytes()[offset:]

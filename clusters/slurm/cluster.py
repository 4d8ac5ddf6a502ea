"""The daemons of one cluster: how each is started, and when it is ready."""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from clusters.daemons import Daemons
from clusters.slurm import configuration
from clusters.slurm.settings import ClusterError, Settings

T = TypeVar("T")

START_S = 60.0
# Debian keeps daemons where only root looks for programs.
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Cluster:
    """What `up` and `down` work on. Nothing is kept here that is not in the folder."""

    folder: Path
    settings: Settings

    @property
    def daemons(self) -> Daemons:
        """Give what was started here."""
        return Daemons(self.folder / "run", self.folder / "log")

    @property
    def environment(self) -> dict[str, str]:
        """Give the variables that make Slurm's programs talk to this cluster."""
        return {"SLURM_CONF": f"{self.folder}/etc/slurm.conf"}

    def alive(self) -> list[str]:
        """List the daemons that run."""
        return [name for name in self.daemons.names() if self.daemons.process(name)]

    def starters(self) -> dict[str, Callable[[], None]]:
        """List what starts each daemon, in the order in which they need each other."""
        database = {"mariadbd": self._mariadbd, "slurmdbd": self._slurmdbd}
        return {
            "munged": self._munged,
            **(database if self.settings.accounting else {}),
            "slurmctld": self._slurmctld,
            **{name: partial(self._node, name) for name in self.settings.nodes_and_ports},
        }

    def _munged(self) -> None:
        sock = f"{self.folder}/run/munge.sock"
        self._start(
            "munged", "--foreground", "--force", "--origin=127.0.0.1", "--num-threads=4",
            f"--socket={sock}", f"--key-file={self.folder}/etc/munge.key",
            f"--pid-file={self.folder}/run/munged.pid", f"--log-file={self.folder}/log/munged.log",
            f"--seed-file={self.folder}/state/munged.seed",
        )  # fmt: skip
        self._until("munged", lambda: self.ask("munge", "-n", "-S", sock))

    def _mariadbd(self) -> None:
        data, user = self.folder / "state/mariadb", getpass.getuser()
        if not data.exists():
            self._make_database(data, user)
        self._start(
            "mariadbd", "--no-defaults", f"--datadir={data}", f"--user={user}", "--skip-networking",
            f"--socket={self.folder}/run/mysql.sock", f"--pid-file={self.folder}/run/mariadbd.pid",
            # A test's accounting may be lost with the machine; slurmdbd wants patience with locks.
            "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0",
            "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=48M",
            "--innodb-lock-wait-timeout=900", "--performance-schema=0", "--skip-name-resolve",
        )  # fmt: skip
        self._until("mariadbd", lambda: self._sql("select 1"))

    def _make_database(self, data: Path, user: str) -> None:
        """Make an empty database; one that is half made does not count."""
        half, log = data.with_name("mariadb.half"), self.folder / "log/mariadb-install-db.out"
        shutil.rmtree(half, ignore_errors=True)
        words = (
            "mariadb-install-db", "--no-defaults", f"--datadir={half}", f"--user={user}",
            "--auth-root-authentication-method=socket", f"--auth-root-socket-user={user}",
            "--skip-test-db",
        )  # fmt: skip
        with log.open("w") as output:
            done = subprocess.run(words, stdout=output, stderr=output, check=False)
        if done.returncode != 0:
            raise ClusterError(f"mariadb-install-db failed: {log}")
        half.rename(data)

    def _sql(self, statement: str) -> str | None:
        socket_file = f"{self.folder}/run/mysql.sock"
        return self.ask("mariadb", "--no-defaults", "-S", socket_file, "-e", statement)

    def _slurmdbd(self) -> None:
        self._sql(f"create database if not exists {configuration.DATABASE}")
        self._start("slurmdbd", "-D", MYSQL_UNIX_PORT=f"{self.folder}/run/mysql.sock")
        if not self._until("slurmdbd", self._user_of_lab).strip():
            self._open_accounts()

    def _user_of_lab(self) -> str | None:
        me = f"user={getpass.getuser()}"
        return self.ask("sacctmgr", "-nP", "show", "assoc", "account=lab", me, "format=user")

    def _open_accounts(self) -> None:
        """Give whoever runs the cluster two accounts, and a quality of service with a limit."""
        user = f"user {getpass.getuser()} DefaultAccount=lab Account=lab,other"
        for words in (
            "add cluster drover",
            "add qos few MaxSubmitJobsPerUser=4",
            "add account lab,other",
            f"add {user} DefaultQOS=normal QOS=normal,few",
        ):
            # Fails for what is there, if somebody was interrupted here.
            self.ask("sacctmgr", "-i", *words.split())
        if not (self._user_of_lab() or "").strip():
            raise ClusterError(f"no accounts: see {self.folder}/log/slurmdbd.log")

    def _slurmctld(self) -> None:
        self._start("slurmctld", "-D", "-i")
        self._until("slurmctld", lambda: self.ask("scontrol", "ping"))

    def _node(self, name: str) -> None:
        self._start(name, "-D", "-N", name, program="slurmd")

    def started(self) -> list[str]:
        """List who was started, dead or alive, in the order in which they need each other."""
        recorded = set(self.daemons.names())
        order = [name for name in self.starters() if name in recorded]
        # Those that the settings no longer know are dead: anywhere will do.
        return [*order, *recorded.difference(order)]

    def give_up_nodes(self) -> None:
        """Tell a controller that lives that jobs end here; else it would learn it minutes later."""
        if self.daemons.process("slurmctld") is not None:
            self.daemons.signal("slurmctld", signal.SIGCONT)
            names = ",".join(self.settings.nodes_and_ports)
            self.ask("scontrol", "update", f"NodeName={names}", "State=DOWN", "Reason=taken-down")

    def await_nodes(self) -> None:
        """Wait until every node takes jobs, those too that were given up in an earlier life."""
        broken = self._nodes_in("drain,down,fail")
        if broken:
            self.ask("scontrol", "update", f"NodeName={','.join(broken)}", "State=RESUME")
        wanted = set(self.settings.nodes_and_ports)
        for name in wanted:
            self._until(name, lambda: self._nodes_in("idle,alloc,mix,comp") == wanted or None)

    def _nodes_in(self, states: str) -> set[str]:
        return set((self.ask("sinfo", "-h", "-N", "-t", states, "-o", "%N") or "").split())

    def look_at_ports(self, names: Sequence[str]) -> None:
        """Refuse, before anything is started, a port that somebody else has."""
        for name in names:
            port = self.settings.ports.get(name)
            if port is not None and _is_taken(port):
                raise ClusterError(f"port {port} is taken: choose others with --port")

    def _start(self, name: str, *words: str, program: str = "", **variables: str) -> None:
        path = shutil.which(program or name, path=PATH)
        if path is None:
            raise ClusterError(f"{program or name} is not installed: run clusters/slurm/install")
        self.daemons.start(name, [path, *words], **self.environment, **variables)

    def ask(self, *words: str) -> str | None:
        """Run a program and give what it printed; None if it failed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                words,
                env={**os.environ, **self.environment, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            return done.stdout if done.returncode == 0 else None
        return None

    def _until(self, name: str, ready: Callable[[], T | None]) -> T:
        """Wait until a daemon is ready; end at once, with its last words, if it is dead."""
        ends = time.monotonic() + START_S
        while (answer := ready()) is None:
            if time.monotonic() > ends or self.daemons.process(name) is None:
                raise ClusterError("\n  ".join([f"{name} is not ready", *self._last_words(name)]))
            time.sleep(0.05)
        return answer

    def _last_words(self, name: str) -> list[str]:
        files = [self.folder / "log" / f"{name}.{kind}" for kind in ("out", "log")]
        told = [file.read_text("utf-8", "replace") for file in files if file.exists()]
        return [line for text in told for line in text.splitlines()[-6:]]


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        # As daemons do: what a connection of the past still holds is no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False

"""The daemons of one Slurm: how each is started, and when it is ready."""

import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from clusters.cluster import DaemonCluster
from clusters.settings import ClusterError
from clusters.slurm import cgroups, configuration, leftovers
from clusters.slurm.place import Place
from clusters.slurm.settings import Settings

# Debian keeps daemons where only root looks for programs.
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Cluster(DaemonCluster):
    """A Slurm."""

    INSTALL = "clusters/slurm/install"
    PATH = PATH

    settings: Settings

    @property
    def environment(self) -> dict[str, str]:
        """Give the variables that make Slurm's programs talk to this cluster."""
        return {"SLURM_CONF": f"{self.folder}/etc/slurm.conf"}

    @property
    def ports(self) -> dict[str, int]:
        """Give the port of each daemon that listens on one."""
        return self.settings.ports

    def look_at_machine(self) -> None:
        """Refuse limits that would not be kept: they are worse than none."""
        if not self.settings.cgroups:
            return
        obstacle = cgroups.obstacle()
        if obstacle is not None:
            raise ClusterError(f"memory limits cannot be enforced here: {obstacle}")
        taken = next(cgroups.folders(list(self.settings.nodes_and_ports)), None)
        if taken is not None:
            raise ClusterError(f"another cluster with --cgroups uses {taken}: take it down first")

    def lay_out(self) -> None:
        """Make all files."""
        Place(self.folder).lay_out(self.settings)

    def give_up(self) -> None:
        """Tell a controller that lives that jobs end here; else it would learn it minutes later."""
        if self.daemons.process("slurmctld") is not None:
            self.daemons.signal("slurmctld", signal.SIGCONT)
            names = ",".join(self.settings.nodes_and_ports)
            self.ask("scontrol", "update", f"NodeName={names}", "State=DOWN", "Reason=taken-down")

    def sweep(self) -> None:
        """Kill step daemons and jobs, and remove their control groups."""
        leftovers.kill(self.environment)
        if self.settings.cgroups:
            cgroups.remove(list(self.settings.nodes_and_ports))

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
        self.until("munged", lambda: self.ask("munge", "-n", "-S", sock))

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
            "--innodb-use-native-aio=0", f"--tmpdir={self._tmpdir()}",
        )  # fmt: skip
        self.until("mariadbd", lambda: self._sql("select 1"))

    def _make_database(self, data: Path, user: str) -> None:
        """Make an empty database; one that is half made does not count."""
        half, log = data.with_name("mariadb.half"), self.folder / "log/mariadb-install-db.out"
        words = (
            "mariadb-install-db", "--no-defaults", f"--datadir={half}", f"--user={user}",
            "--auth-root-authentication-method=socket", f"--auth-root-socket-user={user}",
            "--skip-test-db", f"--tmpdir={self._tmpdir()}",
            # Neither the name of this machine nor the kernel's few AIO slots shall count.
            "--force", "--skip-name-resolve", "--innodb-use-native-aio=0",
        )  # fmt: skip
        shutil.rmtree(half, ignore_errors=True)
        with log.open("w") as output:
            done = subprocess.run(words, stdout=output, stderr=output, check=False)
        if done.returncode != 0:
            # What it goes on to say is the same for every fault.
            first = "\n".join(log.read_text(errors="replace").splitlines()[:20])
            raise ClusterError(f"mariadb-install-db ended with {done.returncode}:\n{first}")
        half.rename(data)

    def _tmpdir(self) -> Path:
        """Make a folder for temporary tables: each that starts deletes those of all in its own."""
        folder = self.folder / "tmp"
        folder.mkdir(exist_ok=True)
        return folder

    def _sql(self, statement: str) -> str | None:
        socket_file = f"{self.folder}/run/mysql.sock"
        return self.ask("mariadb", "--no-defaults", "-S", socket_file, "-e", statement)

    def _slurmdbd(self) -> None:
        self._sql(f"create database if not exists {configuration.DATABASE}")
        self._start("slurmdbd", "-D", MYSQL_UNIX_PORT=f"{self.folder}/run/mysql.sock")
        if not self.until("slurmdbd", self._user_of_lab).strip():
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
        self.until("slurmctld", lambda: self.ask("scontrol", "ping"))

    def _node(self, name: str) -> None:
        self._start(name, "-D", "-N", name, program="slurmd")

    def await_ready(self) -> None:
        """Wait until every node takes jobs, those too that were given up in an earlier life."""
        broken = self._nodes_in("drain,down,fail")
        if broken:
            self.ask("scontrol", "update", f"NodeName={','.join(broken)}", "State=RESUME")
        wanted = set(self.settings.nodes_and_ports)
        for name in wanted:
            self.until(name, lambda: self._nodes_in("idle,alloc,mix,comp") == wanted or None)

    def _nodes_in(self, states: str) -> set[str]:
        return set((self.ask("sinfo", "-h", "-N", "-t", states, "-o", "%N") or "").split())

    def _start(self, name: str, *words: str, program: str = "", **variables: str) -> None:
        path = self.program(program or name)
        self.daemons.start(name, [path, *words], **self.environment, **variables)

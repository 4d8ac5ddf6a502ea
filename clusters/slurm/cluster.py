"""One cluster in one folder: its files, its daemons, and when each of them is ready."""

import contextlib
import getpass
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import TypeVar

from clusters.daemons import Daemons
from clusters.slurm import configuration
from clusters.slurm.settings import MAX_FOLDER_BYTES, Settings

T = TypeVar("T")

START_S = 60.0
FOLDERS = ("etc", "run", "log", "spool", "state/slurmctld", "state/mariadb")
# Debian keeps daemons where only root looks for programs.
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


class ClusterError(Exception):
    """Say what is in the way, and what to do about it."""


@dataclass
class Cluster:
    """What `up` and `down` work on. Nothing is kept here that is not in the folder."""

    folder: Path
    settings: Settings
    daemons: Daemons = field(init=False)

    def __post_init__(self) -> None:
        self.daemons = Daemons(self.folder / "run", self.folder / "log")
        self._lock = self.folder / "lock"

    @property
    def environment(self) -> dict[str, str]:
        """Give the variables that make Slurm's programs talk to this cluster."""
        return {"SLURM_CONF": f"{self.folder}/etc/slurm.conf"}

    @property
    def remembered(self) -> Path:
        """Name the file that the settings are in; where it is, a cluster is."""
        return self.folder / "etc/settings.json"

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other calls of `up` and `down` for this folder waiting."""
        while True:
            self._claim()
            with contextlib.suppress(FileNotFoundError), self._lock.open("w") as file:
                flock(file, LOCK_EX)
                # Else it was wiped while we waited, and our lock with it.
                if os.fstat(file.fileno()).st_nlink > 0:
                    yield
                    return

    def _claim(self) -> None:
        """Make the folder, unless it is somebody else's."""
        if len(os.fsencode(self.folder)) > MAX_FOLDER_BYTES:
            raise ClusterError(
                f"{self.folder} is too long for the paths of Unix sockets in it: "
                f"choose a folder of at most {MAX_FOLDER_BYTES} bytes"
            )
        if not re.fullmatch(r"[\w./+-]+", str(self.folder), re.ASCII):
            raise ClusterError(f"{self.folder} has characters that slurm.conf cannot hold")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.folder.stat().st_uid != os.getuid():
            raise ClusterError(f"{self.folder} belongs to somebody else: choose another folder")
        names = {path.name for path in self.folder.iterdir()}
        if names - {"lock"} and not self.remembered.exists():
            raise ClusterError(f"{self.folder} holds something else: choose another folder")

    def lay_out(self) -> None:
        """Make what is in the folder. Others may look in where their jobs can run: as root."""
        for name in FOLDERS:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.settings.save(self.remembered)
        for name in self.settings.node_names:
            (self.folder / "spool" / name).mkdir(exist_ok=True)
        (self.folder / "state").chmod(0o700)
        if os.getuid() == 0:
            self.folder.chmod(0o755)
        if not (self.folder / "etc/munge.key").exists():
            self._put("munge.key", secrets.token_hex(512), 0o600)

    def wipe(self) -> None:
        """Delete what we made, the lock last, and nothing that somebody else put there."""
        for name in sorted({name.split("/")[0] for name in FOLDERS}):
            shutil.rmtree(self.folder / name)
        self._lock.unlink()
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def configure(self) -> None:
        """Write the files that Slurm reads."""
        self._put("slurm.conf", configuration.slurm_conf(self.folder, self.settings), 0o644)
        self._put("cgroup.conf", configuration.cgroup_conf(self.settings), 0o644)
        self._put("gres.conf", configuration.gres_conf(self.folder), 0o644)
        for name in configuration.GPUS:
            with contextlib.suppress(FileExistsError):
                (self.folder / "etc" / name).symlink_to(os.devnull)
        self._put("mail", configuration.mail(self.folder), 0o755)
        if self.settings.accounting:
            text = configuration.slurmdbd_conf(self.folder, self.settings)
            self._put("slurmdbd.conf", text, 0o600)

    def _put(self, name: str, text: str, mode: int) -> None:
        """Write a file whole, and only if it changes: daemons may be reading it."""
        path = self.folder / "etc" / name
        if path.exists() and path.read_text("utf-8") == text:
            return
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(text, "utf-8")
        new.chmod(mode)
        new.replace(path)

    def starters(self) -> dict[str, Callable[[], None]]:
        """List what starts each daemon, in the order in which they need each other."""
        database = {"mariadbd": self._mariadbd, "slurmdbd": self._slurmdbd}
        return {
            "munged": self._munged,
            **(database if self.settings.accounting else {}),
            "slurmctld": self._slurmctld,
            **{name: lambda name=name: self._node(name) for name in self.settings.node_names},
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
        data = f"--datadir={self.folder}/state/mariadb"
        user = getpass.getuser()
        if not (self.folder / "state/mariadb/mysql").exists():
            log = self.folder / "log/mariadb-install-db.out"
            words = (
                "mariadb-install-db", "--no-defaults", data, f"--user={user}", "--skip-test-db",
                "--auth-root-authentication-method=socket", f"--auth-root-socket-user={user}",
            )  # fmt: skip
            with log.open("w") as output:
                done = subprocess.run(words, stdout=output, stderr=output, check=False)
            if done.returncode != 0:
                raise ClusterError(f"mariadb-install-db failed: {log}")
        self._start(
            "mariadbd", "--no-defaults", data, f"--user={user}", "--skip-networking",
            f"--socket={self.folder}/run/mysql.sock", f"--pid-file={self.folder}/run/mariadbd.pid",
            # A test's accounting may be lost with the machine; slurmdbd wants patience with locks.
            "--skip-log-bin", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0",
            "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=48M",
            "--innodb-lock-wait-timeout=900", "--performance-schema=0", "--skip-name-resolve",
        )  # fmt: skip
        self._until("mariadbd", lambda: self._sql("select 1"))

    def _sql(self, statement: str) -> str | None:
        socket_file = f"{self.folder}/run/mysql.sock"
        return self.ask("mariadb", "--no-defaults", "-S", socket_file, "-e", statement)

    def _slurmdbd(self) -> None:
        self._sql(f"create database if not exists {configuration.DATABASE}")
        self._start("slurmdbd", "-D", MYSQL_UNIX_PORT=f"{self.folder}/run/mysql.sock")
        accounts = self._until("slurmdbd", lambda: self.ask("sacctmgr", "-nP", "show", "account"))
        if "lab" not in accounts:
            self._open_accounts()

    def _open_accounts(self) -> None:
        """Give whoever runs the cluster two accounts, and a quality of service with a limit."""
        user = f"user {getpass.getuser()} DefaultAccount=lab Account=lab,other"
        for words in (
            "add cluster drover",
            "add qos few MaxSubmitJobsPerUser=4",
            "add account lab,other",
            f"add {user} DefaultQOS=normal QOS=normal,few",
        ):
            if self.ask("sacctmgr", "-i", *words.split()) is None:
                raise ClusterError(f"sacctmgr {words}: failed; see {self.folder}/log/slurmdbd.log")

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

    def await_nodes(self) -> None:
        """Wait until every node takes jobs, those too that were given up in an earlier life."""
        broken = self._nodes_in("drain,down,fail")
        if broken:
            self.ask("scontrol", "update", f"NodeName={','.join(broken)}", "State=RESUME")
        wanted = set(self.settings.node_names)
        for name in wanted:
            self._until(name, lambda: self._nodes_in("idle,alloc,mix,comp") == wanted or None)

    def _nodes_in(self, states: str) -> set[str]:
        return set((self.ask("sinfo", "-h", "-N", "-t", states, "-o", "%N") or "").split())

    def _start(self, name: str, *words: str, program: str = "", **variables: str) -> None:
        path = shutil.which(program or name, path=PATH)
        if path is None:
            raise ClusterError(f"{program or name} is not installed: run clusters/slurm/install")
        if self.daemons.process(name) is None:
            port = self.settings.ports.get(name)
            if port is not None and _is_taken(port):
                raise ClusterError(f"port {port} is taken: choose another with --port")
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

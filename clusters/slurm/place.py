"""The folder that everything of one cluster is in: configuration, state, sockets, logs, records."""

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Generator
from dataclasses import asdict, dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

from clusters.slurm import configuration
from clusters.slurm.settings import ClusterError, Settings

FOLDERS = ("etc", "log", "run", "spool", "state/slurmctld")
# A Unix socket's path has 107 bytes, and slurmstepd's is the longest one of ours:
# FOLDER/spool/prefixed64/prefixed64_4294967295.4294967295
MAX_BYTES = 57


@dataclass(frozen=True)
class Place:
    """Where a cluster is. Nobody else writes here, and all may be wiped."""

    folder: Path

    @property
    def remembered(self) -> Path:
        """Name the file that the settings are in: where it is, a cluster is."""
        return self.folder / "etc/settings.json"

    def load(self, told: dict[str, Any]) -> Settings:
        """Give what is remembered, or the defaults, with what *told* says otherwise."""
        file = self.remembered
        known: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
        known |= {name: value for name, value in told.items() if value is not None}
        return Settings(**known)

    @contextlib.contextmanager
    def alone(self) -> Generator[None]:
        """Keep other calls of `up` and `down` for this folder waiting."""
        while True:
            self._claim()
            with contextlib.suppress(FileNotFoundError), self._lock.open("w") as file:
                flock(file, LOCK_EX)
                # Else the folder was wiped while we waited, and this lock with it.
                if os.fstat(file.fileno()).st_nlink > 0:
                    yield
                    return

    @property
    def _lock(self) -> Path:
        return self.folder / "lock"

    def _claim(self) -> None:
        """Make the folder, unless it is of no use or somebody else's."""
        if len(os.fsencode(self.folder)) > MAX_BYTES:
            raise ClusterError(
                f"{self.folder} is too long for the paths of Unix sockets in it: "
                f"choose a folder of at most {MAX_BYTES} bytes"
            )
        if not re.fullmatch(r"[\w./+-]+", str(self.folder), re.ASCII):
            raise ClusterError(f"{str(self.folder)!r} has characters that slurm.conf cannot hold")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.folder.stat().st_uid != os.getuid():
            raise ClusterError(f"{self.folder} belongs to somebody else: choose another folder")
        names = {path.name for path in self.folder.iterdir()} - {self._lock.name}
        if names and not self.remembered.exists():
            raise ClusterError(f"{self.folder} holds something else: choose another folder")

    def lay_out(self, settings: Settings) -> None:
        """Make all files. Other users may look in where their jobs can run: where root is."""
        for name in (*FOLDERS, *(f"spool/{node}" for node in settings.nodes_and_ports)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "state").chmod(0o700)
        if os.getuid() == 0:
            self.folder.chmod(0o755)
        # First of all: from here on the folder is known as a cluster's.
        self._put("settings.json", json.dumps(asdict(settings), indent=1) + "\n", 0o644)
        if not (self.folder / "etc/munge.key").exists():
            self._put("munge.key", secrets.token_hex(512), 0o600)
        for name in configuration.GPUS:
            with contextlib.suppress(FileExistsError):
                (self.folder / "etc" / name).symlink_to(os.devnull)
        for name, text in configuration.files(self.folder, settings).items():
            mode = {"mail": 0o755, "slurmdbd.conf": 0o600}.get(name, 0o644)
            self._put(name, text, mode)

    def _put(self, name: str, text: str, mode: int) -> None:
        """Write a file whole, and only if it changes: daemons may be reading it."""
        path = self.folder / "etc" / name
        if path.exists() and path.read_text("utf-8") == text:
            return
        new = path.with_name(f"{name}.new")
        new.touch(mode=0o600)
        new.write_text(text, "utf-8")
        new.chmod(mode)
        new.replace(path)

    def wipe(self) -> None:
        """Delete what we made, the lock last, and nothing that somebody else put there."""
        for name in sorted({name.split("/")[0] for name in FOLDERS}):
            shutil.rmtree(self.folder / name)
        self._lock.unlink()
        with contextlib.suppress(OSError):
            self.folder.rmdir()

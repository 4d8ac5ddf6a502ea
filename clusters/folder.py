"""The folder that everything of one cluster is in: configuration, state, sockets, logs, records."""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Generator
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any, ClassVar

from clusters.settings import ClusterError


@dataclass(frozen=True)
class ClusterFolder:
    """Where a cluster is. Nobody else writes here, and all may be wiped."""

    FOLDERS: ClassVar[tuple[str, ...]]

    folder: Path

    @property
    def remembered(self) -> Path:
        """Name the file that the settings are in: where it is, a cluster is."""
        return self.folder / "etc/settings.json"

    def known(self, told: dict[str, Any]) -> dict[str, Any]:
        """Give what is remembered, with what *told* says otherwise."""
        file = self.remembered
        known: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
        return known | {name: value for name, value in told.items() if value is not None}

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

    def look_at_path(self) -> None:
        """Refuse a path that configuration files cannot hold."""
        if not re.fullmatch(r"[\w./+-]+", str(self.folder), re.ASCII):
            raise ClusterError(
                f"{str(self.folder)!r} has characters that configuration files cannot hold"
            )

    def _claim(self) -> None:
        """Make the folder, unless it is of no use or somebody else's."""
        self.look_at_path()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.folder.stat().st_uid != os.getuid():
            raise ClusterError(f"{self.folder} belongs to somebody else: choose another folder")
        names = {path.name for path in self.folder.iterdir()} - {self._lock.name}
        if names and not self.remembered.exists():
            raise ClusterError(f"{self.folder} holds something else: choose another folder")

    def make(self, settings: dict[str, Any], *more: str) -> None:
        """Make all folders. Other users may look in where their jobs can run: where root is."""
        for name in (*self.FOLDERS, *more):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:
            self.folder.chmod(0o755)
        # First of all: from here on the folder is known as a cluster's.
        self.put("etc/settings.json", json.dumps(settings, indent=1) + "\n")

    def put(self, name: str, content: str | bytes, mode: int = 0o644) -> None:
        """Write a file whole, and only if it changes: daemons may be reading it."""
        path = self.folder / name
        content = content.encode() if isinstance(content, str) else content
        if path.exists() and path.read_bytes() == content:
            return
        new = path.with_name(f"{path.name}.new")
        new.touch(mode=0o600)
        new.write_bytes(content)
        new.chmod(mode)
        new.replace(path)

    def wipe(self) -> None:
        """Delete what we made, the lock last, and nothing that somebody else put there."""
        for name in sorted({name.split("/")[0] for name in self.FOLDERS}):
            shutil.rmtree(self.folder / name)
        self._lock.unlink()
        with contextlib.suppress(OSError):
            self.folder.rmdir()

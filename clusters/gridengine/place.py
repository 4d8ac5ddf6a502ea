"""What is in the folder of a Grid Engine."""

import contextlib
import getpass
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clusters.folder import ClusterFolder
from clusters.gridengine import configuration, names
from clusters.gridengine.settings import Settings

SHARE = Path("/usr/share/gridengine")
DRMAA = Path("/usr/lib/gridengine-drmaa/lib/libdrmaa.so.1.0")


@dataclass(frozen=True)
class Place(ClusterFolder):
    """Where a Grid Engine is. Its SGE_ROOT leads to the programs that Debian installed."""

    FOLDERS = ("etc/complexes", "lib", "log", "root/default/common", "run", "spool", "tmp")

    def load(self, told: dict[str, Any]) -> Settings:
        """Give what is remembered, or the defaults, with what *told* says otherwise."""
        return Settings(**self.known(told))

    @property
    def root(self) -> Path:
        """Name SGE_ROOT."""
        return self.folder / "root"

    @property
    def library(self) -> Path:
        """Name the DRMAA library that Python can load."""
        return self.folder / "lib" / DRMAA.name

    def lay_out(self, settings: Settings, architecture: str) -> None:
        """Make all files that are there before the first daemon is."""
        self.make(asdict(settings))
        # Jobs of all users make their folders in it, where root is.
        (self.folder / "tmp").chmod(0o1777 if os.getuid() == 0 else 0o700)
        for name in ("bin", "lib", "utilbin"):
            (self.root / name).mkdir(exist_ok=True)
            self._link(f"root/{name}/{architecture}", configuration.LIBRARY)
        self._link("root/util", SHARE / "util")
        for name in ("qmaster", "execd/localhost"):
            self._link(f"log/{name.split('/')[0]}.log", f"../spool/{name}/messages")
        common = configuration.common(self.folder, getpass.getuser(), names.of_this_machine())
        for name, text in common.items():
            self.put(f"root/{configuration.CELL}/common/{name}", text)
        for name, text in configuration.configurations(self.folder, settings).items():
            self.put(f"etc/{name}", text)
        for name, text in configuration.complexes().items():
            self.put(f"etc/complexes/{name}", text)
        self.put("etc/mail", configuration.mail(self.folder), 0o755)
        self.put(f"lib/{DRMAA.name}", _loadable(DRMAA.read_bytes()))

    def _link(self, name: str, target: str | Path) -> None:
        with contextlib.suppress(FileExistsError):
            (self.folder / name).symlink_to(target)


def _loadable(library: bytes) -> bytes:
    """Make a DRMAA library that Python can load from the one that Debian ships.

    That one needs libjemalloc, whose thread-local storage is more than the C library has to spare
    for what is loaded late: "cannot allocate memory in static TLS block". It wants nothing from it
    but malloc and free, which the C library has: that one's name is put in the place of the other.
    """
    needed = b"libjemalloc.so.2\0"
    return library.replace(needed, b"libc.so.6\0".ljust(len(needed), b"\0"))

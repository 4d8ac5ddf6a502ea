"""What is in the folder of a Slurm."""

import contextlib
import os
import secrets
from dataclasses import asdict, dataclass
from typing import Any

from clusters.folder import ClusterFolder
from clusters.settings import ClusterError
from clusters.slurm import configuration
from clusters.slurm.settings import Settings

# A Unix socket's path has 107 bytes, and slurmstepd's is the longest one of ours:
# FOLDER/spool/prefixed64/prefixed64_4294967295.4294967295
MAX_BYTES = 57


@dataclass(frozen=True)
class Place(ClusterFolder):
    """Where a Slurm is."""

    FOLDERS = ("etc", "log", "run", "spool", "state/slurmctld")

    def load(self, told: dict[str, Any]) -> Settings:
        """Give what is remembered, or the defaults, with what *told* says otherwise."""
        return Settings(**self.known(told))

    def look_at_path(self) -> None:
        """Refuse a path that is of no use."""
        if len(os.fsencode(self.folder)) > MAX_BYTES:
            raise ClusterError(
                f"{self.folder} is too long for the paths of Unix sockets in it: "
                f"choose a folder of at most {MAX_BYTES} bytes"
            )
        super().look_at_path()

    def lay_out(self, settings: Settings) -> None:
        """Make all files."""
        self.make(asdict(settings), *(f"spool/{node}" for node in settings.nodes_and_ports))
        (self.folder / "state").chmod(0o700)
        if not (self.folder / "etc/munge.key").exists():
            self.put("etc/munge.key", secrets.token_hex(512), 0o600)
        for name in configuration.GPUS:
            with contextlib.suppress(FileExistsError):
                (self.folder / "etc" / name).symlink_to(os.devnull)
        for name, text in configuration.files(self.folder, settings).items():
            mode = {"mail": 0o755, "slurmdbd.conf": 0o600}.get(name, 0o644)
            self.put(f"etc/{name}", text, mode)

"""What a person types: `up` and `down`."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clusters.cluster import DaemonCluster
from clusters.folder import ClusterFolder
from clusters.settings import ClusterError, default_folder


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What `up` and `down` have to know of a kind of cluster."""

    name: str
    parser: Callable[[], argparse.ArgumentParser]
    place: Callable[[Path], ClusterFolder]
    cluster: Callable[[Path, dict[str, Any]], DaemonCluster]
    """Gives the cluster of a folder, as remembered but for what was told."""
    variables: str
    """What the names of its own variables begin with."""
    about_down: str

    def up(self) -> int:
        """Bring a cluster up and print what to export."""
        told = vars(self.parser().parse_args())
        # Typed in a job of another cluster, daemons would inherit what marks that job's processes.
        for name in [name for name in os.environ if name.startswith(self.variables)]:
            del os.environ[name]
        return self._told(lambda: self._bring_up(told))

    def _bring_up(self, told: dict[str, Any]) -> None:
        install = Path(__file__).parent / self.name / "install"
        if subprocess.run([install], check=False).returncode != 0:
            raise ClusterError("packages are missing")
        place, only = self.place(told.pop("folder").absolute()), told.pop("only")
        with place.alone():
            cluster = self.cluster(place.folder, told)
            starters, alive = cluster.starters(), cluster.alive()
            if alive and cluster != self.cluster(place.folder, {}):
                raise ClusterError(f"{place.folder} is up with other settings: take it down first")
            if only is not None and only not in starters:
                raise ClusterError(f"no daemon {only!r} here: there are {', '.join(starters)}")
            wanted = [only] if only is not None else list(starters)
            cluster.look_at_ports([name for name in wanted if name not in alive])
            if not alive:
                cluster.look_at_machine()
            cluster.lay_out()
            for name in wanted:
                if name not in alive:
                    self._say(f"starting {name}")
                starters[name]()
            if only is None:
                cluster.await_ready()
        self._say(f"up: {place.folder}, ports {', '.join(map(str, cluster.ports.values()))}")
        for name, value in cluster.environment.items():
            print(f"export {name}={value}")

    def down(self) -> int:
        """Take a cluster down."""
        made = argparse.ArgumentParser(
            prog=f"clusters/{self.name}/down",
            description=f"Take a cluster down. {self.about_down}",
        )
        default = default_folder(self.name)
        made.add_argument("folder", nargs="?", type=Path, default=default)
        made.add_argument("--wipe", action="store_true", help="delete the folder, too")
        told = made.parse_args()
        return self._told(lambda: self._take_down(self.place(told.folder.absolute()), told.wipe))

    def _take_down(self, place: ClusterFolder, wipe: bool) -> None:
        if not place.remembered.exists():
            self._say(f"no cluster in {place.folder}")
            return
        with place.alone():
            cluster = self.cluster(place.folder, {})
            cluster.give_up()
            for name in reversed(cluster.started()):
                cluster.stop(name, wipe=wipe)
            cluster.sweep()
            if wipe:
                place.wipe()
        self._say(f"down: {place.folder}" + (", wiped" if wipe else ""))

    def _told(self, what: Callable[[], None]) -> int:
        """Turn what is in the way into words and an exit code."""
        try:
            what()
        except (ClusterError, TimeoutError) as error:
            self._say(str(error))
            return 1
        return 0

    def _say(self, text: str) -> None:
        """Tell who is watching; standard output is for `eval`."""
        print(f"{self.name}: {text}", file=sys.stderr)

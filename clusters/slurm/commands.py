"""What a person types: `up` and `down`."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clusters.slurm import cgroups, leftovers
from clusters.slurm.cluster import Cluster
from clusters.slurm.place import Place
from clusters.slurm.settings import ClusterError, default_folder, parser

INSTALL = Path(__file__).parent / "install"


def up() -> int:
    """Bring a cluster up and print what to export."""
    told = vars(parser().parse_args())
    # Typed in a job of another Slurm, daemons would inherit what marks that job's processes.
    for name in [name for name in os.environ if name.startswith("SLURM")]:
        del os.environ[name]
    return _told(lambda: _bring_up(told))


def _bring_up(told: dict[str, Any]) -> None:
    if subprocess.run([INSTALL], check=False).returncode != 0:
        raise ClusterError("packages are missing")
    place, only = Place(told.pop("folder").absolute()), told.pop("only")
    with place.alone():
        cluster = Cluster(place.folder, place.load(told))
        starters, alive = cluster.starters(), cluster.alive()
        if alive and cluster.settings != place.load({}):
            raise ClusterError(f"{place.folder} is up with other settings: take it down first")
        if only is not None and only not in starters:
            raise ClusterError(f"no daemon {only!r} here: there are {', '.join(starters)}")
        wanted = [only] if only is not None else list(starters)
        cluster.look_at_ports([name for name in wanted if name not in alive])
        if cluster.settings.cgroups and not alive:
            _look_at_cgroups(list(cluster.settings.nodes_and_ports))
        place.lay_out(cluster.settings)
        for name in wanted:
            if name not in alive:
                _say(f"starting {name}")
            starters[name]()
        if only is None:
            cluster.await_nodes()
    _say(f"up: {place.folder}, ports {', '.join(map(str, cluster.settings.ports.values()))}")
    for name, value in cluster.environment.items():
        print(f"export {name}={value}")


def _look_at_cgroups(nodes: list[str]) -> None:
    """Refuse before anything is started: limits that are not kept are worse than none."""
    obstacle = cgroups.obstacle()
    if obstacle is not None:
        raise ClusterError(f"memory limits cannot be enforced here: {obstacle}")
    taken = next(cgroups.folders(nodes), None)
    if taken is not None:
        raise ClusterError(f"another cluster with --cgroups uses {taken}: take it down first")


def down() -> int:
    """Take a cluster down."""
    made = argparse.ArgumentParser(
        prog="clusters/slurm/down",
        description="Take a cluster down. Jobs that run are killed, and requeued or failed as when "
        "their nodes fail; queue and accounts are there after the next `up`, unless wiped.",
    )
    made.add_argument("folder", nargs="?", type=Path, default=default_folder())
    made.add_argument("--wipe", action="store_true", help="delete the folder, too")
    told = made.parse_args()
    return _told(lambda: _take_down(Place(told.folder.absolute()), wipe=told.wipe))


def _take_down(place: Place, *, wipe: bool) -> None:
    if not place.remembered.exists():
        _say(f"no cluster in {place.folder}")
        return
    with place.alone():
        cluster = Cluster(place.folder, place.load({}))
        cluster.give_up_nodes()
        for name in reversed(cluster.started()):
            cluster.daemons.stop(name)
        leftovers.kill(cluster.environment)
        if cluster.settings.cgroups:
            cgroups.remove(list(cluster.settings.nodes_and_ports))
        if wipe:
            place.wipe()
    _say(f"down: {place.folder}" + (", wiped" if wipe else ""))


def _told(what: Callable[[], None]) -> int:
    """Turn what is in the way into words and an exit code."""
    try:
        what()
    except (ClusterError, TimeoutError) as error:
        _say(str(error))
        return 1
    return 0


def _say(text: str) -> None:
    """Tell who is watching; standard output is for `eval`."""
    print(f"slurm: {text}", file=sys.stderr)

"""What a person types: `up` and `down`."""

import argparse
import subprocess
import sys
from pathlib import Path

from clusters.slurm import cgroups, leftovers
from clusters.slurm.cluster import Cluster, ClusterError
from clusters.slurm.settings import Settings, default_folder, load, parser

INSTALL = Path(__file__).parent / "install"


def up() -> int:
    """Bring a cluster up and print what to export."""
    told = vars(parser().parse_args())
    folder, only = told.pop("folder").absolute(), told.pop("only")
    try:
        if subprocess.run([INSTALL], check=False).returncode != 0:
            return 1
        cluster = _bring_up(folder, told, only)
    except ClusterError as error:
        say(str(error))
        return 1
    for name, value in cluster.environment.items():
        print(f"export {name}={value}")
    return 0


def _bring_up(folder: Path, told: dict[str, object], only: str | None) -> Cluster:
    cluster = Cluster(folder, Settings())
    with cluster.alone():
        before = load(cluster.remembered, {})
        cluster.settings = load(cluster.remembered, told)
        starters = cluster.starters()
        alive = [name for name in cluster.daemons.names() if cluster.daemons.process(name)]
        if alive and before != cluster.settings:
            raise ClusterError(f"{folder} is up with other settings: take it down first")
        if only is not None and only not in starters:
            raise ClusterError(f"no daemon {only!r} here; there are {', '.join(starters)}")
        if cluster.settings.cgroups and not alive:
            _look_at_cgroups(cluster.settings.node_names)
        cluster.lay_out()
        cluster.configure()
        for name in [only] if only else starters:
            if name not in alive:
                say(f"starting {name}")
            starters[name]()
        if only is None:
            cluster.await_nodes()
    say(f"up: {folder}, ports {', '.join(map(str, cluster.settings.ports.values()))}")
    return cluster


def _look_at_cgroups(nodes: list[str]) -> None:
    """Refuse before anything is started: limits that are not kept are worse than none."""
    obstacle = cgroups.obstacle()
    if obstacle is not None:
        raise ClusterError(f"memory limits cannot be enforced here: {obstacle}")
    taken = next(cgroups.folders(nodes), None)
    if taken is not None:
        raise ClusterError(f"another cluster with --cgroups uses {taken}: take it down first")


def down() -> int:
    """Take a cluster down: jobs, then daemons; what it knows stays unless it is to be wiped."""
    made = argparse.ArgumentParser(prog="clusters/slurm/down", description=down.__doc__)
    made.add_argument("folder", nargs="?", type=Path, default=default_folder())
    made.add_argument("--wipe", action="store_true", help="delete the folder, too")
    told = made.parse_args()
    cluster = Cluster(told.folder.absolute(), Settings())
    if not cluster.remembered.exists():
        say(f"no cluster in {cluster.folder}")
        return 0
    with cluster.alone():
        cluster.settings = load(cluster.remembered, {})
        for name in reversed(cluster.started()):
            cluster.daemons.stop(name)
            if name == "slurmctld":
                # Nobody starts a job any more, and the accounts of all can still be written.
                leftovers.kill(cluster.environment)
        if cluster.settings.cgroups:
            cgroups.remove(cluster.settings.node_names)
        if told.wipe:
            cluster.wipe()
    say(f"down: {cluster.folder}" + (", wiped" if told.wipe else ""))
    return 0


def say(text: str) -> None:
    """Tell who is watching; standard output is for `eval`."""
    print(f"slurm: {text}", file=sys.stderr)

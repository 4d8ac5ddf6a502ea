"""The server with a cluster behind it: tasks run as array jobs of a real Slurm."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slurm_site
from slurm_cluster import SlurmCluster

from .conftest import SETTINGS, Server, clean, finished, make_server, until

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated as of 2.6.0")


@pytest.fixture(scope="module")
def on_slurm(slurm: SlurmCluster) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in slurm_site.variables(slurm).items():
            patch.setenv(name, value)
        one = make_server(SETTINGS, "--backend", "slurm")
        one.start()
        yield one
        clean(one)


def test_a_task_runs_on_the_cluster(on_slurm: Server, tmp_path: Path) -> None:
    """Three instances with resources, seen while they run; new resources, and their results."""
    conn = on_slurm.connect()
    source = conn.create_bucket("slurm-in")
    source.add_string("to be", "text")
    task = conn.create_task("on slurm", "docker-batch", 3)
    task.constants["DOCKER_CMD"] = (
        'sh -c \'cat text > out-$INSTANCE_ID; echo "$SLURM_ARRAY_TASK_ID 50%"; '
        "while [ ! -e go ]; do sleep 0.1; done; echo done >&2; [ $INSTANCE_ID != 2 ]'"
    )
    task.constants["DOCKER_PROGRESS1"] = r"(\d+)%"
    task.resources.append(source)
    task.results = conn.create_bucket("slurm-out")
    task.submit()

    def running() -> Any:
        task.update(True)
        found = task.status and task.status.running_instances_info.per_running_instance_info
        return found if found and [50.0] * 3 == [one.progress for one in found] else None

    shown = until(running, 60)
    assert "FullyExecuting" == task.state
    assert [0, 1, 2] == [one.instance_id for one in shown]
    # Its nodes are this machine: their processes are seen.
    assert all(one.current_memory_mb > 0 for one in shown)
    source.add_string("", "go")
    task.update_resources()
    finished(task, 60)
    task.download_results(str(tmp_path))

    assert ("Failure", "0-1", "2") == (
        task.state, task.status.succeeded_range, task.status.failed_range
    )  # fmt: skip
    assert {"out-0", "out-1", "out-2"} == {one.key for one in task.results.list_files()}
    assert "to be" == (tmp_path / "out-1").read_text()
    assert "0> done\n1> done\n2> done\n" == task.stderr()


def test_an_abort_reaches_the_cluster(on_slurm: Server, slurm: SlurmCluster) -> None:
    """What was aborted must hold no node: somebody else waits for it."""
    conn = on_slurm.connect()
    task = conn.create_task("to abort", "docker-batch", 2)
    task.constants["DOCKER_CMD"] = "sleep 600"
    task.submit()
    until(lambda: (task.update(True), task.state == "FullyExecuting")[1], 60)
    assert "" != slurm.run("squeue", "-h", "-t", "RUNNING")
    task.abort()

    assert "Cancelled" == finished(task, 60).state
    assert "0-1" == task.status.failed_range
    until(lambda: slurm.run("squeue", "-h") == "")

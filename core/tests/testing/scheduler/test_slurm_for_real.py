"""Jobs that run for real see what Slurm would show them, and end as they end."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drover.testing._witness import is_running
from drover.testing.scheduler import Gate, SlurmScheduler, SlurmSite
from drover.testing.scheduler.slurm import Job


@pytest.fixture
def cluster() -> Iterator[SlurmScheduler]:
    """Give a cluster that runs what it is given."""
    site = SlurmSite(gres={"gpu": 2}, kill_wait_s=5.0)
    with SlurmScheduler(site, run_for_real=True) as made:
        yield made


def run(cluster: SlurmScheduler, folder: Path, text: str, *options: str, **environment: str) -> Job:
    """Run a script to its end."""
    reply = cluster.execute(
        ["sbatch", "--parsable", *options],
        read_input=f"#!/bin/sh\n{text}\n".encode,
        environment={"PATH": os.environ["PATH"], **environment},
        cwd=str(folder),
    )
    assert 0 == reply.code, reply.errors
    cluster.advance(1.0)
    cluster.settle()
    return cluster.jobs[-1]


def variables(path: Path) -> dict[str, str]:
    """Read what `env` has written."""
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


@pytest.mark.parametrize(
    ("text", "state", "status"),
    [
        ("exit 0", "COMPLETED", 0),
        ("exit 7", "FAILED", 7 << 8),
        ("exit 137", "FAILED", 137 << 8),
        ("kill -9 $$", "FAILED", 9),
    ],
)
def test_it_ends_as_its_script_ends(
    cluster: SlurmScheduler, tmp_path: Path, text: str, state: str, status: int
) -> None:
    job = run(cluster, tmp_path, text)

    assert (state, status) == (job.state, job.exit_status)


def test_its_output_goes_where_it_should(cluster: SlurmScheduler, tmp_path: Path) -> None:
    """Patterns are filled in; without any there is one file for both streams."""
    run(cluster, tmp_path, "echo out; echo err >&2")
    run(cluster, tmp_path, "echo out; echo err >&2", "-o", "%x-%4j.o", "-e", "%u.e", "-J", "n")

    assert "out\nerr\n" == (tmp_path / "slurm-1.out").read_text()
    assert "out\n" == (tmp_path / "n-0002.o").read_text()
    assert ["err\n"] == [path.read_text() for path in tmp_path.glob("*.e")]


def test_output_is_appended_where_it_was_asked_for(cluster: SlurmScheduler, tmp_path: Path) -> None:
    for options in ((), ("--open-mode=append",), ("--open-mode=append",)):
        run(cluster, tmp_path, "echo x", "-o", "out", *options)

    assert "x\nx\nx\n" == (tmp_path / "out").read_text()


def test_output_that_cannot_be_opened_is_a_failed_launch(
    cluster: SlurmScheduler, tmp_path: Path
) -> None:
    """As measured: 0:53, and the script never runs."""
    job = run(cluster, tmp_path, "touch ran", "-o", "/nonexistent/x")

    assert ("FAILED", "JobLaunchFailure", 53) == (job.state, job.reason, job.exit_status)
    assert not (tmp_path / "ran").exists()


def test_a_missing_interpreter_is_exit_code_2(cluster: SlurmScheduler, tmp_path: Path) -> None:
    """As measured."""
    reply = cluster.execute(
        ["sbatch", "-o", "/dev/null"], read_input=lambda: b"#!/nonexistent\n", cwd=str(tmp_path)
    )
    cluster.advance(1.0)

    assert 0 == reply.code
    assert ("NonZeroExitCode", 2 << 8) == (cluster.jobs[0].reason, cluster.jobs[0].exit_status)


def test_a_missing_folder_is_no_failure(cluster: SlurmScheduler, tmp_path: Path) -> None:
    """Slurm runs the job in /tmp and says nothing: a backend has to look itself."""
    job = run(cluster, tmp_path, f"pwd >{tmp_path}/where", "-o", "/dev/null", "-D", "/nonexistent")

    assert "COMPLETED" == job.state
    assert "/nonexistent" != (tmp_path / "where").read_text().strip()


def test_a_job_knows_who_it_is(cluster: SlurmScheduler, tmp_path: Path) -> None:
    """The wrapper names itself by these."""
    run(cluster, tmp_path, "env >out", "-J", "me", "-n", "3", "-c", "2", "--gpus=2")
    seen = variables(tmp_path / "out")

    assert {
        "SLURM_JOB_ID": "1",
        "SLURM_JOB_NAME": "me",
        "SLURM_NTASKS": "3",
        "SLURM_CPUS_PER_TASK": "2",
        "SLURM_CPUS_ON_NODE": "6",
        "SLURM_JOB_NODELIST": "node1",
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "CUDA_VISIBLE_DEVICES": "0,1",
        "ENVIRONMENT": "BATCH",
    }.items() <= seen.items()
    assert not {"SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT"} & set(seen)


def test_a_task_knows_which_it_is(cluster: SlurmScheduler, tmp_path: Path) -> None:
    """The array's id and its index name it, its own id does not."""
    run(cluster, tmp_path, 'env >"$SLURM_ARRAY_TASK_ID.env"', "--array=2-6:2")
    seen = variables(tmp_path / "4.env")

    assert ["2.env", "4.env", "6.env"] == sorted(path.name for path in tmp_path.glob("*.env"))
    assert ("1", "4", "3", "2", "6", "2") == tuple(
        seen[f"SLURM_ARRAY_{name}"]
        for name in ("JOB_ID", "TASK_ID", "TASK_COUNT", "TASK_MIN", "TASK_MAX", "TASK_STEP")
    )
    assert {"slurm-1_2.out", "slurm-1_4.out"} < {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("option", "given", "seen"),
    [
        ("--export=ALL", {"MINE": "1"}, {"MINE": "1"}),
        ("--export=NONE", {"MINE": "1"}, {}),
        ("--export=NONE,", {"MINE": "1"}, {}),
        ("--export=MINE", {"MINE": "1", "YOURS": "2"}, {"MINE": "1"}),
        ("--export=MINE=3,YOURS", {"YOURS": "2"}, {"MINE": "3", "YOURS": "2"}),
    ],
)
def test_the_environment_that_is_exported(
    cluster: SlurmScheduler,
    tmp_path: Path,
    option: str,
    given: dict[str, str],
    seen: dict[str, str],
) -> None:
    """SLURM_* goes along whatever is said: that is how a binding of an outer job leaks in."""
    run(cluster, tmp_path, "/usr/bin/env >out", option, SLURM_CPU_BIND="outer", **given)
    found = variables(tmp_path / "out")

    assert seen == {name: found[name] for name in ("MINE", "YOURS") if name in found}
    assert "outer" == found["SLURM_CPU_BIND"]


def test_a_cancel_sends_term_and_then_kill(cluster: SlurmScheduler, tmp_path: Path) -> None:
    """KillWait seconds lie between; meanwhile the job is COMPLETING."""
    gate = Gate(tmp_path / "gate")
    text = f"trap '' TERM\n{' '.join(repr(word) for word in gate.argv)}"
    cluster.execute(
        ["sbatch", "-o", "/dev/null"],
        read_input=f"#!/bin/sh\n{text}\n".encode,
        cwd=str(tmp_path),
    )
    cluster.advance(1.0)
    gate.await_start()
    cluster.execute(["scancel", "1"])
    cluster.advance(4.9)
    assert "COMPLETING" == cluster.job(1).shown
    cluster.advance(0.2)
    cluster.settle()

    assert ("CANCELLED", 9) == (cluster.job(1).state, cluster.job(1).exit_status)


def test_virtual_time_waits_for_the_dying(cluster: SlurmScheduler, tmp_path: Path) -> None:
    """Who looks a virtual minute after a cancel must not see a job that still dies."""
    gate = Gate(tmp_path / "gate")
    words = " ".join(repr(word) for word in gate.argv)
    script = f"#!/bin/sh\ntrap 'sleep 0.2; exit 5' TERM\n{words}\n"
    cluster.execute(["sbatch"], read_input=script.encode, cwd=str(tmp_path))
    cluster.advance(1.0)
    gate.await_start()
    cluster.change_site(kill_wait_s=60.0)
    cluster.execute(["scancel", "1"])
    cluster.advance(59.0)

    assert ("CANCELLED", 5 << 8) == (cluster.job(1).shown, cluster.job(1).exit_status)


def test_a_time_limit_ends_a_job(cluster: SlurmScheduler, tmp_path: Path) -> None:
    """At the next look after it has passed."""
    gate = Gate(tmp_path / "gate")
    script = "#!/bin/sh\nexec " + " ".join(repr(word) for word in gate.argv) + "\n"
    cluster.execute(["sbatch", "-t", "1"], read_input=script.encode, cwd=str(tmp_path))
    cluster.advance(1.0)
    gate.await_start()
    cluster.advance(58.0)
    assert "RUNNING" == cluster.job(1).shown
    cluster.advance(40.0)
    cluster.settle()

    assert ("TIMEOUT", "TimeLimit") == (cluster.job(1).state, cluster.job(1).reason)


def test_a_requeued_job_runs_again(cluster: SlurmScheduler, tmp_path: Path) -> None:
    """Under the same id, and it can tell."""
    gate = Gate(tmp_path / "gate")
    words = " ".join(repr(word) for word in gate.argv)
    script = f'#!/bin/sh\nenv >"run$SLURM_RESTART_COUNT"\nexec {words}\n'
    cluster.execute(["sbatch"], read_input=script.encode, cwd=str(tmp_path))
    cluster.advance(1.0)
    gate.await_start()
    cluster.execute(["scontrol", "requeue", "1"])
    cluster.until(lambda: cluster.job(1).shown == "PENDING")
    gate.give_up()
    cluster.advance(130.0)
    gate.await_start(2)
    gate.leave(4)
    cluster.settle()

    assert "1" == variables(tmp_path / "run1")["SLURM_RESTART_COUNT"]
    assert ("FAILED", 4 << 8, 1) == (
        cluster.job(1).state,
        cluster.job(1).exit_status,
        cluster.job(1).restarts,
    )


def test_what_it_used_is_in_accounting(cluster: SlurmScheduler, tmp_path: Path) -> None:
    """Memory and processor time, of the batch step."""
    run(cluster, tmp_path, "exit 0", "-o", "/dev/null")
    cluster.advance(5.0)
    query = ["sacct", "-n", "-P", "--noconvert", "-j", "1", "-o", "JobID,MaxRSS,TotalCPU"]
    job, step = cluster.execute(query).output.decode().splitlines()

    assert "1||" in job
    assert "1.batch" == step.split("|")[0]
    assert int(step.split("|")[1]) > 100_000


def test_nothing_is_left_running(tmp_path: Path) -> None:
    """A test that fails half-way must not leave its jobs on the machine."""
    gate = Gate(tmp_path / "gate")
    with SlurmScheduler(run_for_real=True, auto=False) as cluster:
        words = " ".join(repr(word) for word in gate.argv)
        script = f"#!/bin/sh\n{words}\n"
        cluster.execute(["sbatch"], read_input=script.encode, cwd=str(tmp_path))
        cluster.start(1)
        gate.await_start()

    end = time.monotonic() + 10.0
    while is_running(gate.pids[0]):
        assert time.monotonic() < end, "it was not killed"
        time.sleep(0.01)

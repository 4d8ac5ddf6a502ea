"""What stands in replies, and is no reply."""

from drover.testing.scheduler import _faults as faults
from drover.testing.scheduler.slurm.trials._stage import Play, Stage, plain, trial


@trial()
def wild_neighbours(stage: Stage) -> Play:
    """Other jobs have bars, tabs, newlines and bad bytes in names, comments and reasons."""
    for text in ("a|b|c", "a\nb", "a\tb", "bad \udcff\udcfe bytes", "(", "%j %i", "", " "):
        stage.neighbour(text, comment=text)
    stage.neighbour("reason", reason="ReqNodeNotAvail, UnavailableNodes:node1|2")
    yield from plain(stage)


@trial()
def noise(stage: Stage) -> Play:
    """Commands print a line of their own before what was asked for, and on standard error."""
    line = b"*** maintenance on Tuesday | see https://example.org ***\n"
    stage.slurm.faults.add("*", faults.add_noise(line, errors=line), times=None)
    yield from plain(stage)


@trial()
def bad_bytes(stage: Stage) -> Play:
    """Commands print bytes that are no UTF-8."""
    line = b"\xff\xfe\x80 caf\xe9\n"
    stage.slurm.faults.add("*", faults.add_noise(line, errors=line), times=None)
    yield from plain(stage)


@trial()
def repeated_rows(stage: Stage) -> Play:
    """Listings show every job twice."""
    stage.slurm.faults.add("*", faults.repeat_rows(), times=None)
    yield from plain(stage)


@trial()
def shuffled_rows(stage: Stage) -> Play:
    """Listings come in another order each time."""
    for number in range(5):
        stage.neighbour(f"neighbour{number}")
    stage.slurm.faults.add("*", faults.shuffle_rows(), times=None)
    yield from plain(stage)


@trial(
    caller={
        "SQUEUE_FORMAT": "%j",
        "SQUEUE_STATES": "PD",
        "SACCT_FORMAT": "jobname",
        "SLURM_TIME_FORMAT": "relative",
        "SBATCH_PARTITION": "nope",
        "SBATCH_EXPORT": "NONE",
        "SLURM_EXPORT_ENV": "NONE",
        "SLURM_JOB_ID": "1",
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_CPU_BIND": "quiet,mask_cpu:0x1",
    }
)
def habits(stage: Stage) -> Play:
    """The user has habits of format, partition and nested jobs in the environment."""
    yield from plain(stage)

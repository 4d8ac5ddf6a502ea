"""What accounting says of a job that was run more than once."""

from pathlib import Path

import pytest
from attrs import frozen

from drover.commandline import Known, Left, Recalled, Row
from drover.models import EndReport, Phase, Reason, Source
from drover_slurm._config import SlurmConfig
from drover_slurm._slurm import Slurm

# Slurm 22.05.8: a job of a node that died, requeued; the second run's account came 0.6 s late.
FIRST = (
    "1|NODE_FAIL|0:0|2026-11-25T23:35:51|2026-11-25T23:35:52|2026-11-25T23:35:53|"
    "00:00:00|00:00:00||1|0|node1|job@key\n"
)
SECOND = (
    "1|FAILED|7:0|2026-11-25T23:35:53|2026-11-25T23:35:55|2026-11-25T23:35:55|"
    "00:00:00|00:00:00||0|0|node2|job@key\n"
)
REQUEUED_AT = 1795649753.0
KNOWN = Known(
    token="t", folder=Path("/attempt"), key="key", index=0, size=1, label="job", native_id="1",
    submission="1", requeue=True,
)  # fmt: skip
ROW = Row(
    native_id="1", key="key", phase=Phase.ENDED, source=Source.QUEUE, word="FAILED",
    submitted_at=REQUEUED_AT, end=EndReport(source=Source.QUEUE, at=REQUEUED_AT + 2),
)  # fmt: skip


@frozen
class Reply:
    """What a command came to."""

    stdout: str
    returncode: int = 0
    stderr: str = ""
    argv: tuple[str, ...] = ("sacct",)


def recalled(stdout: str) -> Recalled:
    """Recall a job that the queue says has ended, of which accounting says something."""
    talk = Slurm("slurm", SlurmConfig()).recall([Left(known=KNOWN, row=ROW)])
    assert "sacct" == next(talk).argv[0]
    with pytest.raises(StopIteration) as end:
        talk.send(Reply(stdout))
    made: Recalled = end.value.value
    return made


def test_an_account_of_an_earlier_run_is_not_of_this_one() -> None:
    """The job ended as NODE_LOST after it had run to its end on another node."""
    late = recalled(FIRST)
    full = recalled(FIRST + SECOND)

    assert ([], {"1"}) == (list(late.rows), late.not_yet)
    assert [(None, 7)] == [(row.end.reason, row.end.exit_code) for row in full.rows if row.end]


def test_an_account_of_the_present_run_is_taken() -> None:
    """A node that dies again must be told, too."""
    dead = FIRST.replace("23:35:51", "23:35:53")

    assert [Reason.NODE_LOST] == [row.end.reason for row in recalled(dead).rows if row.end]

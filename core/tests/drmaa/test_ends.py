"""What `wait` tells of an end: exit codes true, and no failure that looks like a success."""

import pickle
from typing import Any

import pytest

from drover.drmaa.vocabulary import JobInfo, UsageUnknown, job_info, signal_name
from drover.models import JobRecord, JobSpec, Outcome, Reason, Usage
from drover.states import State

NEVER_RAN = [
    Reason.LAUNCH_FAILED, Reason.REFUSED, Reason.DEPENDENCY_FAILED, Reason.REJECTED, Reason.EXPIRED,
]  # fmt: skip
KILLED = [Reason.CANCELLED, Reason.DEADLINE, Reason.NODE_LOST, Reason.PREEMPTED]


def ended(reason: Reason, **facts: Any) -> JobRecord:
    return JobRecord(
        id="k3x9",
        backend="local",
        spec=JobSpec(argv=("x",)),
        state=State.FAILED,
        outcome=Outcome(reason=reason, **facts),
        submitted_at=1.0,
        started_at=2.0,
        ended_at=3.5,
    )


def told(info: JobInfo) -> tuple[object, ...]:
    return info[1:7]


@pytest.mark.parametrize("code", [0, 1, 3, 99, 100, 137, 255])
def test_an_exit_code_is_told_as_it_was(code: int) -> None:
    """Also 99 and 100, which Grid Engine takes for words to itself."""
    info = job_info(ended(Reason.EXITED, exit_code=code))

    assert ("k3x9", True, False, "", False, False, code) == info[:7]


@pytest.mark.parametrize(("number", "name"), [(9, "SIGKILL"), (11, "SIGSEGV"), (15, "SIGTERM")])
def test_a_signal_is_told_by_its_name(number: int, name: str) -> None:
    dumped = number == 11
    info = job_info(ended(Reason.SIGNALLED, signal=number, core_dumped=dumped))

    assert (False, True, name, dumped, False, 0) == told(info)


def test_a_signal_without_a_name() -> None:
    assert ["SIGRTMIN", "unknown signal", "unknown signal"] == [
        signal_name(number) for number in (34, 35, 200)
    ]


@pytest.mark.parametrize("reason", [Reason.WALL_TIME, Reason.OUT_OF_MEMORY])
def test_a_limit_ends_by_a_signal(reason: Reason) -> None:
    assert (False, True, "SIGKILL", False, False, 0) == told(job_info(ended(reason, signal=9)))
    assert (True, False, "", False, False, 7) == told(job_info(ended(reason, exit_code=7)))


@pytest.mark.parametrize("facts", [{"exit_code": 0}, {}])
def test_a_limit_never_looks_like_a_success(facts: dict[str, int]) -> None:
    """A job that a limit asked to go, and that went with 0, has not done its work."""
    info = job_info(ended(Reason.WALL_TIME, **facts))

    assert (False, True, "unknown signal", False, False, 0) == told(info)


@pytest.mark.parametrize("reason", [*NEVER_RAN, *KILLED])
def test_what_never_ran_or_was_ended_was_aborted(reason: Reason) -> None:
    assert (False, False, "", False, True, 0) == told(job_info(ended(reason)))


@pytest.mark.parametrize("reason", KILLED)
def test_what_was_ended_from_outside_tells_its_signal_in_the_usage_alone(reason: Reason) -> None:
    """As Grid Engine has it: neither exited nor signalled, and 137 among the usage."""
    info = job_info(ended(reason, signal=9))

    assert (False, False, "", False, True, 0) == told(info)
    assert ("137.0000", "9.0000") == (
        info.resourceUsage["exit_status"],
        info.resourceUsage["signal"],
    )


def test_a_code_of_a_job_that_was_ended_is_no_exit_status() -> None:
    """It is what the job did when it was asked to go."""
    assert (False, False, "", False, True, 0) == told(job_info(ended(Reason.DEADLINE, exit_code=5)))


def test_outputs_that_did_not_arrive_are_no_success() -> None:
    info = job_info(ended(Reason.STAGING_FAILED, exit_code=0))

    assert (False, False, "", False, True, 0) == told(info)


@pytest.mark.parametrize("reason", Reason)
def test_only_an_exit_with_0_looks_like_a_success(reason: Reason) -> None:
    """Whatever is added to the reasons: a program that asks properly must not be fooled."""
    if reason is Reason.LOST:
        return
    info = job_info(ended(reason, exit_code=0))

    assert (reason is Reason.EXITED) == (info.hasExited and info.exitStatus == 0)


@pytest.mark.parametrize("record", [ended(Reason.LOST, message="the node is gone")])
def test_a_lost_job_raises_and_keeps_its_id(record: JobRecord) -> None:
    """drmaa-python drops the id, so that nobody learns which job it was."""
    with pytest.raises(UsageUnknown, match=r"^code 24: .*k3x9.*the node is gone") as caught:
        job_info(record)

    assert "k3x9" == caught.value.jobId
    again = pickle.loads(pickle.dumps(caught.value))
    assert ("k3x9", str(caught.value)) == (again.jobId, str(again))


def test_usage_is_numbers_as_text() -> None:
    """Programs say `float(info.resourceUsage["cpu"])`."""
    usage = Usage(cpu_user_s=1.25, cpu_system_s=0.25, max_rss_bytes=2048, wall_s=1.5, host="n1")
    info = job_info(ended(Reason.EXITED, exit_code=3, usage=usage))

    assert {
        "submission_time": "1.0000",
        "start_time": "2.0000",
        "end_time": "3.5000",
        "exit_status": "3.0000",
        "ru_wallclock": "1.5000",
        "ru_utime": "1.2500",
        "ru_stime": "0.2500",
        "ru_maxrss": "2.0000",
        "cpu": "1.5000",
        "acct_cpu": "1.5000",
    } == info.resourceUsage


def test_what_the_backend_does_not_tell_is_left_out() -> None:
    info = job_info(ended(Reason.LAUNCH_FAILED))

    assert {"submission_time", "start_time", "end_time"} == set(info.resourceUsage)

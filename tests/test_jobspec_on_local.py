"""Every field of a specification, on real processes."""

import os
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import drover
from drover import (
    Condition,
    Dependency,
    JobSpec,
    Reason,
    Resources,
    Retry,
    State,
    Transfer,
    Verdict,
)
from drover.errors import (
    IllegalRequestError,
    InvalidSpecError,
    KeyConflictError,
    UnknownFieldError,
    UnknownJobError,
    UnsupportedFieldError,
)
from drover.session import Job, JobArray, Session

WAIT_S = 30.0


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with drover.open(tmp_path / "home", engine="inline") as opened:
        yield opened
        opened.cancel(opened.jobs(newest=None), grace_s=0.1)


def submit(session: Session, *argv: str, **fields: object) -> Job:
    job = session.submit(argv, **fields)
    assert isinstance(job, Job)
    return job


def story(job: Job) -> str:
    return " ".join(entry.name for entry in job.history())


def python(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


def test_an_exit_code_and_both_outputs_are_kept(session: Session) -> None:
    """The first thing anybody wants from a job."""
    job = submit(session, "sh", "-c", "echo out; echo err >&2; exit 7")

    outcome = job.wait(WAIT_S)

    assert (Reason.EXITED, 7) == (outcome.reason, outcome.exit_code)
    assert State.FAILED is job.state
    assert ("out\n", "err\n") == (job.stdout.read(), job.stderr.read())


def test_a_signal_is_told_as_a_signal(session: Session) -> None:
    """A job that was killed must not look like one that exited with 137."""
    outcome = submit(session, "sh", "-c", "kill -9 $$").wait(WAIT_S)

    assert (Reason.SIGNALLED, 9, None) == (outcome.reason, outcome.signal, outcome.exit_code)


def test_cwd_env_stdin_and_name(session: Session, tmp_path: Path) -> None:
    """What was asked for is what the command finds."""
    cwd = tmp_path / os.fsdecode(b"a 'b\"\n\xff")
    cwd.mkdir()
    (cwd / "in").write_text("question")
    job = submit(
        session,
        *python("import os,sys; print(os.environ['A'], sys.stdin.read(), os.getcwdb())"),
        cwd=cwd,
        env={"A": "x=$y\n'"},
        stdin="in",
        name="a name",
    )

    assert job.wait(WAIT_S).succeeded, story(job)

    assert f"x=$y\n' question {os.fsencode(cwd)!r}\n" == job.stdout.read()
    assert "a name" == job.name


def test_without_the_inherited_environment_only_ours_is_there(session: Session) -> None:
    """`inherit_env=False` means it."""
    job = submit(session, "/usr/bin/env", env={"ONLY": "this"}, inherit_env=False)
    assert job.wait(WAIT_S).succeeded

    names = {line.partition("=")[0] for line in job.stdout.read().splitlines()}

    assert {"ONLY", "DROVER_JOB_ID", "DROVER_ATTEMPT", "DROVER_TOKEN"} == names


def test_outputs_go_where_they_should(session: Session, tmp_path: Path) -> None:
    """Placeholders keep the elements of an array apart; join_output joins."""
    array = session.submit(
        ["sh", "-c", "echo $DROVER_ARRAY_INDEX; echo err >&2"],
        array=drover.Array(indices=[3, 5]),
        stdout="out-%a-%j",
        join_output=True,
        cwd=tmp_path,
    )
    assert isinstance(array, JobArray)
    done, pending = array.wait(WAIT_S)

    assert ([], 2) == (pending, len(done))
    for job in done:
        text = (tmp_path / f"out-{job.array_index}-{job.id}").read_text()
        assert f"{job.array_index}\nerr\n" == text


@pytest.mark.parametrize(
    ("condition", "command", "lets_go"),
    [
        (Condition.SUCCEEDED, "true", True),
        (Condition.SUCCEEDED, "false", False),
        (Condition.FAILED, "false", True),
        (Condition.FAILED, "true", False),
        (Condition.ENDED, "false", True),
    ],
)
def test_a_dependency_lets_go_or_ends_its_dependent(
    session: Session, condition: Condition, command: str, *, lets_go: bool
) -> None:
    """A dependent that can never run must not wait for ever."""
    first = submit(session, command)
    second = submit(session, "true", after=[Dependency(job=first.id, condition=condition)])
    third = submit(session, "true", after=[second])

    outcome = second.wait(WAIT_S)

    assert first.state.is_final
    if lets_go:
        assert outcome.succeeded
        assert third.wait(WAIT_S).succeeded
    else:
        assert Reason.DEPENDENCY_FAILED is outcome.reason
        assert first.id in outcome.message
        assert Reason.DEPENDENCY_FAILED is third.wait(WAIT_S).reason


def test_a_job_waits_for_a_whole_array(session: Session) -> None:
    """An array as a dependency means all its elements."""
    array = session.submit(["sh", "-c", "sleep 0.2"], array=drover.Array(indices=5))
    after = submit(session, "true", after=[array.id])

    assert after.wait(WAIT_S).succeeded

    assert {State.SUCCEEDED: 5} == array.counts
    ends = [job.ended_at or 0 for job in array]
    assert max(ends) <= (after.started_at or 0)


def test_an_array_runs_at_most_so_many_at_a_time(session: Session, tmp_path: Path) -> None:
    """`max_running` spares a licence server or a file system."""
    array = session.submit(
        python(
            "import time,os; open(f's{os.environ[\"DROVER_ARRAY_INDEX\"]}','w').write("
            "str(time.time()));time.sleep(.2);"
            "open(f'e{os.environ[\"DROVER_ARRAY_INDEX\"]}','w').write(str(time.time()))"
        ),
        array=drover.Array(indices=4, max_running=1),
        cwd=tmp_path,
    )
    assert not array.wait(WAIT_S)[1]

    spans = sorted(
        (float((tmp_path / f"s{k}").read_text()), float((tmp_path / f"e{k}").read_text()))
        for k in range(4)
    )
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


def test_a_retry_follows_a_failure_without_passing_failed(session: Session, tmp_path: Path) -> None:
    """The automatic retry is one life, and its last attempt counts."""
    job = submit(
        session,
        "sh",
        "-c",
        "test -e mark && exit 0; touch mark; exit 5",
        cwd=tmp_path,
        retry=Retry(attempts=3, backoff_s=0.1),
    )

    outcome = job.wait(WAIT_S)

    assert outcome.succeeded, story(job)
    assert 2 == job.attempt
    assert State.SUCCEEDED is job.state
    assert "Ended SubmitIntended" in story(job)


def test_retries_end(session: Session) -> None:
    """A job that always fails must fail in the end, with its own exit code."""
    job = submit(session, "sh", "-c", "exit 4", retry=Retry(attempts=3))

    assert 4 == job.wait(WAIT_S).exit_code
    assert 3 == job.attempt


def test_a_retry_only_on_what_was_named(session: Session) -> None:
    """Retrying a bug only burns time."""
    job = submit(session, "false", retry=Retry(attempts=3, on=[Reason.SIGNALLED]))
    job.wait(WAIT_S)

    assert 1 == job.attempt


def test_hold_and_release_before_the_start(session: Session) -> None:
    """A held job starts when it is released, not before."""
    job = submit(session, "true", hold=True)
    other = submit(session, "true")
    other.wait(WAIT_S)
    assert State.WAITING is job.state
    assert {"user"} == job.held_by

    assert Verdict.DONE is job.release().verdict

    assert job.wait(WAIT_S).succeeded


def test_not_before_is_kept(session: Session) -> None:
    """A start time is a promise."""
    instant = time.time() + 0.7
    job = submit(session, "true", not_before=instant)
    job.wait(WAIT_S)

    assert instant <= (job.started_at or 0)


def test_a_deadline_ends_a_job_that_runs_and_one_that_waits(session: Session) -> None:
    """Whatever state it is in, at the deadline it ends, and says so."""
    soon = time.time() + 0.7
    running = submit(session, "sleep", "60", deadline=soon)
    waiting = submit(session, "true", hold=True, deadline=soon)

    for job in (running, waiting):
        assert Reason.DEADLINE is job.wait(WAIT_S).reason, story(job)
        assert State.FAILED is job.state


def test_wall_time_and_memory_are_limits(session: Session) -> None:
    """The reason says which limit it was."""
    slow = submit(session, "sleep", "60", resources=Resources(wall_time=0.5))
    fat = submit(
        session,
        *python("import time; x = bytearray(300 * 2**20); time.sleep(60)"),
        resources=Resources(memory="100MiB"),
    )

    assert Reason.WALL_TIME is slow.wait(WAIT_S).reason
    assert Reason.OUT_OF_MEMORY is fat.wait(WAIT_S).reason


def test_inputs_and_outputs_travel(session: Session, tmp_path: Path) -> None:
    """Files are there before the command, and come back after it."""
    (tmp_path / "in.txt").write_text("data")
    job = submit(
        session,
        "sh",
        "-c",
        "tr a-z A-Z < staged.txt > made.txt",
        cwd=tmp_path,
        inputs=[Transfer(source="in.txt", target="staged.txt")],
        outputs=[Transfer(source="made.txt", target="back/out.txt")],
    )

    assert job.wait(WAIT_S).succeeded, [entry.event for entry in job.history()]

    assert "DATA" == (tmp_path / "back" / "out.txt").read_text()


def test_an_output_that_is_missing_keeps_the_exit_code(session: Session, tmp_path: Path) -> None:
    """The command did its work; what failed is the transfer."""
    job = submit(
        session,
        "true",
        cwd=tmp_path,
        outputs=[Transfer(source="missing", target="out")],
    )

    outcome = job.wait(WAIT_S)

    assert (Reason.STAGING_FAILED, 0) == (outcome.reason, outcome.exit_code)
    assert State.FAILED is job.state


def test_pre_and_post_launch_surround_the_command(session: Session, tmp_path: Path) -> None:
    """A module load before, a clean-up after, and the command's own exit code."""
    (tmp_path / "pre 1").write_text("export FROM_PRE=yes\n")
    (tmp_path / "post").write_text("echo after\n")
    job = submit(
        session,
        "sh",
        "-c",
        "echo $FROM_PRE; exit 3",
        cwd=tmp_path,
        pre_launch=tmp_path / "pre 1",
        post_launch=tmp_path / "post",
    )

    assert 3 == job.wait(WAIT_S).exit_code
    assert "yes\nafter\n" == job.stdout.read()


def test_a_job_expires_with_its_output(session: Session, tmp_path: Path) -> None:
    """What was asked to be forgotten is gone, file and record."""
    job = submit(session, "echo", "hi", expires_after=0.5)
    job.wait(WAIT_S)
    deadline = time.monotonic() + WAIT_S
    known = True
    while known and time.monotonic() < deadline:
        try:
            session.job(job.id)
            session.wait([submit(session, "true")], timeout=WAIT_S)
        except UnknownJobError:
            known = False

    assert not known


def test_a_key_gives_the_same_job_again(session: Session) -> None:
    """A script that is run twice must not submit twice."""
    first = submit(session, "true", key="mine-42")
    again = submit(session, "true", key="mine-42")

    assert first == again
    with pytest.raises(KeyConflictError):
        submit(session, "false", key="mine-42")


def test_priority_goes_first(session: Session, tmp_path: Path) -> None:
    """Among jobs that wait for a slot, the higher priority starts first."""
    cpus = os.cpu_count() or 1
    gate = tmp_path / "gate"
    blocker = submit(
        session,
        "sh",
        "-c",
        f"until test -e {gate}; do sleep 0.05; done",
        resources=Resources(cpus=cpus),
    )
    deadline = time.monotonic() + WAIT_S
    while blocker.state is not State.RUNNING and time.monotonic() < deadline:
        session.wait([blocker], timeout=0.05)
    low = [submit(session, "true", resources=Resources(cpus=cpus)) for _ in range(3)]
    high = submit(session, "true", resources=Resources(cpus=cpus, priority=5))
    while high.state is not State.QUEUED and time.monotonic() < deadline:
        session.wait([blocker], timeout=0.05)
    gate.touch()
    session.wait([*low, high], timeout=WAIT_S)

    assert all((high.started_at or 0) <= (job.started_at or 0) for job in low)


def test_what_can_never_fit_is_refused_at_once(session: Session) -> None:
    """A job that would wait for ever must not be accepted."""
    with pytest.raises(UnsupportedFieldError) as caught:
        submit(session, "true", resources=Resources(cpus=100_000))

    assert "resources.cpus" in str(caught.value)
    assert not session.jobs()


@pytest.mark.parametrize(
    "fields",
    [
        {"resources": Resources(account="a")},
        {"resources": Resources(reservation="r")},
        {"resources": Resources(queue="q")},
        {"resources": Resources(nodes=2)},
        {"requeue": True},
        {"container": "image"},
        {"launcher": "nonesuch"},
        {"period": 60},
        {"native": {"local": {"nonesuch": 1}}},
    ],
)
def test_what_local_cannot_do_is_refused_with_a_reason(
    session: Session, fields: dict[str, object]
) -> None:
    """Nothing is ignored in silence."""
    with pytest.raises(UnsupportedFieldError) as caught:
        submit(session, "true", **fields)

    assert all(why for _, why in caught.value.refused)


def test_bad_fields_name_what_is_meant(session: Session) -> None:
    """A typing error is answered with the nearest word."""
    with pytest.raises(UnknownFieldError, match="stdout"):
        submit(session, "true", stdoutt="x")
    with pytest.raises(InvalidSpecError, match=r"drover\.script"):
        session.submit("echo hi")
    with pytest.raises(UnknownJobError):
        submit(session, "true", after=["nonesuch"])


def test_cancel_has_a_verdict_wherever_the_job_is(session: Session) -> None:
    """Asked, signalled, gone: never a silent nothing."""
    running = submit(session, "sleep", "60")
    held = submit(session, "true", hold=True)
    over = submit(session, "true")
    over.wait(WAIT_S)
    deadline = time.monotonic() + WAIT_S
    while running.state is not State.RUNNING and time.monotonic() < deadline:
        session.wait([running], timeout=0.05)

    assert running.cancel().gone
    assert held.cancel().gone
    late = over.cancel()

    assert State.CANCELLED is running.state, story(running)
    assert State.CANCELLED is held.state
    assert "too late, it had ended with exit code 0" == str(late)


def test_suspend_and_resume(session: Session) -> None:
    """A suspended job makes no progress, and goes on where it was."""
    job = submit(session, "sh", "-c", "for i in 1 2 3 4 5 6; do sleep 0.2; echo $i; done")
    deadline = time.monotonic() + WAIT_S
    while not job.stdout.read() and time.monotonic() < deadline:
        session.wait([job], timeout=0.05)

    assert Verdict.DONE is job.suspend().verdict
    assert State.SUSPENDED is job.state
    seen = job.stdout.read()
    session.wait([job], timeout=0.6)
    assert seen == job.stdout.read()
    job.resume()

    assert job.wait(WAIT_S).succeeded
    assert 6 == len(job.stdout.read().split())


def test_a_retry_by_hand_opens_another_attempt(session: Session, tmp_path: Path) -> None:
    """After the cause is mended, the same job can be run again."""
    job = submit(session, "cat", "late", cwd=tmp_path)
    job.wait(WAIT_S)
    (tmp_path / "late").write_text("now")

    job.retry()

    assert job.wait(WAIT_S).succeeded
    assert "now" == job.stdout.read()
    with pytest.raises(IllegalRequestError):
        submit(session, "true", hold=True).retry()


def test_tags_names_and_states_select(session: Session) -> None:
    """Listing finds what was marked."""
    red = submit(session, "true", tags=["red"], name="r")
    submit(session, "true", tags=["blue"])
    session.wait(session.jobs(), timeout=WAIT_S)

    assert [red] == session.jobs(tag="red")
    assert [red] == session.jobs(name="r")
    assert 2 == len(session.jobs(state=State.SUCCEEDED))
    assert {State.SUCCEEDED: 1} == session.counts(tag="red")


def test_a_purge_forgets_job_and_output(session: Session) -> None:
    """Nothing of a purged job is left."""
    job = submit(session, "echo", "hi")
    job.wait(WAIT_S)

    assert 1 == session.purge(jobs=[job])

    with pytest.raises(UnknownJobError):
        session.job(job.id)


def test_the_doctor_finds_the_journal_true(session: Session) -> None:
    """Replaying the journal gives every job as it is."""
    array = session.submit(["true"], array=drover.Array(indices=3), retry=Retry(attempts=2))
    failing = session.submit(["false"], retry=Retry(attempts=2), tags=["x"])
    session.wait([array, failing], timeout=WAIT_S)

    findings = session.doctor()

    assert not [row for row in findings if row.health == "error"], findings
    assert any("replaying it gives all 4 jobs" in row.message for row in findings)


def test_a_plan_tells_totals_and_command(session: Session) -> None:
    """What would happen is told before it does."""
    plan = session.plan(
        JobSpec(argv=("echo", "a b"), resources=Resources(tasks=2, memory="1GiB")), "local"
    )

    assert plan.command[-2:] == ("echo", "a b") or plan.command[-1] == "a b"
    assert {"argv", "resources.tasks", "resources.memory"} <= {row.field for row in plan.fields}
    assert plan.totals

"""What the engine makes of what is seen, of what is not, and of time."""

from typing import Any

import pytest
from attrs import evolve

from drover.commandline import claims
from drover.models import (
    Claim,
    EndReport,
    JobSpec,
    Observed,
    Phase,
    Reason,
    Retry,
    Source,
    StageAnswer,
    Verb,
)
from drover.states import State

Bench = Any


# Absence is not evidence


def test_a_job_that_is_not_listed_is_lost_after_the_grace(bench: Bench) -> None:
    bench.capable(missing_grace_s=60.0)
    job = bench.placed(Phase.RUNNING)
    bench.world.rows.clear()
    bench.advance(55)
    assert State.RUNNING is job.state
    bench.advance(10)

    assert (State.LOST, Reason.LOST) == (job.state, job.outcome.reason)


def test_a_record_of_the_start_does_not_keep_a_job_alive(bench: Bench) -> None:
    """What lies in a folder since the start says nothing of what became of the job."""
    bench.capable(claim=Claim.DIRECTORY, missing_grace_s=60.0)
    job = bench.placed(Phase.RUNNING)
    bench.world.see(job.record.token, Phase.RUNNING, source=Source.EXIT_RECORD)
    bench.advance(55)
    assert State.RUNNING is job.state
    bench.advance(10)

    assert (State.LOST, Reason.LOST) == (job.state, job.outcome.reason)


def test_the_grace_runs_only_while_queries_succeed(bench: Bench) -> None:
    """Unlisted, then minutes without a scheduler: that is a short absence, not a long one."""
    bench.capable(missing_grace_s=60.0)
    job = bench.placed(Phase.RUNNING)
    bench.world.rows.clear()
    bench.advance(20)
    for _ in range(400):
        bench.rewrite(observe=lambda _: None)
    bench.advance(400)
    bench.world.answers["drover_observe"].clear()
    bench.advance(5)
    assert State.RUNNING is job.state
    bench.advance(60)

    assert State.LOST is job.state


def test_a_query_that_fails_says_nothing(bench: Bench) -> None:
    """A scheduler in maintenance for a day must not lose ten thousand jobs."""
    bench.capable(missing_grace_s=10.0)
    job = bench.placed(Phase.RUNNING)

    def fail(_attempts: object) -> None:
        message = "squeue: error"
        raise OSError(message)

    for _ in range(20):
        bench.rewrite(observe=fail)
        bench.rewrite(observe=lambda _: None)
        bench.rewrite(observe=lambda _: Observed(complete=False))
    bench.advance(200)

    assert State.RUNNING is job.state


def test_a_job_that_is_listed_again_is_not_missing(bench: Bench) -> None:
    """The grace is one span, not a sum of moments."""
    bench.capable(missing_grace_s=10.0)
    job = bench.placed(Phase.RUNNING)
    row = bench.world.rows[job.record.token]
    for _ in range(5):
        bench.world.rows.clear()
        bench.advance(6)
        bench.world.rows[row.token] = row
        bench.advance(6)

    assert State.RUNNING is job.state


def test_a_foreign_row_is_no_sign_of_life(bench: Bench) -> None:
    """A native id that was handed out again names somebody else's job."""
    bench.capable(missing_grace_s=10.0)
    job = bench.placed(Phase.RUNNING)
    bench.world.rows[job.record.token] = evolve(
        bench.world.end(job.record.token), native_id="another"
    )
    bench.advance(20)

    assert State.LOST is job.state


def test_late_evidence_revives_a_lost_job(bench: Bench) -> None:
    bench.capable(missing_grace_s=10.0, push=True)
    job = bench.placed()
    bench.crash()
    kept = dict(bench.world.rows)
    bench.world.rows.clear()
    bench.advance(60)
    assert State.LOST is job.state, bench.story()
    bench.world.rows.update(kept)
    bench.contexts[-1].report([bench.world.end(job.record.token, 3)])
    bench.settle()

    assert (State.FAILED, 3) == (job.state, job.outcome.exit_code)


def test_evidence_on_an_older_attempt_moves_nothing(bench: Bench) -> None:
    """The end of attempt 1 must not end attempt 2, whatever it says."""
    bench.capable(push=True)
    job = bench.placed(retry=Retry(attempts=2))
    first = job.record.token
    bench.contexts[-1].report([bench.world.end(first, 1)])
    bench.settle()
    assert (State.QUEUED, 2) == (job.state, job.attempt)
    bench.contexts[-1].report([bench.world.end(first, 0)])
    bench.settle()

    assert (State.QUEUED, 2) == (job.state, job.attempt)
    assert [1] == [fact.attempt for fact in bench.facts(job, "EvidenceNoted")]


# Two channels


def told(bench: Bench, job: Any, source: Source, code: int = 0) -> None:
    report = EndReport(source=source, at=bench.clock.time(), exit_code=code)
    bench.world.see(job.record.token, Phase.ENDED, source=source, end=report)


def test_both_channels_decide_together(bench: Bench) -> None:
    bench.capable(settle_s=30.0)
    job = bench.placed(Phase.RUNNING)
    told(bench, job, Source.QUEUE, 3)
    bench.advance(5)
    assert State.COMPLETING is job.state
    told(bench, job, Source.EXIT_RECORD, 3)
    bench.advance(5)

    assert (State.FAILED, 3, 2) == (job.state, job.outcome.exit_code, len(job.outcome.evidence))


def test_a_success_that_nobody_confirms_is_lost(bench: Bench) -> None:
    """A scheduler that cleans up after a crash says 0 of what never ran."""
    bench.capable(settle_s=30.0)
    job = bench.placed(Phase.RUNNING)
    told(bench, job, Source.QUEUE, 0)
    bench.advance(60)

    assert State.LOST is job.state


def test_a_success_with_its_claim_is_one(bench: Bench) -> None:
    bench.capable(settle_s=30.0, claim=Claim.DIRECTORY)
    job = bench.placed(Phase.RUNNING)
    folder = bench.home / "jobs" / job.id / "1"
    folder.mkdir(parents=True)
    assert claims.take(folder, claims.Owner(native_id=job.native_id)).won
    told(bench, job, Source.QUEUE, 0)
    bench.advance(60)

    assert State.SUCCEEDED is job.state, bench.story()


@pytest.mark.parametrize("heals", [True, False])
def test_a_claim_that_cannot_be_read_is_waited_for(bench: Bench, heals: bool) -> None:
    """The engine died of it, and whoever started the next one saw that die as well."""
    bench.capable(settle_s=30.0, claim=Claim.DIRECTORY, missing_grace_s=60.0)
    job = bench.placed(Phase.RUNNING)
    folder = bench.home / "jobs" / job.id / "1"
    folder.mkdir(parents=True)
    claims.take(folder, claims.Owner(native_id=job.native_id))
    claim = (folder / "claim.0").rename(folder / "kept")
    (folder / "claim.0").symlink_to("claim.0")
    told(bench, job, Source.QUEUE, 0)
    bench.advance(60)
    assert State.COMPLETING is job.state, bench.story()
    if heals:
        claim.rename(folder / "claim.0")
    bench.advance(60)

    assert (State.SUCCEEDED if heals else State.LOST) is job.state, bench.story()


def test_the_settle_time_stands_still_while_queries_fail(bench: Bench) -> None:
    """The second channel cannot speak through a line that is down."""
    bench.capable(settle_s=10.0)
    job = bench.placed(Phase.RUNNING)
    told(bench, job, Source.QUEUE, 3)
    bench.advance(2)
    for _ in range(40):
        bench.rewrite(observe=lambda _: None)
    bench.advance(30)
    assert State.COMPLETING is job.state, bench.story()
    bench.world.answers["drover_observe"].clear()
    bench.advance(20)

    assert State.FAILED is job.state


def test_a_restart_takes_back_the_end(bench: Bench) -> None:
    bench.capable(settle_s=30.0, restart=True)
    job = bench.placed(Phase.RUNNING, requeue=True)
    told(bench, job, Source.QUEUE, 1)
    bench.advance(3)
    bench.world.see(job.record.token, Phase.RUNNING, restart=1, end=None)
    bench.advance(3)

    assert (State.RUNNING, 1, 1) == (job.state, job.restart, job.attempt)


# Time


def test_a_deadline_ends_what_runs(bench: Bench) -> None:
    job = bench.placed(Phase.RUNNING, deadline=bench.clock.time() + 50)
    bench.advance(45)
    assert [] == bench.world.called("drover_control")
    bench.advance(10)
    ((order,),) = bench.world.called("drover_control")
    assert ("engine", Verb.CANCEL) == (order.request.by, order.request.verb)
    bench.world.end(job.record.token, exit_code=None, signal=15, reason=Reason.CANCELLED)
    bench.advance(5)

    assert (State.FAILED, Reason.DEADLINE) == (job.state, job.outcome.reason)


@pytest.mark.parametrize("fields", [{"hold": True}, {"not_before": 1_700_000_500.0}])
def test_a_deadline_ends_what_waits(bench: Bench, fields: dict[str, Any]) -> None:
    job = bench.submit(deadline=bench.clock.time() + 50, retry=Retry(attempts=3), **fields)
    bench.advance(60)

    assert (State.FAILED, Reason.DEADLINE, 1) == (job.state, job.outcome.reason, job.attempt)


def test_a_job_does_not_start_before_its_time(bench: Bench) -> None:
    job = bench.submit(not_before=bench.clock.time() + 50)
    bench.advance(49)
    assert State.WAITING is job.state
    bench.advance(2)

    assert State.QUEUED is job.state


def test_a_job_that_expired_is_forgotten(bench: Bench) -> None:
    job = bench.placed(expires_after=100)
    bench.world.end(job.record.token)
    bench.advance(50)
    assert State.SUCCEEDED is job.state
    bench.advance(100)

    assert [] == bench.session.jobs()
    ((attempt,),) = bench.world.called("drover_forget")
    assert (job.id, 1) == (attempt.job_id, attempt.number)


def test_all_attempts_of_a_job_are_forgotten(bench: Bench) -> None:
    """The output of the first would stay on the disk for ever."""
    job = bench.placed(expires_after=100, retry=Retry(attempts=2, backoff_s=1.0))
    tokens = [job.record.token]
    bench.world.end(job.record.token, 1)
    bench.advance(5)
    tokens.append(job.record.token)
    bench.world.end(job.record.token, 1)
    bench.advance(150)

    (attempts,) = bench.world.called("drover_forget")
    assert [1, 2] == [attempt.number for attempt in attempts]
    assert tokens == [attempt.token for attempt in attempts]
    assert [True, False] == [attempt.native_id is None for attempt in attempts]


def test_a_wall_clock_that_jumps_back_holds_nothing_up(bench: Bench) -> None:
    bench.capable(missing_grace_s=10.0)
    job = bench.placed(Phase.RUNNING)
    bench.clock.jump(-3600)
    bench.world.end(job.record.token)
    bench.advance(5)

    assert State.SUCCEEDED is job.state


# Transfers


def test_transfers_come_before_and_after(bench: Bench) -> None:
    bench.capable(stage_in=True, stage_out=True)
    job = bench.placed(Phase.RUNNING, inputs=[("a", "b")], outputs=[("c", "d")])
    bench.world.end(job.record.token)
    bench.advance(5)

    hooks = [hook for hook, _ in bench.world.log if hook != "drover_observe"]
    assert ["drover_stage_in", "drover_submit", "drover_stage_out"] == hooks[1:]
    assert State.SUCCEEDED is job.state


def test_inputs_that_do_not_arrive_end_the_job_unrun(bench: Bench) -> None:
    bench.capable(stage_in=True)
    bench.rewrite(stage_in=lambda _: None)
    job = bench.placed(inputs=[("a", "b")])

    assert (State.FAILED, Reason.STAGING_FAILED, []) == (
        job.state,
        job.outcome.reason,
        bench.world.runs,
    )


def test_outputs_that_do_not_arrive_keep_the_exit_code(bench: Bench) -> None:
    bench.capable(stage_out=True)
    bench.rewrite(
        stage_out=lambda all_: [
            StageAnswer(token=one.token, ok=False, message="disk full") for one in all_
        ]
    )
    job = bench.placed(Phase.RUNNING, outputs=[("c", "d")])
    bench.world.end(job.record.token, 0)
    bench.advance(5)

    assert (State.FAILED, Reason.STAGING_FAILED, 0) == (
        job.state,
        job.outcome.reason,
        job.outcome.exit_code,
    )
    assert "disk full" in job.outcome.message


def test_transfers_are_begun_again_after_a_crash(bench: Bench) -> None:
    bench.capable(stage_in=True)
    bench.world.dies["drover_stage_in"] = "before"
    job = bench.placed(inputs=[("a", "b")])
    assert State.STAGING_IN is job.state
    bench.advance(5)

    assert State.QUEUED is job.state


def test_transfers_take_as_long_as_they_take(bench: Bench) -> None:
    """A large output on a slow file server would fail its job, and the output be lost."""
    bench.capable(stage_out=True, push=True)
    job = bench.placed(outputs=[("c", "d")])
    bench.world.hangs.add("drover_stage_out")
    report = bench.world.end(job.record.token, 0)
    bench.contexts[0].report([report])
    bench.advance(1000)

    assert State.STAGING_OUT is job.state


def test_no_job_waits_for_the_files_of_all_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a thousand jobs the first would start after the inputs of the last had come."""
    monkeypatch.setattr("drover._engine._calls.MOST_TRANSFERS", 2)
    bench.capable(stage_in=True)
    jobs = bench.session.submit_many([JobSpec(argv=["x"], inputs=[("a", "b")])] * 5)
    bench.settle()

    calls = bench.world.called("drover_stage_in")
    assert [2, 2, 1] == [len(attempts) for attempts in calls]
    assert {job.id for job in jobs} == {one.job_id for attempts in calls for one in attempts}
    assert {State.QUEUED} == {job.state for job in jobs}

"""Twins for asyncio, engines, processes."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from session_hand import WAIT_S, Hand, poll

import drover
from drover import (
    Job,
    JobSpec,
    Outcome,
    Session,
    State,
    Verdict,
)
from drover._engine import socket_path
from drover._engine._bell import Bell
from drover._store import Store
from drover.errors import EngineUnavailableError, StoreReadOnlyError

Submit = Callable[..., Job]


# Twins


def test_every_blocking_call_has_a_twin(session: Session, hand: Hand) -> None:
    async def main() -> None:
        aio = session.aio
        first = await aio.submit(["x"])
        (second,) = await aio.submit_many([JobSpec(argv=["x"])])
        assert isinstance(first, Job)
        assert isinstance(second, Job)
        assert ("x",) == (await aio.plan(["x"])).command
        assert ([], [first]) == await aio.wait([first], timeout=0)
        await asyncio.to_thread(hand.end, first, 3)
        assert 3 == (await first.aio.wait(WAIT_S)).exit_code
        await asyncio.to_thread(poll, lambda: second.state is State.RUNNING, second)
        assert Verdict.DONE is (await second.aio.suspend()).verdict
        assert Verdict.DONE is (await second.aio.cancel(timeout=WAIT_S)).verdict
        assert {first, second} == {job async for job in aio.as_completed([first, second])}
        assert [first] == await aio.retry(first)
        assert Verdict.DONE is (await aio.cancel(first))[0].verdict
        assert 2 == await aio.purge()

    asyncio.run(main())


def test_a_cancelled_task_leaves_the_job(session: Session, submit: Submit, hand: Hand) -> None:
    job = submit()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(job.aio.wait(1.0), 0.05)

    asyncio.run(main())
    assert not job.state.ends_wait
    hand.end(job)
    assert 0 == job.wait(WAIT_S).exit_code


def test_waiting_tasks_keep_no_other_call(session: Session, submit: Submit, hand: Hand) -> None:
    """Those who wait for jobs would keep the one who ends them from doing so."""
    jobs = [submit() for _ in range(40)]

    async def main() -> list[Outcome]:
        waits = [asyncio.create_task(job.aio.wait(WAIT_S)) for job in jobs]
        # All of them have begun, and asyncio has not so many threads.
        await asyncio.sleep(0)
        done, _ = await session.aio.wait(jobs, timeout=0.1, when="any")
        assert [] == done
        await asyncio.wait_for(session.aio.cancel(jobs), WAIT_S / 2)
        return await asyncio.gather(*waits)

    assert {"CANCELLED"} == {outcome.reason for outcome in asyncio.run(main())}


GIVES_UP = """
import asyncio, sys, drover

async def main():
    with drover.open(sys.argv[1], engine="none", backend="hand") as session:
        (job,) = session.jobs()
        try:
            await asyncio.wait_for(job.aio.wait(), 0.1)
        except TimeoutError:
            print("given up", flush=True)

asyncio.run(main())
"""


def test_a_program_that_gives_up_waiting_ends(session: Session, submit: Submit) -> None:
    """A thread of asyncio's own would be waited for, as long as the job runs."""
    submit()
    program = subprocess.run(
        [sys.executable, "-c", GIVES_UP, str(session.home)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )

    assert (0, "given up\n", "") == (program.returncode, program.stdout, program.stderr)


# Engines and stores


def test_an_inline_engine_hands_over_what_is_left(
    tmp_path: Path, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that ends must not take its jobs with it."""
    handed: list[bool] = []
    monkeypatch.setattr(
        "drover._engine.ensure", lambda store, _project: handed.append(store.lease().live)
    )
    with drover.open(tmp_path / "home", engine="inline", backend="hand") as session:
        job = session.submit(["x"])
    assert [False] == handed
    with drover.open(tmp_path / "home", engine="inline", backend="hand") as session:
        hand.end(session.job(job.id))
        session.wait([job.id], WAIT_S)

    assert [False] == handed


def test_two_inline_engines_share_a_store(session: Session, submit: Submit, hand: Hand) -> None:
    """The second finds that the first works, and works through it."""
    with drover.open(session.home, engine="inline", backend="hand") as second:
        job = second.submit(["x"])
        hand.end(job)
        assert 0 == job.wait(WAIT_S).exit_code
    other = submit()
    hand.end(other)

    assert 0 == other.wait(WAIT_S).exit_code


def test_the_second_inline_engine_works_when_the_first_has_left(tmp_path: Path, hand: Hand) -> None:
    """Its session would wait for ever for a job that nobody looks at."""
    first = drover.open(tmp_path / "home", engine="inline", backend="hand")
    with drover.open(tmp_path / "home", engine="inline", backend="hand") as second:
        first.close()
        job = second.submit(["x"])
        hand.end(job)
        assert 0 == job.wait(WAIT_S).exit_code


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_waits_is_told_that_the_inline_engine_failed(
    tmp_path: Path, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a thread of the same process: nobody starts another, and nothing would ever move."""

    def fail(_engine: object) -> bool:
        message = "a fault of ours"
        raise RuntimeError(message)

    monkeypatch.setattr("drover._engine._engine.Engine.round", fail)
    session = drover.open(tmp_path / "home", engine="inline", backend="hand")
    job = session.submit(["x"])
    with pytest.raises(EngineUnavailableError, match="a fault of ours"):
        session.wait([job], WAIT_S)
    monkeypatch.undo()
    monkeypatch.setattr("drover._engine.ensure", lambda _store, _project: None)
    session.close()


def test_an_engine_that_has_left_is_not_counted_on(
    tmp_path: Path, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between giving the lease back and letting go of its bell it hears, and does nothing more."""
    looked: list[bool] = []
    monkeypatch.setattr(
        "drover._engine.ensure", lambda store, _project: looked.append(store.lease().live)
    )
    with drover.open(tmp_path / "home", backend="hand") as session:
        bell = Bell(socket_path(session.home, session.store_id))
        session.submit(["x"])
        bell.close()

    assert [False] == looked


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path, hand: Hand) -> None:
    """Somebody ran it once with `sudo`: the log is not ours, and the job is stored already."""
    with drover.open(tmp_path / "home", backend="hand") as session:
        (session.home / "engine.log").mkdir()
        with pytest.raises(EngineUnavailableError, match=r"engine\.log"):
            session.submit(["x"])
        (session.home / "engine.log").rmdir()
        assert session.store.may_start_engine()


def test_without_an_engine_a_job_is_kept(tmp_path: Path, hand: Hand) -> None:
    with drover.open(tmp_path / "home", engine="none", backend="hand") as session:
        job = session.submit(["x"])
        assert ([], [job]) == session.wait([job], 0.05)
        assert (False, {State.NEW: 1}) == (
            session.engine_status().running,
            session.engine_status().jobs,
        )
        assert Verdict.ASKED is session.cancel([job], timeout=0.0)[0].verdict


def test_who_works_can_be_told(session: Session, submit: Submit) -> None:
    submit()
    poll(lambda: "hand" in [row.name for row in session.engine_status().backends if row.ok])
    status = session.engine_status()

    assert (True, 1) == (status.running, status.epoch)
    assert "hand" in [row.name for row in session.backends()]


def test_a_copy_is_read_and_not_written(tmp_path: Path, session: Session, submit: Submit) -> None:
    job = submit(tags=["t"])
    shutil.copytree(session.home, tmp_path / "copy", ignore=shutil.ignore_patterns("*.sock"))

    with drover.open(tmp_path / "copy", backend="hand") as copy:
        assert (True, [job.id]) == (copy.read_only, [one.id for one in copy.jobs(tag="t")])
        with pytest.raises(StoreReadOnlyError):
            copy.submit(["x"])
        with pytest.raises(StoreReadOnlyError):
            copy.cancel([job.id])
        assert ([], 1) == (copy.wait([job.id], 0.05)[0], len(copy.wait([job.id], 0.05)[1]))


READER = """
import sys, drover
with drover.open(sys.argv[1], engine="none", backend="hand") as session:
    (job,) = session.jobs()
    print("sees", job.id, flush=True)
    print(job.wait(20).exit_code)
"""


def test_another_process_waits_for_the_same_job(
    session: Session, submit: Submit, hand: Hand
) -> None:
    """It needs neither the backend nor an engine of its own."""
    job = submit()
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(session.home)], stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert f"sees {job.id}\n" == reader.stdout.readline()
    hand.end(job, 9)

    assert "9" == reader.communicate(timeout=WAIT_S)[0].strip()


def test_a_session_may_be_used_from_threads(session: Session, hand: Hand) -> None:
    hand.at_once = True

    def work(k: int) -> State:
        job = session.submit(["x"], name=f"n{k}")
        assert isinstance(job, Job)
        job.wait(WAIT_S)
        return job.state

    with ThreadPoolExecutor(8) as pool:
        assert {State.SUCCEEDED} == set(pool.map(work, range(40)))
    assert {State.SUCCEEDED: 40} == session.counts()


def test_the_store_is_closed_with_the_session(tmp_path: Path) -> None:
    with drover.open(tmp_path / "home", engine="none") as session:
        assert isinstance(session.store, Store)

    assert not [name for name in (tmp_path / "home").iterdir() if name.name.endswith("-wal")]

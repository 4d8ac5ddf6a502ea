"""The public API on a real engine in this process, with a backend that ends jobs on demand."""

import asyncio
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

import drover
from drover import (
    Array,
    Condition,
    Dependency,
    Job,
    JobArray,
    JobFailed,
    JobSpec,
    JournalEntry,
    Reason,
    Session,
    State,
    UserError,
    Verb,
    Verdict,
    WaitTimeoutError,
)
from drover._store import Store
from drover.errors import (
    IllegalRequestError,
    InvalidSpecError,
    KeyConflictError,
    StoreReadOnlyError,
    UnknownBackendError,
    UnknownFieldError,
    UnknownJobError,
    UnsupportedFieldError,
)
from drover.hookspecs import Context, hookimpl
from drover.models import (
    Answer,
    Attempt,
    Capabilities,
    EndReport,
    FieldPlan,
    Observation,
    Order,
    OrderAnswer,
    Phase,
    Plan,
    Source,
    SubmitAnswer,
    Support,
    fields_set,
)
from drover.session._waiting import Waiter
from drover.testing._installed import installed

WAIT_S = 20.0


class Hand:
    """A backend whose jobs run until the test says otherwise, or at once end with 0."""

    def __init__(self) -> None:
        self.context: Context | None = None
        self.attempts: dict[str, Attempt] = {}
        self.at_once = False

    def made(self, context: Context) -> "Hand":
        """Be the factory: one object for engine and clients, who share a process here."""
        if context.epoch:
            self.context = context
        return self

    def _report(self, phase: Phase, attempt: Attempt, **fields: Any) -> None:
        assert self.context is not None
        self.context.report([
            Observation(token=attempt.token, phase=phase, source=Source.AGENT, at=time.time(),
                        **fields)
        ])  # fmt: skip

    def end(self, job: Job, exit_code: int | None = 0, **fields: Any) -> None:
        """End a job."""
        poll(lambda: job.id in self.attempts, job)
        report = EndReport(source=Source.AGENT, at=time.time(), exit_code=exit_code)
        self._report(Phase.ENDED, self.attempts[job.id], end=evolve(report, **fields))

    def lose(self, job: Job) -> None:
        """Tell that nobody knows how a job ended."""
        self.end(job, exit_code=None, reason=Reason.LOST)

    @hookimpl
    def drover_capabilities(self) -> Capabilities:
        return Capabilities(push=True, verbs=frozenset(Verb) - {Verb.RETRY})

    @hookimpl
    def drover_plan(self, spec: JobSpec) -> Plan:
        support = {"container": Support.REFUSED, "resources.queue": Support.IGNORED}
        return Plan(
            fields=tuple(
                FieldPlan(field=name, support=support.get(name, Support.HONOURED), note="one only")
                for name in fields_set(spec)
                if name != "launcher"
            ),
            command=spec.argv,
        )

    @hookimpl
    def drover_submit(self, attempts: Sequence[Attempt]) -> list[SubmitAnswer]:
        for attempt in attempts:
            self.attempts[attempt.job_id] = attempt
            self._report(Phase.RUNNING, attempt, native_id="n")
            if self.at_once:
                end = EndReport(source=Source.AGENT, at=time.time(), exit_code=0)
                self._report(Phase.ENDED, attempt, native_id="n", end=end)
        return [
            SubmitAnswer(token=one.token, answer=Answer.ACCEPTED, native_id="n") for one in attempts
        ]

    @hookimpl
    def drover_control(self, orders: Sequence[Order]) -> list[OrderAnswer]:
        for order in orders:
            if order.request.verb.ends_job:
                report = EndReport(source=Source.AGENT, at=time.time(), signal=15)
                self._report(
                    Phase.ENDED,
                    order.attempt,
                    end=evolve(report, reason=Reason.CANCELLED, survivors=(7,)),
                )
        return [
            OrderAnswer(
                token=order.attempt.token,
                request_id=order.request.id,
                verdict=Verdict.SIGNALLED if order.request.verb.ends_job else Verdict.DONE,
            )
            for order in orders
        ]


def poll(condition: Callable[[], bool], *jobs: Job) -> None:
    """Wait for something; show the jobs' histories if it does not come."""
    ends = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > ends:
            pytest.fail("\n".join(f"{job.id}: {entry}" for job in jobs for entry in job.history()))
        time.sleep(0.005)


@pytest.fixture
def hand() -> Iterator[Hand]:
    made = Hand()
    with installed("hand", made.made):
        yield made


@pytest.fixture
def session(tmp_path: Path, hand: Hand) -> Iterator[Session]:
    with drover.open(tmp_path / "home", engine="inline", backend="hand") as opened:
        yield opened
        opened.cancel(opened.jobs(newest=None), timeout=WAIT_S)
        with opened.store.read() as reader:
            for replayed, projected in reader.replayed():
                assert replayed == projected


@pytest.fixture
def submit(session: Session) -> Callable[..., Job]:
    def one(*argv: str, **fields: Any) -> Job:
        made = session.submit(argv or ("x",), **fields)
        assert isinstance(made, Job)
        return made

    return one


Submit = Callable[..., Job]


# Waiting


def test_wait_for_one(submit: Submit, hand: Hand) -> None:
    job = submit()
    hand.end(job, 3)

    assert (3, State.FAILED) == (job.wait(WAIT_S).exit_code, job.state)
    with pytest.raises(JobFailed, match="exit code 3"):
        job.wait(check=True)


def test_wait_for_all_keeps_the_order(session: Session, submit: Submit, hand: Hand) -> None:
    jobs = [submit() for _ in range(4)]
    for job in reversed(jobs):
        hand.end(job)

    assert (jobs, []) == session.wait(jobs, WAIT_S)


def test_wait_for_any_gives_what_ended(session: Session, submit: Submit, hand: Hand) -> None:
    first, second, third = submit(), submit(), submit()
    hand.end(second)

    done, pending = session.wait([first, second, third], WAIT_S, when="any")

    assert ([second], [first, third]) == (done, pending)
    assert ([second], [first]) == session.wait([second, first], 0, when="any")


def test_wait_that_times_out_says_what_is_left(session: Session, submit: Submit) -> None:
    job = submit()

    assert ([], [job]) == session.wait([job], 0.05)
    with pytest.raises(WaitTimeoutError, match=r"still .* after 0\.05 s") as caught:
        job.wait(0.05)
    assert job.id == caught.value.job_id


def test_wait_for_nothing_is_over(session: Session) -> None:
    assert ([], []) == session.wait([])
    assert [] == list(session.as_completed([]))


def test_wait_takes_ids_arrays_and_jobs(session: Session, submit: Submit, hand: Hand) -> None:
    job = submit()
    array = session.submit(["x"], array=Array(indices=2))
    assert isinstance(array, JobArray)
    for one in (job, *array):
        hand.end(one)
    done, _ = session.wait([job.id[:8], array], WAIT_S)

    assert [job, *array] == done
    assert [f"{array.id}.0"] == [one.id for one in session.wait(f"{array.id}.0", WAIT_S)[0]]


def test_wait_for_an_unknown_job_is_refused(session: Session) -> None:
    with pytest.raises(UnknownJobError):
        session.wait(["nope"], WAIT_S)


def test_as_completed_gives_each_once_in_the_order_of_ends(
    session: Session, submit: Submit, hand: Hand
) -> None:
    jobs = [submit() for _ in range(3)]
    seen: list[Job] = []
    order = [jobs[1], jobs[2], jobs[0]]
    hand.end(order[0])
    for job in session.as_completed(jobs, WAIT_S):
        seen.append(job)
        if len(seen) < 3:
            hand.end(order[len(seen)])

    assert order == seen


def test_as_completed_ends_with_its_time(session: Session, submit: Submit) -> None:
    assert [] == list(session.as_completed([submit()], 0.05))


def test_many_threads_wait_for_one_job(session: Session, submit: Submit, hand: Hand) -> None:
    job = submit()
    with ThreadPoolExecutor(8) as pool:
        waits = [pool.submit(job.wait, WAIT_S) for _ in range(8)]
        hand.end(job, 5)

        assert [5] * 8 == [one.result(WAIT_S).exit_code for one in waits]


def test_behind_a_lost_job_wait_returns_and_names_it(
    session: Session, submit: Submit, hand: Hand
) -> None:
    """Nothing will ever come: who waits must learn what somebody has to decide."""
    first = submit()
    second = submit(after=[first.id])
    third = submit(after=[Dependency(job=second.id, condition=Condition.ENDED)])
    hand.lose(first)

    done, pending = session.wait([first, second, third], WAIT_S)

    assert ([first], [second, third]) == (done, pending)
    assert [first] == third.blockers()
    with pytest.raises(WaitTimeoutError, match=f"behind job {first.id}"):
        third.wait(WAIT_S)
    first.resolve(State.SUCCEEDED, "saw its results")
    for job in (second, third):
        hand.end(job)

    assert ([second, third], []) == session.wait([second, third], WAIT_S)


def test_a_job_that_was_purged_is_not_waited_for(
    session: Session, submit: Submit, hand: Hand
) -> None:
    """It ended and is forgotten between two looks: nobody will tell of it again."""
    job, other = submit(), submit()
    waiter = Waiter(session, [job, other])
    hand.end(job)
    job.wait(WAIT_S)
    session.purge(jobs=[job])
    assert waiter.look()

    assert [job.id] == waiter.take_ended()
    assert waiter.pending


# Submitting


def test_a_key_gives_the_same_job_again(session: Session) -> None:
    """A client that was killed after its submission can simply run again."""
    first = session.submit(["x"], key="mine", tags=["t"])

    assert first.id == session.submit(["x"], key="mine", tags=["t"]).id
    assert 1 == len(session.jobs())
    with pytest.raises(KeyConflictError, match=first.id):
        session.submit(["y"], key="mine")
    with pytest.raises(KeyConflictError):
        session.submit(["x"], key="mine", tags=["t"], env={"A": "b"})


def test_a_key_gives_the_same_array_again(session: Session) -> None:
    first = session.submit(["x"], key="mine", array=Array(indices=3))
    again = session.submit(["x"], key="mine", array=Array(indices=3))

    assert (first.id, 3) == (again.id, len(session.jobs()))
    assert isinstance(again, JobArray)


def test_a_key_holds_between_threads(session: Session) -> None:
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda _: session.submit(["x"], key="mine"), range(16)))

    assert 1 == len({job.id for job in jobs})


def test_submit_many_gives_handles_in_order(session: Session, hand: Hand) -> None:
    hand.at_once = True
    specs = [JobSpec(argv=["x"], name=f"n{k}") for k in range(50)]
    specs[7] = JobSpec(argv=["x"], name="n7", array=Array(indices=2))
    made = session.submit_many(specs)

    assert [f"n{k}" for k in range(50)] == [one.name for one in made]
    assert isinstance(made[7], JobArray)
    done, _ = session.wait(made, WAIT_S)
    assert {State.SUCCEEDED: 51} == session.counts()
    assert 51 == len(done)


def test_submit_many_stores_nothing_if_one_is_wrong(session: Session) -> None:
    specs = [JobSpec(argv=["x"]), JobSpec(argv=["x"], container="c")]

    with pytest.raises(UnsupportedFieldError):
        session.submit_many(specs)
    assert [] == session.jobs()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"container": "c"}, UnsupportedFieldError),
        ({"container": "c", "allow": ["container"]}, UnsupportedFieldError),
        ({"resources": drover.Resources(queue="q")}, UnsupportedFieldError),
        ({"launcher": "mpirun"}, UnsupportedFieldError),
        ({"bakend": "x"}, UnknownFieldError),
        ({"backend": "nowhere"}, UnknownBackendError),
        ({"tags": 3}, InvalidSpecError),
        ({"after": ["nope"]}, UnknownJobError),
        ({"parent": "nope"}, UnknownJobError),
    ],
)
def test_what_cannot_be_is_refused_and_not_stored(
    session: Session, fields: dict[str, Any], error: type[UserError]
) -> None:
    with pytest.raises(error):
        session.submit(["x"], **fields)
    assert [] == session.jobs()


def test_an_ignored_field_may_be_allowed(session: Session) -> None:
    resources = drover.Resources(queue="q")
    for allow in (["resources.queue"], "resources.queue"):
        assert ("resources.queue",) == (
            session.submit(["x"], resources=resources, allow=allow).record.allow
        )


def test_one_job_has_one_condition(session: Session, submit: Submit) -> None:
    """Of two the store would keep one, and nobody knows which."""
    first = submit()
    both = [Dependency(job=first.id), Dependency(job=first.id[:10], condition=Condition.ENDED)]

    with pytest.raises(InvalidSpecError, match="after"):
        session.submit(["x"], after=both)


def test_shortened_ids_are_completed_when_stored(submit: Submit) -> None:
    """Tomorrow the short one may fit another job."""
    first = submit()
    second = submit(after=[first.id[:10]], parent=first.id[:9])

    assert ((Dependency(job=first.id),), first.id) == (second.spec.after, second.spec.parent)


def test_a_plan_stores_nothing(session: Session) -> None:
    plan = session.plan(["x"], launcher="mpirun")

    assert ("hand", ("x",)) == (plan.backend, plan.command)
    assert ["launcher"] == [entry.field for entry in plan.refused()]
    assert [] == session.jobs()


# Reading


def test_jobs_are_listed_newest_first(session: Session, submit: Submit, hand: Hand) -> None:
    old, new = submit(tags=["t"]), submit(name="n")
    hand.end(old)
    old.wait(WAIT_S)

    assert [new, old] == session.jobs()
    assert [new] == session.jobs(newest=1)
    assert [old] == session.jobs(tag="t")
    assert [new] == session.jobs(name="n")
    assert [old] == session.jobs(state=State.SUCCEEDED)
    assert [new, old] == session.jobs(state=list(State))
    assert [] == session.jobs(backend="local")
    assert {State.SUCCEEDED: 1} == session.counts(tag="t")


def test_events_can_be_paged(session: Session, submit: Submit, hand: Hand) -> None:
    hand.at_once = True
    jobs = [submit() for _ in range(3)]
    session.wait(jobs, WAIT_S)
    everything = list(session.events())
    pages: list[JournalEntry] = []
    while page := list(session.events(pages[-1].seq if pages else 0, limit=2)):
        pages += page

    assert everything == pages
    assert sorted(entry.seq for entry in everything) == [entry.seq for entry in everything]
    assert jobs[1].history() == list(session.events(job=jobs[1]))
    assert jobs[1].history()[1:3] == list(
        session.events(job=jobs[1], since=jobs[1].history()[0].seq, limit=2)
    )


def test_a_subscriber_hears_every_line(session: Session, submit: Submit, hand: Hand) -> None:
    heard: list[JournalEntry] = []

    def listen(entry: JournalEntry) -> None:
        heard.append(entry)
        if entry.name == "Started":
            message = "oops"
            raise RuntimeError(message)

    subscription = session.subscribe(listen)
    job = submit()
    hand.end(job)
    poll(lambda: "Ended" in [entry.name for entry in heard], job)
    subscription.close()
    submit()

    assert job.history() == heard


def test_a_subscriber_may_close_itself(session: Session, submit: Submit) -> None:
    closed = threading.Event()

    def listen(_entry: JournalEntry) -> None:
        subscription.close()
        closed.set()

    subscription = session.subscribe(listen)
    submit()

    assert closed.wait(WAIT_S)


def test_a_handle_compares_by_its_job(session: Session, submit: Submit) -> None:
    job = submit()

    assert {job} == {session.job(job.id)}
    assert job != submit()
    assert job.id in repr(job)


def test_an_array_is_a_collection_of_jobs(session: Session, hand: Hand) -> None:
    array = session.submit(["x"], name="n", array=Array(indices=[3, 1]))
    assert isinstance(array, JobArray)
    for job in array:
        hand.end(job)

    assert ([f"{array.id}.3", f"{array.id}.1"], 2) == ([job.id for job in array], len(array))
    assert (1, array.id) == (array[1].array_index, array[1].array_id)
    assert 2 == len(array.wait(WAIT_S)[0])
    assert {State.SUCCEEDED: 2} == array.counts
    with pytest.raises(IndexError, match="no index 0"):
        _ = array[0]


# Asking


def test_a_cancel_says_what_came_of_it(session: Session, submit: Submit, hand: Hand) -> None:
    over, runs = submit(), submit()
    hand.end(over)
    over.wait(WAIT_S)
    poll(lambda: runs.state is State.RUNNING, runs)
    late, done = session.cancel([over, runs], timeout=WAIT_S)

    assert (Verdict.TOO_LATE, 0) == (late.verdict, late.outcome and late.outcome.exit_code)
    assert (Verdict.DONE, (7,), 15) == (
        done.verdict,
        done.survivors,
        done.outcome and done.outcome.signal,
    )
    assert State.CANCELLED is runs.state


def test_a_job_asked_twice_gets_one_verdict_each(session: Session, submit: Submit) -> None:
    job = submit()

    assert [Verdict.DONE] * 2 == [
        one.verdict for one in session.cancel([job, job.id], timeout=WAIT_S)
    ]


def test_verbs(submit: Submit) -> None:
    job = submit()
    poll(lambda: job.state is State.RUNNING, job)

    assert Verdict.DONE is job.suspend().verdict
    assert State.SUSPENDED is job.state
    assert Verdict.DONE is job.resume().verdict
    assert Verdict.DONE is job.signal(10).verdict
    assert Verdict.DONE is job.hold().verdict
    assert frozenset({"user"}) == job.held_by
    assert Verdict.DONE is job.release().verdict


def test_a_signal_needs_its_number(session: Session, submit: Submit) -> None:
    with pytest.raises(InvalidSpecError):
        session.ask(submit(), Verb.SIGNAL)
    with pytest.raises(InvalidSpecError):
        session.ask(submit(), Verb.CANCEL, signal=3)


def test_a_retry_opens_an_attempt(session: Session, submit: Submit, hand: Hand) -> None:
    job = submit()
    with pytest.raises(IllegalRequestError, match="has not ended"):
        job.retry()
    hand.end(job, 1)
    job.wait(WAIT_S)
    session.retry(job)
    poll(lambda: hand.attempts[job.id].number == 2, job)
    hand.end(job, 0)

    assert (0, 2) == (job.wait(WAIT_S).exit_code, job.attempt)


def test_a_retry_of_a_lost_job_must_be_meant(submit: Submit, hand: Hand) -> None:
    job = submit()
    hand.lose(job)
    job.wait(WAIT_S)
    with pytest.raises(IllegalRequestError, match="may_run_twice"):
        job.retry()
    assert State.LOST is job.state
    job.retry(may_run_twice=True)
    poll(lambda: job.state is State.RUNNING, job)


def test_resolve_is_for_lost_jobs(session: Session, submit: Submit, hand: Hand) -> None:
    job = submit()
    with pytest.raises(IllegalRequestError, match="only LOST"):
        job.resolve(State.FAILED)
    hand.lose(job)
    job.wait(WAIT_S)
    with pytest.raises(IllegalRequestError, match="SUCCEEDED, FAILED or CANCELLED"):
        job.resolve(State.RUNNING)
    job.resolve(State.FAILED, "no results")

    assert State.FAILED is job.state
    assert "no results" in str(session.job(job.id).wait(1).message)


def test_approval_is_for_those_that_wait_for_it(submit: Submit) -> None:
    with pytest.raises(IllegalRequestError, match="approval"):
        submit().approve()


def test_purge_forgets_what_is_over(session: Session, submit: Submit, hand: Hand) -> None:
    over, runs = submit(), submit()
    hand.end(over)
    over.wait(WAIT_S)
    with pytest.raises(IllegalRequestError):
        session.purge(jobs=[over, runs])

    assert 0 == session.purge(ended_before=0.0)
    assert (1, [runs]) == (session.purge(), session.jobs())
    with pytest.raises(UnknownJobError):
        session.job(over.id)


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

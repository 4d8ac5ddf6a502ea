"""The whole engine, its store and its sessions, on a simulated world with every fault.

What is checked after every step and at the end: no job is lost, none runs twice, every job ends
or is honestly LOST, what is told is what happened, and the journal replays.
"""

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from drover.errors import UserError
from drover.models import Claim, Condition, Dependency, Reason, Retry, Started, Verb
from drover.session import Job
from drover.states import State
from drover.testing import EngineDriver, Faults, SimulatedCluster, default_capabilities

pytestmark = pytest.mark.slow

CALM = Faults()
STORM = Faults(
    lag_s=5.0,
    refuse=0.05,
    lose_answer=0.2,
    lose_request=0.1,
    accept_late=0.5,
    late_s=30.0,
    drop_row=0.1,
    repeat_row=0.1,
    stale_row=0.1,
    unknown_word=0.1,
    foreign_row=0.1,
    drop_record=0.1,
    unreachable=0.1,
    crash=0.05,
    no_answer=0.05,
)
DAY_S = 86_400.0


class EngineMachine(RuleBasedStateMachine):
    """Users, engines that are killed, a world that lies, and an oracle that counts."""

    claim = Claim.SERVER_KEY
    push = False
    requeues = False
    jobs = Bundle("jobs")

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        """Begin with an empty store and an empty world."""
        self.home = Path(tempfile.mkdtemp(prefix="drover-stateful-"))
        cluster = SimulatedCluster(seed=seed, claim=self.claim)
        capabilities = evolve(default_capabilities(self.claim), push=self.push)
        self.driver = EngineDriver(self.home, cluster, capabilities=capabilities)
        self.session = self.driver.session
        self.codes: dict[str, int] = {}
        self.over: dict[str, tuple[int, State]] = {}

    # --- users ---------------------------------------------------------------------------------

    @rule(
        target=jobs,
        code=st.sampled_from([0, 0, 0, 3]),
        attempts=st.sampled_from([1, 1, 2]),
        hold=st.booleans(),
        stubborn=st.booleans(),
        requeue=st.booleans(),
        run_s=st.floats(0, 30),
    )
    def submit(
        self, *, code: int, attempts: int, hold: bool, stubborn: bool, requeue: bool, run_s: float
    ) -> Job:
        """Hand in a job whose end is known beforehand."""
        options = {"exit_code": code, "stubborn": stubborn, "run_s": run_s}
        job = self.session.submit(
            ["x"],
            hold=hold,
            requeue=requeue,
            retry=Retry(attempts=attempts),
            native={"simulated": options},
        )
        assert isinstance(job, Job)
        self.codes[job.id] = code
        return job

    @rule(target=jobs, first=jobs, condition=st.sampled_from(list(Condition)))
    def submit_after(self, first: Job, condition: Condition) -> object:
        """Hand in a job that waits for another."""
        try:
            job = self.session.submit(["x"], after=[Dependency(job=first.id, condition=condition)])
        except UserError:
            return multiple()
        self.codes[job.id] = 0
        return job

    @rule(
        job=jobs,
        verb=st.sampled_from(
            [Verb.CANCEL, Verb.KILL, Verb.HOLD, Verb.RELEASE, Verb.SUSPEND, Verb.RESUME]
        ),
    )
    def ask(self, job: Job, verb: Verb) -> None:
        """Ask something of a job; it may make no sense."""
        try:
            self.session.ask([job], verb, timeout=0.0)
        except UserError:
            return

    # --- the world -----------------------------------------------------------------------------

    @rule(seconds=st.floats(0, 60))
    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.driver.advance(seconds)

    @rule(steps=st.integers(0, 6))
    def crash(self, steps: int) -> None:
        """Kill the engine in the middle of something."""
        for _ in range(steps):
            self.driver.step()
        self.driver.crash()

    @rule(job=jobs)
    def lose_node(self, job: Job) -> None:
        """Let the scheduler run a job again that allows it."""
        token = job.record.token
        if self.requeues and job.spec.requeue and any(self.driver.cluster.by_token(token)):
            self.driver.cluster.requeue(token)

    @rule(faults=st.sampled_from([CALM, STORM]))
    def weather(self, faults: Faults) -> None:
        """Let everything go wrong, or nothing."""
        self.driver.set_faults(faults)

    # --- the oracle ------------------------------------------------------------------------------

    @invariant()
    def nothing_runs_twice(self) -> None:
        """One token and restart is one run; a retry that was asked for has its own token."""
        runs = Counter((run.token, run.restart) for run in self.driver.cluster.executions)
        assert set(runs.values()) <= {1}, self.driver.story(self.driver.records())
        tokens = Counter(job_id for job_id, _ in self._tokens_run())
        for record in self.driver.records():
            assert tokens[record.id] <= record.spec.retry.attempts, self.driver.story([record])

    def _tokens_run(self) -> set[tuple[str, str]]:
        return {(run.job_id, run.token) for run in self.driver.cluster.executions}

    @invariant()
    def what_is_over_stays_over(self) -> None:
        """A final state is left by no late word of anybody."""
        for record in self.driver.records():
            known = self.over.get(record.id)
            if known is not None:
                assert known == (record.attempt, record.state), self.driver.story([record])
            elif record.state.is_final:
                self.over[record.id] = (record.attempt, record.state)

    def teardown(self) -> None:
        """Let the storm pass: every job ends, and its end is the true one."""
        if not hasattr(self, "driver"):
            return
        try:
            self.driver.set_faults(CALM)
            self._let_go()
            self.driver.check_replay()
            for record in self.driver.records():
                self._judge(record.id)
        finally:
            self.driver.close()
            shutil.rmtree(self.home)

    def _let_go(self) -> None:
        """Release and resume everything; cancel what waits behind a LOST job."""
        for _ in range(3):
            self.driver.advance(120.0)
            for record in self.driver.unfinished():
                held, stopped = bool(record.hold), record.state is State.SUSPENDED
                for verb in [Verb.RELEASE] * held + [Verb.RESUME] * stopped:
                    self.ask(self._job(record.id), verb)
        self.driver.advance(600.0)
        for record in self.driver.unfinished():
            blockers = self._job(record.id).blockers()
            assert blockers, self.driver.story([record])
            self.ask(self._job(record.id), Verb.CANCEL)
        self.driver.run_until_over(DAY_S)
        self.driver.advance(120.0)

    def _job(self, job_id: str) -> Job:
        job = self.session.job(job_id)
        assert isinstance(job, Job)
        return job

    def _judge(self, job_id: str) -> None:
        record = self._job(job_id).record
        story = self.driver.story([record])
        runs = sum(ran == job_id for ran, _ in self._tokens_run())
        assert record.outcome is not None, story
        assert record.state.ends_wait, story
        if record.state is State.SUCCEEDED:
            assert (self.codes[job_id], runs) == (0, 1), story
        elif record.state is State.LOST:
            assert self.claim is Claim.NONE, story
        elif record.outcome.reason is Reason.EXITED:
            assert record.outcome.exit_code == self.codes[job_id], story
            assert runs >= 1, story
        if record.outcome.started is Started.NO and record.spec.retry.attempts == 1:
            assert runs == 0, story
        assert not record.pending, story


KINDS = {
    "server": {"claim": Claim.SERVER_KEY},
    "pushing server": {"claim": Claim.SERVER_KEY, "push": True},
    "batch system": {"claim": Claim.DIRECTORY, "requeues": True},
    "neither": {"claim": Claim.NONE},
}


@pytest.mark.parametrize("kind", KINDS)
def test_engine(kind: str) -> None:
    """Nothing is lost, nothing runs twice, nothing is guessed."""
    machine = type("Machine", (EngineMachine,), KINDS[kind])
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

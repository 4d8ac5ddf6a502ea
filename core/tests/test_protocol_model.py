"""The protocol of submission, explored whole: every order of every step, for small cases.

A world is a job's record, the engine that works on it, the calls of a dead or paused engine that
are still on their way, and the backend with its claim. `steps` lists all that may happen next; the
search visits every world that can be reached. What is asked of all of them:

* the command is started at most once per attempt that was asked for,
* from every world there is a way on to an end, and a world without steps is one,
* an attempt that was given up never starts afterwards.

The record moves by the real `drover.machine`; the rules of engine and backend are written out
here a second time, so that this is a model of the protocol and not of its code.
"""

from collections import deque
from collections.abc import Iterator

import pytest
from attrs import evolve, frozen

from drover import events as e
from drover import machine
from drover.models import (
    Claim,
    EndReport,
    JobRecord,
    JobSpec,
    Observation,
    Outcome,
    Phase,
    Reason,
    Request,
    Source,
    Started,
    Verb,
    Verdict,
)
from drover.states import ENDED, State

MOST_ENGINES = 2
MOST_LOSSES = 1


@frozen
class Native:
    """What the backend has of one token."""

    token: str
    accepted: int = 0
    """How many native jobs bear the token."""
    runs: int = 0
    ended: bool = False
    closed: bool = False
    unrun: int = 0


@frozen
class Call:
    """A call on its way to the backend, or its answer on the way back."""

    kind: str
    token: str
    answer: str = ""
    repeated: bool = False
    """A submission that was made before; a closing because one was refused."""


@frozen
class World:
    """All that matters at one instant."""

    job: JobRecord
    engine: int = 1
    """Which engine works; 0: none."""
    engines: int = 1
    fresh: bool = False
    """The intent is durable and this engine has not called yet."""
    call: Call | None = None
    """Under way for the engine that works."""
    strays: frozenset[Call] = frozenset()
    """Calls of engines that were killed or paused: they may still be carried out."""
    natives: tuple[Native, ...] = ()
    losses: int = MOST_LOSSES
    """Answers that may still get lost: without a bound there are ever more attempts."""
    wishes: frozenset[str] = frozenset({"cancel", "retry"})
    given_up: frozenset[str] = frozenset()

    def key(self) -> object:
        """Tell worlds apart by what steps depend on."""
        job = self.job
        return (
            job.state, job.attempt, job.token, job.native_id, job.unknown_since is None,
            job.token_closed, tuple((r.verb, r.verdict) for r in job.pending),
            job.outcome and job.outcome.reason, self.engine, self.engines, self.fresh, self.call,
            self.strays, self.natives, self.wishes, self.losses, self.given_up,
        )  # fmt: skip

    def native(self, token: str) -> Native:
        """Give what the backend has of a token."""
        return next((n for n in self.natives if n.token == token), Native(token))

    def with_native(self, changed: Native) -> "World":
        """Change what the backend has of a token."""
        others = tuple(n for n in self.natives if n.token != changed.token)
        rows = tuple(sorted((*others, changed), key=lambda n: n.token))
        return evolve(self, natives=rows)

    def told(self, *facts: e.Event) -> "World":
        """Fold facts into the record, as one commit."""
        unrun = {
            self.job.token
            for fact in facts
            if isinstance(fact, e.Withdrawn | e.AttemptClosed)
            or (isinstance(fact, e.Ended) and fact.outcome.started is Started.NO)
        }
        given_up = self.given_up | (unrun - {""})
        return evolve(self, job=machine.replay(self.job, facts), given_up=given_up)


def begin() -> World:
    fact = e.Submitted(at=0, spec=JobSpec(argv=("x",)), backend="b")
    return World(machine.create(fact, job_id="j", n=1))


# The backend: carries a call out, starts and ends what it has, whenever it likes.


def carried_out(world: World, call: Call, claim: Claim) -> Iterator[tuple[str, World, str]]:
    """Carry a call out: what it was, the world after it, the answer."""
    native = world.native(call.token)
    if call.kind == "submit":
        if claim is Claim.SERVER_KEY and native.closed:
            yield "refused: closed", world, "refused"
            return
        known = claim is Claim.SERVER_KEY and native.accepted
        after = world if known else world.with_native(evolve(native, accepted=native.accepted + 1))
        yield "accepted", after, "accepted"
        if not native.accepted:
            yield "refused", world, "refused"
    elif call.kind == "find":
        yield "searched", world, "found" if native.accepted else "not found"
        if native.accepted:
            yield "searched, lagging", world, "not found"
    elif call.kind == "close":
        if native.runs:
            yield "taken", world, "taken"
        else:
            yield "closed", world.with_native(evolve(native, closed=True)), "closed"
    elif call.kind == "cancel":
        gone = native.accepted and not native.ended and not native.runs
        if gone:
            after = world.with_native(evolve(native, accepted=0, closed=True))
            yield "gone before its start", after, "done"
        elif native.runs and not native.ended:
            ended = world.with_native(evolve(native, ended=True))
            yield "killed", ended, "signalled"
        else:
            yield "too late", world, "too late"


def backend_steps(world: World, claim: Claim) -> Iterator[tuple[str, World]]:
    for native in world.natives:
        waiting = native.accepted - native.runs - native.unrun
        if waiting > 0:
            # The claim: a token that was started or closed does not start again.
            held = claim is not Claim.NONE and (native.runs or native.closed)
            if held:
                left = evolve(native, unrun=native.unrun + 1)
                yield f"{native.token} leaves unrun", world.with_native(left)
            else:
                begun = evolve(native, runs=native.runs + 1)
                yield f"{native.token} starts", world.with_native(begun)
        if native.runs and not native.ended:
            yield f"{native.token} ends", world.with_native(evolve(native, ended=True))
    for call in world.strays:
        rest = evolve(world, strays=world.strays - {call})
        yield f"stray {call.kind} is lost", rest
        for what, after, _answer in carried_out(rest, call, claim):
            yield f"stray {call.kind}: {what}", after


# The engine.


def engine_steps(world: World, claim: Claim) -> Iterator[tuple[str, World]]:
    job = world.job
    if not world.engine:
        if world.engines < MOST_ENGINES or not _settled(world):
            again = evolve(world, engine=1, engines=min(world.engines + 1, MOST_ENGINES))
            yield "another engine begins", again
        return
    if world.call is not None:
        yield from _call_steps(world, world.call, claim)
    else:
        yield from _decisions(world, job, claim)
    yield from _looks(world, job)
    if world.engines < MOST_ENGINES:
        going = world.call is not None and not world.call.answer
        strays = world.strays | {world.call} if going else world.strays
        dead = evolve(world, engine=0, fresh=False, call=None, strays=strays)
        yield "the engine is killed or paused", dead


def _call_steps(world: World, call: Call, claim: Claim) -> Iterator[tuple[str, World]]:
    if not call.answer:
        for what, after, answer in carried_out(world, call, claim):
            yield f"{call.kind}: {what}", evolve(after, call=evolve(call, answer=answer))
            if call.kind in ("submit", "cancel") and world.losses:
                lost = evolve(after, call=evolve(call, answer="unknown"), losses=world.losses - 1)
                yield f"{call.kind}: {what}, the answer is lost", lost
        return
    yield f"{call.kind} is answered: {call.answer}", _answered(evolve(world, call=None), call)


def _answered(world: World, call: Call) -> World:
    job = world.job
    if job.token != call.token:
        return world
    if call.answer == "refused" and call.repeated and job.state is State.SUBMITTING:
        # It may be that the first was accepted, or still will be.
        return evolve(world, call=Call("close", call.token, repeated=True))
    if call.kind in ("submit", "find"):
        facts = _submission_answered(job, call) if job.state is State.SUBMITTING else []
    elif call.kind == "close":
        return _close_answered(world, call)
    else:
        facts = _cancel_answered(job, call)
    return world.told(*facts)


def _submission_answered(job: JobRecord, call: Call) -> list[e.Event]:
    if call.answer in ("accepted", "found"):
        return [e.Accepted(at=0, attempt=job.attempt, native_id=call.token)]
    if call.answer == "refused":
        outcome = Outcome(reason=Reason.REFUSED, started=Started.NO)
        return [e.Ended(at=0, attempt=job.attempt, outcome=outcome)]
    return [e.AnswerLost(at=0, attempt=job.attempt)]


def _close_answered(world: World, call: Call) -> World:
    job = world.job
    if job.state not in (State.LOST, State.SUBMITTING):
        return world
    if call.answer == "taken":
        if job.state is State.LOST:
            return world.told(*_settle_all(job, Verdict.REFUSED))
        return world.told(e.Accepted(at=0, attempt=job.attempt, native_id=call.token))
    closed = e.AttemptClosed(at=0, attempt=job.attempt, token=call.token)
    after = world.told(closed)
    if job.state is State.LOST:
        return after
    if call.repeated:
        outcome = Outcome(reason=Reason.REFUSED, started=Started.NO)
        return after.told(e.Ended(at=0, attempt=job.attempt, outcome=outcome))
    return after.told(e.Withdrawn(at=0, attempt=job.attempt, why="closed"))


def _cancel_answered(job: JobRecord, call: Call) -> list[e.Event]:
    if call.answer == "done" and job.state in (State.SUBMITTING, State.QUEUED):
        outcome = machine.unrun_outcome(job, Reason.CANCELLED)
        return [e.Ended(at=0, attempt=job.attempt, outcome=outcome)]
    if call.answer == "signalled" and job.pending:
        return [e.ControlSignalled(at=0, request_id=job.pending[0].id)]
    return _settle_all(job, Verdict.TOO_LATE) if call.answer == "too late" else []


def _settle_all(job: JobRecord, verdict: Verdict) -> list[e.Event]:
    return [e.ControlSettled(at=0, request_id=r.id, verdict=verdict) for r in job.pending]


def _decisions(world: World, job: JobRecord, claim: Claim) -> Iterator[tuple[str, World]]:
    if job.pending and (job.state in ENDED or job.state in (State.NEW, State.WAITING)):
        yield from _pending_of_unplaced(world, job, claim)
        return
    if job.state in (State.NEW, State.WAITING):
        intent = e.SubmitIntended(at=0, attempt=job.attempt, token=f"t{job.attempt}", batch="")
        yield "the intent is committed", evolve(world, fresh=True).told(intent)
    elif job.state is State.SUBMITTING:
        if world.fresh or claim is Claim.SERVER_KEY:
            call = Call("submit", job.token, repeated=not world.fresh)
            yield "the backend is called", evolve(world, fresh=False, call=call)
        else:
            yield "a search begins", evolve(world, call=Call("find", job.token))
            if job.unknown_since is not None:
                yield from _given_up(world, job, claim)
    elif job.pending and job.pending[0].verdict is Verdict.ASKED:
        yield "the cancel is passed on", evolve(world, call=Call("cancel", job.token))


def _given_up(world: World, job: JobRecord, claim: Claim) -> Iterator[tuple[str, World]]:
    """After the stated time without an answer."""
    if claim is Claim.DIRECTORY:
        yield "the attempt is closed", evolve(world, call=Call("close", job.token))
    elif claim is Claim.NONE:
        lost = e.Ended(at=0, attempt=job.attempt, outcome=machine.lost("no answer"))
        yield "nobody can say", world.told(lost)


def _pending_of_unplaced(world: World, job: JobRecord, claim: Claim) -> Iterator[tuple[str, World]]:
    request = job.pending[0]
    if request.verb is Verb.RETRY and job.state is State.LOST:
        if job.token_closed:
            opened = e.RetryAsked(at=0, by="u")
            yield "the retry opens", world.told(*_settle_all(job, Verdict.DONE), opened)
        elif claim is Claim.NONE:
            yield "the retry is refused", world.told(*_settle_all(job, Verdict.REFUSED))
        else:
            yield "its attempt is closed", evolve(world, call=Call("close", job.token))
    elif job.state in ENDED:
        yield "the request is settled", world.told(*_settle_all(job, Verdict.TOO_LATE))
    else:
        outcome = machine.unrun_outcome(job, Reason.CANCELLED)
        ended = e.Ended(at=0, attempt=job.attempt, outcome=outcome)
        yield "it is ended where it waits", world.told(ended)


def _looks(world: World, job: JobRecord) -> Iterator[tuple[str, World]]:
    """Observe: the queue, in any order with everything else; and, after a grace, absence."""
    if not job.token or job.state in (State.NEW, State.WAITING) or job.state.is_final:
        return
    native = world.native(job.token)
    phases: list[Phase] = []
    if native.ended:
        phases.append(Phase.ENDED)
    elif native.runs:
        phases.append(Phase.RUNNING)
    elif native.accepted > native.unrun:
        phases.append(Phase.QUEUED)
    elif native.unrun:
        phases.append(Phase.UNRUN)
    for phase in phases:
        report = EndReport(source=Source.AGENT, at=0, exit_code=0) if phase is Phase.ENDED else None
        row = Observation(
            token=job.token, phase=phase, source=Source.AGENT, at=0, native_id=job.token, end=report
        )
        facts = machine.events_of(job, row, settle_s=0)
        if facts:
            yield f"{phase} is seen", world.told(*facts)
    if not phases and job.state in (State.QUEUED, State.RUNNING):
        lost = e.Ended(at=0, attempt=job.attempt, outcome=machine.lost("not listed"))
        yield "the grace is over", world.told(lost)


# People.


def wish_steps(world: World) -> Iterator[tuple[str, World]]:
    job = world.job
    if "cancel" in world.wishes and job.state not in ENDED:
        request = Request(id="c", verb=Verb.CANCEL, by="u", at=0)
        asked = world.told(e.ControlAsked(at=0, request=request))
        yield "a cancel is asked for", evolve(asked, wishes=world.wishes - {"cancel"})
    if "retry" in world.wishes and job.state in ENDED and not job.pending:
        rest = evolve(world, wishes=world.wishes - {"retry"})
        if job.state is State.LOST:
            request = Request(id="r", verb=Verb.RETRY, by="u", at=0)
            yield (
                "a retry of a lost job is asked for",
                rest.told(e.ControlAsked(at=0, request=request)),
            )
        else:
            yield "a retry is asked for", rest.told(e.RetryAsked(at=0, by="u"))


def steps(world: World, claim: Claim) -> list[tuple[str, World]]:
    return [
        *backend_steps(world, claim),
        *engine_steps(world, claim),
        *wish_steps(world),
    ]


def _settled(world: World) -> bool:
    return world.job.state in ENDED and not world.job.pending


def explore(claim: Claim) -> tuple[dict[object, World], dict[object, list[object]]]:
    """Visit every world. Returns the worlds, and where each may go."""
    first = begin()
    worlds, ways = {first.key(): first}, dict[object, list[object]]()
    queue = deque([first])
    while queue:
        world = queue.popleft()
        ways[world.key()] = []
        for _label, after in steps(world, claim):
            key = after.key()
            ways[world.key()].append(key)
            if key not in worlds:
                worlds[key] = after
                queue.append(after)
    return worlds, ways


@pytest.fixture(scope="module", params=list(Claim))
def explored(
    request: pytest.FixtureRequest,
) -> tuple[dict[object, World], dict[object, list[object]]]:
    return explore(request.param)


Explored = tuple[dict[object, World], dict[object, list[object]]]


def test_no_attempt_starts_twice(explored: Explored) -> None:
    """The promise of the whole project, in every order of every step."""
    worlds, _ = explored

    assert len(worlds) > 500
    assert {0, 1} == {n.runs for w in worlds.values() for n in w.natives}


def test_what_was_given_up_never_starts(explored: Explored) -> None:
    """A second attempt is only safe if the first can no longer begin."""
    worlds, _ = explored
    late = [w for w in worlds.values() for n in w.natives if n.runs and n.token in w.given_up]

    assert [] == late


def test_a_job_runs_once_unless_a_retry_was_asked_for(explored: Explored) -> None:
    """Between attempts too: only a person's retry may run the command again."""
    worlds, _ = explored

    for world in worlds.values():
        asked = "retry" not in world.wishes
        assert sum(native.runs for native in world.natives) <= 1 + asked


def test_from_everywhere_there_is_a_way_to_an_end(explored: Explored) -> None:
    """No crash, at no instant, leaves a job where nothing can move it."""
    worlds, ways = explored
    back: dict[object, list[object]] = {}
    for key, nexts in ways.items():
        for after in nexts:
            back.setdefault(after, []).append(key)
    ends = deque(key for key, world in worlds.items() if _settled(world))
    reached = set(ends)
    while ends:
        for before in back.get(ends.popleft(), ()):
            if before not in reached:
                reached.add(before)
                ends.append(before)

    assert set(worlds) == reached


def test_without_the_claim_the_model_finds_a_second_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The model can fail: an attempt that is given up without being closed runs twice."""

    def careless(world: World, job: JobRecord, _claim: Claim) -> Iterator[tuple[str, World]]:
        withdrawn = e.Withdrawn(at=0, attempt=job.attempt, why="no answer")
        yield "given up", world.told(withdrawn)

    monkeypatch.setitem(globals(), "_given_up", careless)
    worlds, _ = explore(Claim.DIRECTORY)

    assert any(
        sum(native.runs for native in world.natives) > 1 and "retry" in world.wishes
        for world in worlds.values()
    )

"""Jobs that wait for jobs."""

from collections.abc import Iterable, Sequence
from typing import Final

from drover import machine
from drover._engine._desk import Desk
from drover._store import Reader, Writer
from drover.events import DependenciesMet, Ended
from drover.models import Condition, JobRecord, Outcome, Reason, Started
from drover.states import ENDED, FINAL, State

_WAITING_FOR: Final = frozenset(State) - ENDED
_FAILURES: Final = (State.FAILED, State.CANCELLED)


def fulfilled(condition: Condition, state: State) -> bool | None:
    """Judge one dependency.

    Returns:
        `True`: met. `False`: can never be met. `None`: not yet; so it stays behind a LOST job.
    """
    if state not in FINAL:
        return None
    match condition:
        case Condition.ENDED:
            return True
        case Condition.SUCCEEDED:
            return state is State.SUCCEEDED
        case Condition.FAILED:
            return state is not State.SUCCEEDED


def _array_fulfilled(reader: Reader, array_id: str, condition: Condition) -> bool | None:
    """Judge a dependency on all elements of an array."""
    if condition is Condition.SUCCEEDED and reader.has_state(array_id, _FAILURES):
        return False
    if reader.has_state(array_id, [*_WAITING_FOR, State.LOST]):
        return None
    if condition is Condition.FAILED:
        return reader.has_state(array_id, _FAILURES)
    return True


def settle(
    desk: Desk, reader: Reader, writer: Writer, ended: Sequence[JobRecord], now: float
) -> None:
    """Let go, or end, the jobs that waited for these."""
    ids = {job.id for job in ended} | {job.array_id for job in ended if job.array_id}
    waiting = {n for n, _, _ in reader.dependents_of(sorted(ids))}
    for job in _records(desk, reader, waiting):
        judge_all(desk, reader, writer, job, now)


def _records(desk: Desk, reader: Reader, ns: Iterable[int]) -> list[JobRecord]:
    wanted = set(ns)
    here = [desk.jobs[n] for n in wanted if n in desk.jobs]
    return here + reader.jobs_of(wanted - desk.jobs.keys())


def judge_all(desk: Desk, reader: Reader, writer: Writer, job: JobRecord, now: float) -> None:
    """Look at all that one job waits for."""
    if job.state not in (State.NEW, State.WAITING) or job.dependencies_met:
        return
    rows = reader.dependencies_of(job.n)
    on_ids = [on_id for on_id, _ in rows]
    arrays, states = reader.is_array(on_ids), reader.states_of(on_ids)
    met: list[str] = []
    for on_id, word in rows:
        condition = Condition(word)
        if on_id in arrays:
            verdict = _array_fulfilled(reader, on_id, condition)
        else:
            # One that was purged had ended; how, its journal can no longer tell.
            verdict = (
                fulfilled(condition, states[on_id])
                if on_id in states
                else (condition is Condition.ENDED)
            )
        if verdict is False:
            state = states.get(on_id)
            _end(desk, job, f"job {on_id} {_came_to(state)}, it had to be {condition}", now)
            return
        if verdict:
            met.append(on_id)
    if met:
        writer.meet_dependencies(job.n, met)
    if len(met) == len(rows):
        desk.put(job)
        desk.tell(job.n, DependenciesMet(at=now))


def _came_to(state: State | None) -> str:
    return f"is {state}" if state is not None else "is gone or has elements that failed"


def _end(desk: Desk, job: JobRecord, message: str, now: float) -> None:
    desk.put(job)
    outcome = Outcome(reason=Reason.DEPENDENCY_FAILED, started=Started.NO, message=message)
    desk.tell(
        job.n,
        Ended(
            at=now,
            attempt=job.attempt,
            outcome=outcome,
            retry_at=machine.retry_at(job, outcome, now),
        ),
    )

"""Jobs that wait for jobs."""

from collections.abc import Iterable, Sequence
from typing import Final

from drover import machine
from drover._engine._desk import Desk
from drover._store import Reader, Writer
from drover.events import DependenciesMet, Ended
from drover.models import Condition, JobRecord, Outcome, Predecessor, Reason, Started
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


def waiting_for(desk: Desk, reader: Reader, placed: Sequence[JobRecord]) -> list[JobRecord]:
    """Give those that wait for jobs that have just been placed."""
    waiting = {n for n, _, _ in reader.dependents_of([job.id for job in placed])}
    return _records(desk, reader, waiting)


def judge_all(
    desk: Desk,
    reader: Reader,
    writer: Writer,
    job: JobRecord,
    now: float,
    *,
    is_left: bool = False,
) -> None:
    """Look at all that one job waits for.

    Args:
        desk: Jobs as they are now.
        reader: Those that are not there, and who waits for whom.
        writer: Takes what is met.
        job: The one that waits.
        now: The time.
        is_left: Whether its backend sees to jobs that are placed there as well.
    """
    if job.state not in (State.NEW, State.WAITING) or job.dependencies_met:
        return
    rows = reader.dependencies_of(job.n)
    on_ids = [on_id for on_id, _ in rows]
    arrays, states = reader.is_array(on_ids), reader.states_of(on_ids)
    met: list[str] = []
    unmet: list[tuple[str, Condition]] = []
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
        else:
            unmet.append((on_id, condition))
    if met:
        writer.meet_dependencies(job.n, met)
    left = _predecessors(desk, reader, job, unmet) if is_left else ()
    if len(met) + len(left) == len(rows):
        desk.put(job)
        desk.tell(job.n, DependenciesMet(at=now, predecessors=left))


_THERE: Final = frozenset({State.QUEUED, State.RUNNING, State.SUSPENDED, State.COMPLETING})


def _predecessors(
    desk: Desk, reader: Reader, job: JobRecord, unmet: Sequence[tuple[str, Condition]]
) -> tuple[Predecessor, ...]:
    """List what the backend can wait for: placed there, and once ended, ended for good.

    Only for a first attempt: one that came back shows that the backend waited in vain.
    """
    if job.attempt > 1:
        return ()
    stored = reader.jobs_by_id([on_id for on_id, _ in unmet])
    out: list[Predecessor] = []
    for on_id, condition in unmet:
        known = stored.get(on_id)
        other = desk.jobs.get(known.n, known) if known is not None else None
        if (
            other is not None
            and other.backend == job.backend
            and other.state in _THERE
            and other.native_id is not None
            and other.spec.retry.attempts == 1
            and not other.spec.requeue
        ):
            out.append(
                Predecessor(
                    job=on_id, token=other.token, native_id=other.native_id, condition=condition
                )
            )
    return tuple(out)


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

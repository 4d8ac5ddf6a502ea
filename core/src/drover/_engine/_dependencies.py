"""Jobs that wait for jobs."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from drover import machine
from drover.events import Accepted, DependenciesMet, Ended, Event, Withdrawn
from drover.models import (
    Condition,
    Elements,
    JobRecord,
    JobSpec,
    Outcome,
    Predecessor,
    Reason,
    Started,
)
from drover.states import ENDED, FINAL, State

if TYPE_CHECKING:
    from drover._engine._engine import Engine

MOST_TEXT: Final = 2000
"""Characters that name the elements of an array. They stand in the journal of every job that waits
for it; only where elements ended in no order while others run does it take more."""

_WAITS: Final = (State.NEW, State.WAITING)
_WAITING_FOR: Final = frozenset(State) - ENDED
_FAILURES: Final = (State.FAILED, State.CANCELLED)
_THERE: Final = frozenset({State.QUEUED, State.RUNNING, State.SUSPENDED, State.COMPLETING})
_NOT_THERE: Final = frozenset(State) - FINAL - _THERE


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


def follow(
    this: "Engine",
    facts: Sequence[tuple[int, Event]],
    ended: Sequence[JobRecord],
    checks: Sequence[int],
) -> None:
    """Draw from what was just written what it means for jobs that wait for others.

    Args:
        this: The engine, in a transaction in which all that is on the desk was saved.
        facts: What was written.
        ended: Jobs that came to an end by it.
        checks: Positions of jobs that are to be judged in any case.
    """
    judge = _Judge(this)
    judge.let_go(ended)
    judge.look([*checks, *judge.concerned(facts)])


class _Judge:
    """Judge many jobs while nothing changes: what they have in common is read once."""

    def __init__(self, this: "Engine") -> None:
        self._this = this
        self._desk, self._reader = this.desk, this.reader
        self._verdicts: dict[tuple[str, Condition], bool | None] = {}
        self._wholes: dict[tuple[str, Condition], Predecessor | None] = {}

    # Who is to be judged

    def let_go(self, ended: Sequence[JobRecord]) -> None:
        """Let go, or end, the jobs that waited for these."""
        if not ended:
            return
        arrays = {job.array_id for job in ended if job.array_id}
        ids = sorted({job.id for job in ended} | arrays)
        waiting = {
            n
            for n, on_id, word in self._reader.dependents_of(ids)
            if on_id not in arrays or self._of_array(on_id, Condition(word)) is not None
        }
        for job in self._waiting(waiting):
            self._judge(job, is_left=False)

    def concerned(self, facts: Sequence[tuple[int, Event]]) -> list[int]:
        """Find those to be judged anew where a backend may see to what they wait for."""
        runtimes = self._this.backends.runtimes.values()
        able = {r.name for r in runtimes if r.capabilities.dependencies}
        if not able:
            return []
        found: list[int] = []
        placed: set[str] = set()
        for n, fact in facts:
            job = self._desk.jobs[n]
            if isinstance(fact, Accepted) and job.backend in able:
                placed.update((job.id, job.array_id or job.id))
            elif isinstance(fact, Withdrawn) and job.spec.after and not job.dependencies_met:
                found.append(n)
        # Behind an array all wait until its last element is there.
        parts = {i for i in self._reader.is_array(sorted(placed)) if self._is_partly_there(i)}
        waiting = {n for n, _, _ in self._reader.dependents_of(sorted(placed - parts))}
        for job in self._waiting(waiting):
            # The others wait for an end, and need not be here before there is one.
            if self._leaves(job):
                self._desk.put(job)
                found.append(job.n)
        return found

    def look(self, ns: Iterable[int]) -> None:
        """Judge those that are on the desk."""
        for n in ns:
            job = self._desk.jobs.get(n)
            if job is not None:
                self._judge(job, is_left=self._leaves(job))

    def _waiting(self, ns: Iterable[int]) -> list[JobRecord]:
        states = self._reader.states_at(sorted(ns))
        wanted = {n for n, state in states.items() if state in _WAITS}
        here = [self._desk.jobs[n] for n in wanted if n in self._desk.jobs]
        return here + self._reader.jobs_of(wanted - self._desk.jobs.keys())

    def _leaves(self, job: JobRecord) -> bool:
        """Tell whether a job wants its backend to wait for others, and the backend can."""
        if not job.spec.native.get(job.backend, {}).get("dependencies"):
            return False
        runtime = self._this.runtime_of(job)
        return runtime is not None and runtime.capabilities.dependencies

    # Judging

    def _judge(self, job: JobRecord, *, is_left: bool) -> None:
        """Look at all that one job waits for.

        Args:
            job: The one that waits.
            is_left: Whether its backend sees to jobs that are placed there as well.
        """
        if job.state not in _WAITS or job.dependencies_met:
            return
        rows = self._reader.dependencies_of(job.n)
        on_ids = [on_id for on_id, _ in rows]
        arrays, states = self._reader.is_array(on_ids), self._reader.states_of(on_ids)
        met: list[str] = []
        unmet: list[tuple[str, Condition]] = []
        for on_id, word in rows:
            condition = Condition(word)
            if on_id in arrays:
                verdict = self._of_array(on_id, condition)
            else:
                # One that was purged had ended; how, its journal can no longer tell.
                verdict = (
                    fulfilled(condition, states[on_id])
                    if on_id in states
                    else (condition is Condition.ENDED)
                )
            if verdict is False:
                came_to = _came_to(states.get(on_id))
                self._end(job, f"job {on_id} {came_to}, it had to be {condition}")
                return
            if verdict:
                met.append(on_id)
            else:
                unmet.append((on_id, condition))
        if met:
            self._this.writer.meet_dependencies(job.n, met)
        left = self._predecessors(job, unmet, arrays) if is_left and unmet else ()
        if len(met) + len(left) == len(rows):
            self._desk.put(job)
            self._desk.tell(job.n, DependenciesMet(at=self._this.now, predecessors=left))

    def _of_array(self, array_id: str, condition: Condition) -> bool | None:
        """Judge a dependency on all elements of an array."""
        key = array_id, condition
        if key not in self._verdicts:
            self._verdicts[key] = self._array_fulfilled(array_id, condition)
        return self._verdicts[key]

    def _array_fulfilled(self, array_id: str, condition: Condition) -> bool | None:
        has_state = self._reader.has_state
        if condition is Condition.SUCCEEDED and has_state(array_id, _FAILURES):
            return False
        if has_state(array_id, [*_WAITING_FOR, State.LOST]):
            return None
        if condition is Condition.FAILED:
            return has_state(array_id, _FAILURES)
        return True

    def _end(self, job: JobRecord, message: str) -> None:
        now = self._this.now
        self._desk.put(job)
        outcome = Outcome(reason=Reason.DEPENDENCY_FAILED, started=Started.NO, message=message)
        self._desk.tell(
            job.n,
            Ended(
                at=now,
                attempt=job.attempt,
                outcome=outcome,
                retry_at=machine.retry_at(job, outcome, now),
            ),
        )

    # What is left to backends

    def _predecessors(
        self, job: JobRecord, unmet: Sequence[tuple[str, Condition]], arrays: set[str]
    ) -> tuple[Predecessor, ...]:
        """List what the backend can wait for: placed there, and once ended, ended for good.

        Only for a first attempt: one that came back shows that the backend waited in vain.

        Returns:
            Empty where they are more than it can be told.
        """
        runtime = self._this.runtime_of(job)
        if job.attempt > 1 or runtime is None:
            return ()
        stored = self._reader.jobs_by_id([on_id for on_id, _ in unmet if on_id not in arrays])
        out: list[Predecessor] = []
        for on_id, condition in unmet:
            if on_id in arrays:
                key = on_id, condition
                if key not in self._wholes:
                    self._wholes[key] = self._whole(*key)
                whole = self._wholes[key]
                if whole is not None and self._backend_of(on_id) == job.backend:
                    out.append(whole)
                continue
            known = stored.get(on_id)
            other = self._desk.jobs.get(known.n, known) if known is not None else None
            if (
                other is not None
                and other.backend == job.backend
                and other.state in _THERE
                and other.native_id is not None
                and _ends_for_good(other.spec)
            ):
                out.append(
                    Predecessor(
                        job=on_id, token=other.token, native_id=other.native_id, condition=condition
                    )
                )
        named = sum(len(other.native_ids) or 1 for other in out)
        return tuple(out) if named <= runtime.capabilities.most_predecessors else ()

    def _is_partly_there(self, array_id: str) -> bool:
        return self._reader.has_state(array_id, _NOT_THERE)

    def _backend_of(self, array_id: str) -> str:
        return self._reader.array(array_id)[2].backend

    def _whole(self, array_id: str, condition: Condition) -> Predecessor | None:
        """Describe a whole array to its backend, if the backend can wait for it.

        Elements that have ended need not be judged again. Those that ended well are named all the
        same if they left a record: ranges without gaps are short.
        """
        _, size, fact = self._reader.array(array_id)
        runtime = self._this.backends.get(fact.backend)
        if runtime is None or not _ends_for_good(fact.spec) or self._is_partly_there(array_id):
            return None
        able = runtime.capabilities
        if able.element_separator is None or size > able.most_predecessors * able.max_batch:
            return None
        native_ids: dict[str, None] = {}
        attempts: dict[int, list[int]] = {}
        for index, state, attempt, native_id, has_record in self._reader.placements(array_id):
            if state in _THERE:
                native_ids[native_id.partition(able.element_separator)[0]] = None
            elif state in _FAILURES and condition is Condition.FAILED:
                condition = Condition.ENDED
            if state in _THERE or (state is State.SUCCEEDED and has_record):
                attempts.setdefault(attempt, []).append(index)
        elements = tuple(
            Elements(attempt=attempt, indices=_ranges(sorted(indices)))
            for attempt, indices in sorted(attempts.items())
        )
        if "" in native_ids or sum(len(part.indices) for part in elements) > MOST_TEXT:
            return None
        return Predecessor(
            job=array_id,
            token="",
            native_id="",
            condition=condition,
            native_ids=tuple(native_ids),
            elements=elements,
        )


def _ends_for_good(spec: JobSpec) -> bool:
    """Tell whether the first end of a job is its last, and the end of its command its own."""
    again = spec.retry.attempts > 1 or spec.requeue or spec.period is not None
    return not again and not spec.outputs


def _ranges(numbers: Sequence[int]) -> str:
    """Write ascending numbers as `Elements.indices`."""
    words: list[str] = []
    start = 0
    while start < len(numbers):
        end = start + 1
        step = numbers[end] - numbers[start] if end < len(numbers) else 1
        while end < len(numbers) and numbers[end] - numbers[end - 1] == step:
            end += 1
        if end - start < 3:
            # Two are no row: the second may begin the next one.
            words.append(str(numbers[start]))
            start += 1
            continue
        words.append(f"{numbers[start]}-{numbers[end - 1]}" + (f":{step}" if step > 1 else ""))
        start = end
    return ",".join(words)


def _came_to(state: State | None) -> str:
    return f"is {state}" if state is not None else "is gone or has elements that failed"

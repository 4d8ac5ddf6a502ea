"""Who runs when, and on what."""

import os
from typing import Any

import pytest
from local_bench import Bench

from drover.models import Resources, Verb
from drover_local._slots import Needs, Queue, Slots


@pytest.fixture
def up(bench: Bench) -> Bench:
    """An agent that the test may kill or set up otherwise."""
    bench.start()
    return bench


class _Candidate:
    def __init__(self, name: str, order: int, **needs: Any) -> None:
        self.name, self.order, self.held = name, (0, order, order), False
        self.needs = Needs(**needs)


def _started(slots: Slots, *candidates: _Candidate) -> list[str]:
    queue = Queue()
    for candidate in candidates:
        queue.add(candidate)
    names: list[str] = []
    while found := queue.next(slots):
        assert isinstance(found, _Candidate)
        slots.take(found.needs)
        names.append(found.name)
    return names


def _slots(cpus: int = 4, memory: int = 100, gpus: tuple[str, ...] = ()) -> Slots:
    slots = Slots()
    slots.resize({"cpus": cpus, "memory": memory, "gpus": gpus})
    return slots


def test_a_large_job_is_not_starved() -> None:
    """It reserves what is free, so that small later ones cannot take it away for ever."""
    slots = _slots()
    slots.take(Needs(cpus=1))

    assert [] == _started(slots, _Candidate("large", 1, cpus=4), _Candidate("small", 2))


def test_what_a_waiting_job_has_no_use_for_is_used() -> None:
    slots = _slots(gpus=("0",))
    slots.take(Needs(gpus=1))
    large = _Candidate("gpu", 1, cpus=2, gpus=1)

    assert ["a"] == _started(slots, large, _Candidate("a", 2), _Candidate("b", 3))


def test_memory_counts() -> None:
    slots = _slots()
    jobs = [_Candidate(str(n), n, memory=40) for n in range(3)]

    assert ["0", "1"] == _started(slots, *jobs)


def test_exclusive_wants_all() -> None:
    assert ["x"] == _started(_slots(), _Candidate("x", 1, exclusive=True), _Candidate("y", 2))


@pytest.mark.parametrize(("before", "after"), [(8, 4), (4, 8), (1, 8)])
def test_all_is_all_whatever_the_configuration_says_meanwhile(before: int, after: int) -> None:
    """Others ran beside it, and for ever more than there is room for, or none at all."""
    slots, needs = _slots(before), Needs(exclusive=True)
    slots.take(needs)
    slots.resize({"cpus": after, "memory": 100, "gpus": ()})
    while_it_runs = slots.free_cpus
    slots.give_back(needs, ())

    assert (0, after) == (while_it_runs, slots.free_cpus)


def test_a_job_that_no_longer_fits_blocks_nobody() -> None:
    """After the configuration was reduced it gets all there is, or waits without a share."""
    jobs = [_Candidate("gpu", 1, gpus=1), _Candidate("wide", 2, cpus=9), _Candidate("small", 3)]

    assert ["wide"] == _started(_slots(), *jobs)
    assert ["small"] == _started(_slots(), jobs[0], jobs[2])


def test_what_is_given_back_is_there_again() -> None:
    slots = _slots(gpus=("GPU-a", "GPU-b"))
    needs = Needs(cpus=2, memory=10, gpus=1)
    first = slots.take(needs)
    second = slots.take(needs)

    assert {("GPU-a",), ("GPU-b",)} == {first, second}

    slots.give_back(needs, first)

    assert (2, 90, ["GPU-a"]) == (slots.free_cpus, slots.free_memory, slots.free_gpus)

    slots.resize({"cpus": 8, "memory": 200, "gpus": ["GPU-b", "GPU-c"]})

    assert (6, 190, ["GPU-c"]) == (slots.free_cpus, slots.free_memory, slots.free_gpus)


def test_no_more_runs_than_there_are_slots(up: Bench) -> None:
    """At no moment do jobs together hold more than was given."""
    text = "echo + >> log; sleep 0.1; echo - >> log"
    attempts = [up.submit("sh", "-c", text, resources=Resources(cpus=2)) for _ in range(6)]
    for attempt in attempts:
        up.end(attempt)
    level = most = 0
    for sign in (up.home / "log").read_text().split():
        level += 1 if sign == "+" else -1
        most = max(most, level)

    assert (0, 2) == (level, most)


def test_priority_then_age(up: Bench) -> None:
    first = up.submit("sleep", "60", resources=Resources(cpus=4))
    up.running(first)
    attempts = [
        up.submit(
            "sh", "-c", f"echo {n} >> order", resources=Resources(exclusive=True, priority=n % 3)
        )
        for n in range(6)
    ]
    up.order(first, Verb.KILL)
    for attempt in attempts:
        up.end(attempt)

    assert ["2", "5", "1", "4", "0", "3"] == (up.home / "order").read_text().split()


def test_gpus_are_handed_out_by_name(up: Bench) -> None:
    up.config["gpus"] = ["GPU-aaa", "3"]
    up.start()
    text = "echo $CUDA_VISIBLE_DEVICES; while [ ! -e go ]; do sleep 0.02; done"
    ones = [up.submit("sh", "-c", text, resources=Resources(gpus=1)) for _ in range(2)]
    both = up.submit("sh", "-c", text, resources=Resources(gpus=2))
    none = up.submit("sh", "-c", "echo ${CUDA_VISIBLE_DEVICES-unset}")
    up.end(none)
    up.until("both wrote", lambda: all(up.rows(one) and up.output(one) for one in ones))

    assert {b"GPU-aaa\n", b"3\n"} == {up.output(one) for one in ones}
    assert [] == up.rows(both)

    (up.home / "go").touch()
    up.end(both)

    assert b"GPU-aaa,3\n" == up.output(both)
    assert b"unset\n" == up.output(none)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one cpu cannot be divided")
def test_cpus_are_bound_when_asked(up: Bench) -> None:
    text = "grep Cpus_allowed_list /proc/self/status; while [ ! -e go ]; do sleep 0.02; done"
    native = {"local": {"affinity": True}}
    ones = [up.submit("sh", "-c", text, native=native) for _ in range(2)]
    free = up.submit("sh", "-c", "grep Cpus_allowed_list /proc/self/status")
    up.end(free)
    up.until("both wrote", lambda: all(up.rows(one) and up.output(one) for one in ones))
    lists = {up.output(one).split()[1] for one in ones}
    (up.home / "go").touch()

    assert 2 == len(lists)
    assert all(entry.isdigit() for entry in lists)
    assert not up.output(free).split()[1].isdigit()

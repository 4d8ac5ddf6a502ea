"""Cancel, suspend, signal, hold and limits reach the whole job and nothing else."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from local_bench import Bench

from drover.models import EndReport, Phase, Reason, Resources, Verb, Verdict

# A child in the same session, one in its own, one that lost its parent, one that lost both and
# keeps the token; each writes its number.
_TREE = """
echo $$ >> pids
sleep 61 & echo $! >> pids
setsid sh -c 'echo $$ >> pids; sleep 62; sleep 63' &
(setsid sh -c 'echo $$ >> pids; exec sleep 64' &)
env -u DROVER_TOKEN sleep 65 & echo $! >> pids
while [ $(wc -l < pids) -lt 5 ]; do sleep 0.02; done
echo ready
%s
"""
_WAIT_ALL = "wait; sleep 66"


def _tree(bench: Bench, tail: str = _WAIT_ALL) -> tuple[object, list[int]]:
    attempt = bench.submit("sh", "-c", _TREE % tail)
    bench.running(attempt)
    bench.until("tree is up", lambda: bench.output(attempt) == b"ready\n")
    pids = [int(word) for word in (bench.home / "pids").read_text().split()]

    assert 5 == len(set(pids))

    return attempt, pids


def _alive(pids: list[int]) -> list[int]:
    found: list[int] = []
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.mark.parametrize("verb", [Verb.CANCEL, Verb.KILL])
def test_a_cancel_ends_the_whole_tree(up: Bench, verb: Verb) -> None:
    attempt, pids = _tree(up)

    assert Verdict.SIGNALLED is up.order(attempt, verb).verdict  # type: ignore[arg-type]

    end = up.end(attempt)  # type: ignore[arg-type]

    assert (Reason.CANCELLED, ()) == (end.reason, end.survivors)
    assert {Verb.CANCEL: 15, Verb.KILL: 9}[verb] == end.signal
    assert [] == _alive(pids)
    assert Verdict.TOO_LATE is up.order(attempt, verb).verdict  # type: ignore[arg-type]


def test_who_ignores_term_is_killed_after_the_grace(up: Bench) -> None:
    """Also a child that ignores it while the main process obeys."""
    attempt = up.submit("sh", "-c", "trap '' TERM; echo $$; while :; do sleep 0.1; done")
    other = up.submit(
        "sh", "-c", "(trap '' TERM; sh -c 'echo $$; while :; do sleep 0.1; done') & exec sleep 60"
    )
    for each in (attempt, other):
        up.until("it is up", lambda each=each: up.rows(each) and up.output(each))
    began = time.monotonic()
    for each in (attempt, other):
        up.order(each, Verb.CANCEL, grace_s=0.5)
    ends = [up.end(each) for each in (attempt, other)]

    assert 0.4 < time.monotonic() - began < 5
    assert [9, 15] == [end.signal for end in ends]
    assert [] == _alive([int(up.output(each)) for each in (attempt, other)])


def test_terminate_never_kills_and_names_survivors(up: Bench) -> None:
    attempt = up.submit("sh", "-c", "(trap '' TERM; exec sleep 60) & echo $!; exec sleep 61")
    up.until("it is up", lambda: up.rows(attempt) and up.output(attempt))
    child = int(up.output(attempt))
    up.until("trap", lambda: Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"sleep"))
    up.order(attempt, Verb.TERMINATE)
    end = up.end(attempt)

    assert (15, Reason.CANCELLED, (child,)) == (end.signal, end.reason, end.survivors)

    os.kill(child, signal.SIGKILL)


def test_a_job_may_use_its_grace(up: Bench) -> None:
    """What it exits with after TERM is told beside the reason."""
    attempt = up.submit(
        "sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done"
    )
    up.until("it is up", lambda: up.rows(attempt) and up.output(attempt))
    up.order(attempt, Verb.CANCEL, grace_s=10)
    end = up.end(attempt)

    assert (3, Reason.CANCELLED) == (end.exit_code, end.reason)
    assert b"up\nbye\n" == up.output(attempt)


def test_a_queued_job_is_cancelled_without_a_start(up: Bench) -> None:
    first = up.submit("sleep", "60", resources=Resources(cpus=4))
    up.running(first)
    queued = up.submit("touch", "ran")

    assert Verdict.DONE is up.order(queued, Verb.CANCEL).verdict

    up.order(first, Verb.CANCEL)
    up.end(first)
    up.end(up.submit("true"))

    assert not (up.home / "ran").exists()
    assert [] == up.rows(queued)


def test_suspend_stops_and_resume_goes_on(up: Bench) -> None:
    attempt, pids = _tree(up)

    assert Verdict.SIGNALLED is up.order(attempt, Verb.SUSPEND).verdict  # type: ignore[arg-type]

    row = up.phase(attempt, Phase.SUSPENDED)  # type: ignore[arg-type]

    assert frozenset({"user"}) == row.suspended_by
    assert {psutil.STATUS_STOPPED} == {psutil.Process(pid).status() for pid in pids}

    up.context.seen.clear()

    assert Verdict.DONE is up.order(attempt, Verb.RESUME).verdict  # type: ignore[arg-type]

    up.running(attempt)  # type: ignore[arg-type]

    assert psutil.STATUS_STOPPED not in {psutil.Process(pid).status() for pid in pids}

    up.order(attempt, Verb.SUSPEND)  # type: ignore[arg-type]
    up.order(attempt, Verb.CANCEL, grace_s=10)  # type: ignore[arg-type]

    assert 15 == up.end(attempt).signal  # type: ignore[arg-type]
    assert [] == _alive(pids)


def test_a_signal_reaches_the_job(up: Bench) -> None:
    attempt = up.submit(
        "sh", "-c", "trap 'echo got; exit 0' USR1; echo up; while :; do sleep 0.05; done"
    )
    up.until("it is up", lambda: up.rows(attempt) and up.output(attempt))
    answer = up.order(attempt, Verb.SIGNAL, signal=int(signal.SIGUSR1))

    assert Verdict.DONE is answer.verdict
    assert (0, None) == (up.end(attempt).exit_code, up.end(attempt).reason)
    assert b"up\ngot\n" == up.output(attempt)


def test_hold_and_release(up: Bench) -> None:
    first = up.submit("sleep", "60", resources=Resources(cpus=4))
    up.running(first)
    held, free = up.submit("true"), up.submit("true")
    runs = up.order(first, Verb.HOLD)

    assert Verdict.REFUSED is runs.verdict
    assert Verdict.DONE is up.order(held, Verb.HOLD).verdict
    assert Verdict.REFUSED is up.order(held, Verb.SUSPEND).verdict
    (row,) = up.backend.drover_observe([held]).observations
    assert frozenset({"user"}) == row.hold

    up.order(first, Verb.KILL)
    up.end(free)

    assert [] == up.rows(held)

    up.order(held, Verb.RELEASE)

    assert 0 == up.end(held).exit_code


def test_wall_time_ends_the_tree(up: Bench) -> None:
    attempt = up.submit("sh", "-c", "sleep 60 & echo $!; wait", resources=Resources(wall_time=0.3))
    end = up.end(attempt)

    assert (Reason.WALL_TIME, 15) == (end.reason, end.signal)
    assert end.usage is not None
    assert 0.3 <= (end.usage.wall_s or 0) < 3
    assert [] == _alive([int(up.output(attempt))])


def test_who_takes_no_notice_of_a_terminate_is_held_to_the_wall_time(up: Bench) -> None:
    """A TERM that a job survives must not free it from what it was given for."""
    script = "trap 'echo no' TERM; echo up; while :; do sleep 0.05; done"
    attempt = up.submit("sh", "-c", script, resources=Resources(wall_time=1.0))
    up.until("it is up", lambda: up.rows(attempt) and up.output(attempt))
    up.order(attempt, Verb.TERMINATE)
    up.until("it took notice", lambda: b"no" in up.output(attempt))
    up.until("the wall time is over", lambda: b"no\nno" in up.output(attempt))
    up.order(attempt, Verb.KILL)
    end = up.end(attempt)

    assert (Reason.WALL_TIME, 9) == (end.reason, end.signal)


def test_memory_of_the_whole_tree_is_limited(up: Bench) -> None:
    """Two processes that are each below the limit are above it together."""
    code = "import time; x = bytearray(60_000_000); time.sleep(30)"
    one = ["python3", "-c", code]
    small = up.submit(*one, resources=Resources(memory="400MiB"))
    text = f"python3 -c '{code}' & python3 -c '{code}' & wait"
    large = up.submit("sh", "-c", text, resources=Resources(memory="100MiB"))
    end = up.end(large)

    assert (Reason.OUT_OF_MEMORY, 9) == (end.reason, end.signal)
    assert Phase.ENDED not in {row.phase for row in up.rows(small)}


def _leave_child(bench: Bench, **fields: object) -> tuple[EndReport, int]:
    attempt = bench.submit("sh", "-c", "sleep 60 & echo $!; exit 0", **fields)
    end = bench.end(attempt)
    return end, int(bench.output(attempt))


def test_a_job_may_leave_a_process_behind(up: Bench) -> None:
    """Its end is its main process's end; what it left stays, unless asked otherwise."""
    end, child = _leave_child(up)

    assert (0, [child]) == (end.exit_code, _alive([child]))

    os.kill(child, signal.SIGKILL)
    end, child = _leave_child(up, native={"local": {"kill_leftovers": True}})

    assert (0, None, []) == (end.exit_code, end.reason, _alive([child]))


def test_a_stranger_in_the_same_tree_of_numbers_is_spared(up: Bench) -> None:
    """Nobody else's process is signalled, whatever it is called."""
    with subprocess.Popen(["sleep", "60"]) as stranger:
        attempt, _ = _tree(up)
        up.order(attempt, Verb.KILL)  # type: ignore[arg-type]
        up.end(attempt)  # type: ignore[arg-type]

        assert stranger.poll() is None

        stranger.kill()

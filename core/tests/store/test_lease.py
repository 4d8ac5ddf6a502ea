"""Who may write: clients always, of engines one."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drover import events as e
from drover._store import (
    TTL_S,
    Draft,
    JobFilter,
    _lease,
    boot_id,
    process_started,
)
from drover.errors import (
    StaleEpochError,
)
from drover.models import (
    JobSpec,
    Outcome,
    Reason,
    Request,
    Started,
    Verb,
)
from drover.testing import FakeClock

Open = Callable[..., Any]


def draft(at: float = 1.0, **fields: Any) -> Draft:
    backend, key = fields.pop("backend", "b"), fields.pop("key", None)
    spec = JobSpec(**{"argv": ["x"], **fields})
    return Draft(event=e.Submitted(at=at, spec=spec, backend=backend, key=key))


def placed() -> tuple[e.Event, ...]:
    return (
        e.SubmitIntended(at=2.0, attempt=1, token="t", batch="b"),
        e.Accepted(at=3.0, attempt=1, native_id="7"),
    )


def ended(code: int = 0) -> e.Ended:
    outcome = Outcome(reason=Reason.EXITED, started=Started.YES, exit_code=code)
    return e.Ended(at=5.0, attempt=1, outcome=outcome)


def test_one_engine_at_a_time(store: Any, open_store: Open) -> None:
    assert 1 == store.acquire_lease({"host": "h"})
    assert None is open_store().acquire_lease({})
    holder = open_store().lease()
    assert (1, os.getpid(), True, "h") == (
        holder.epoch,
        holder.pid,
        holder.live,
        holder.info["host"],
    )


def test_a_lease_that_is_not_renewed_is_taken_over(
    store: Any, open_store: Open, clock: FakeClock
) -> None:
    """An engine that hangs must not keep a store for ever; one that only sleeps must lose it."""
    other = open_store()
    assert 1 == store.acquire_lease({})
    clock.advance(TTL_S - 0.1)
    store.renew_lease(1)
    clock.advance(TTL_S - 0.1)
    assert None is other.acquire_lease({})
    clock.advance(0.2)
    assert 2 == other.acquire_lease({})

    with pytest.raises(StaleEpochError):
        store.renew_lease(1)


def test_a_stale_engine_can_write_nothing(store: Any, open_store: Open, clock: FakeClock) -> None:
    """The engine that wakes after a pause believes that nothing has happened."""
    (job_id,) = store.insert(draft())
    store.acquire_lease({})
    clock.advance(TTL_S + 1)
    open_store().acquire_lease({})
    before = store.job(job_id)

    with pytest.raises(StaleEpochError) as caught:
        store.record(job_id, *placed(), epoch=1)
    with pytest.raises(StaleEpochError):
        store.release_lease(1)

    assert (1, 2) == (caught.value.mine, caught.value.current)
    assert before == store.job(job_id)


def test_an_engine_that_has_left_can_write_nothing(store: Any) -> None:
    (job_id,) = store.insert(draft())
    store.acquire_lease({})
    store.release_lease(1)

    with pytest.raises(StaleEpochError):
        store.record(job_id, *placed(), epoch=1)


def test_a_wall_clock_that_jumps_takes_no_lease(
    store: Any, open_store: Open, clock: FakeClock
) -> None:
    store.acquire_lease({})
    clock.jump(86_400)

    assert None is open_store().acquire_lease({})


def test_after_a_reboot_the_lease_is_free(
    store: Any, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monotonic clock begins again: the old instant may lie in the far future."""
    store.acquire_lease({})
    monkeypatch.setenv("DROVER_BOOT_ID", "another boot")

    assert 2 == open_store().acquire_lease({})


def test_a_dead_engines_lease_is_free(
    store: Any, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After kill -9 nobody should wait for a lease to run out."""
    store.acquire_lease({})
    monkeypatch.setattr(_lease, "process_started", lambda _pid: "")

    assert not open_store().lease().live


def test_a_pid_that_is_used_again_holds_no_lease(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.acquire_lease({})
    monkeypatch.setattr(_lease, "process_started", lambda _pid: "another")

    assert not store.lease().live


def test_a_process_is_named_by_its_start() -> None:
    me = process_started(os.getpid())

    assert me == process_started(os.getpid())
    assert me not in {"", process_started(1)}
    assert "" == process_started(2**22 + 7)
    assert boot_id() == boot_id()


def test_a_process_that_nobody_reaped_is_gone() -> None:
    """A zombie works on nothing."""
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)

    assert "" == process_started(zombie.pid)
    zombie.wait()


def test_a_lease_with_work_left_is_not_released_as_idle(store: Any) -> None:
    store.acquire_lease({})
    (job_id,) = store.insert(draft())
    assert not store.release_lease(1, if_idle=True)
    store.record(job_id, *placed(), ended())

    assert store.release_lease(1, if_idle=True)
    assert store.lease().released


def test_a_lost_job_does_not_keep_the_engine_but_its_retry_does(store: Any) -> None:
    store.acquire_lease({})
    (job_id,) = store.insert(draft())
    lost = Outcome(reason=Reason.LOST)
    store.record(job_id, *placed(), e.Ended(at=4.0, attempt=1, outcome=lost))
    request = Request(id="r", verb=Verb.RETRY, by="me", at=5.0)
    store.record(job_id, e.ControlAsked(at=5.0, request=request))

    assert not store.release_lease(1, if_idle=True)


def test_no_job_slips_in_while_the_lease_is_released(
    home: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between 'there is nothing' and 'I leave' no client may commit: its job would have nobody."""
    store.acquire_lease({})
    looked: list[str] = []

    def look(_reader: object) -> bool:
        other = sqlite3.connect(home / "store.db", timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()
        looked.append("locked")
        return False

    monkeypatch.setattr("drover._store._reader.Reader.has_unfinished", look)

    assert store.release_lease(1, if_idle=True)
    assert ["locked"] == looked


def test_one_client_of_many_starts_the_engine(open_store: Open, clock: FakeClock) -> None:
    clients = [open_store() for _ in range(5)]

    assert [True, False, False, False, False] == [one.may_start_engine() for one in clients]
    clients[0].engine_start_failed()
    assert [True, False] == [one.may_start_engine() for one in clients[1:3]]
    clock.advance(_lease.STARTING_S + 1)
    assert [True, False] == [one.may_start_engine() for one in clients[3:]]
    clients[0].acquire_lease({})
    assert not any(one.may_start_engine() for one in clients)


WRITER = """
import sys
from pathlib import Path
from drover import events as e
from drover._store import Draft, Store
from drover.models import JobSpec

home, count = Path(sys.argv[1]), int(sys.argv[2])
store = Store.open(home)
print(store.may_start_engine(), (home / "key").read_bytes().hex())
for k in range(count):
    spec = JobSpec(argv=["x"], env={"K": str(k)})
    batch = store.prepare([Draft(event=e.Submitted(at=1.0, spec=spec, backend="b"))], 1.0)
    with store.write() as (writer, _):
        writer.insert(batch)
store.close()
"""


def test_processes_write_at_once(home: Path, open_store: Open) -> None:
    """Also the first of them all: eight that make the store at once make one."""
    argv = [sys.executable, "-c", WRITER, str(home), "25"]
    writers = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    said = [one.communicate(timeout=60)[0].split() for one in writers]
    store = open_store()

    assert [0] * 8 == [one.returncode for one in writers]
    assert 1 == [word for word, _ in said].count("True")
    assert 1 == len({key for _, key in said})
    with store.read() as reader:
        jobs = reader.listing(JobFilter(), None)
    assert list(range(200, 0, -1)) == [row.n for row in jobs]
    assert 8 == [row.spec.env["K"] for row in jobs].count("24")
    store.check_replay()

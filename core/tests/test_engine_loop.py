"""The loop around the engine: what keeps it from leaving, and what does not end it."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from drover._engine import _loop
from drover._engine._loop import EngineLoop, gather_s
from drover._engine._process import stop
from drover._store import LeaseHolder, Store, process_started
from drover.config import Config
from drover.errors import StoreUnusableError


@pytest.mark.parametrize("hook", ["release_lease", "renew_lease"])
def test_a_disk_that_is_full_does_not_end_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    """Whatever it writes may find no room: it waits, and does it later."""
    monkeypatch.setattr(_loop, "TROUBLE_S", 0.01)
    store = Store.open(tmp_path / "home")
    write, failures = getattr(store, hook), [StoreUnusableError("home", "full")] * 3

    def fail(*given: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return write(*given, **options)

    monkeypatch.setattr(store, hook, fail)
    loop = EngineLoop(store, Config(), {"log": ""}, idle_s=0.0)

    assert loop.run()
    assert ([], True) == (failures, store.lease().released)
    store.close()


@pytest.mark.parametrize(
    ("took_s", "is_draining", "expected"),
    [
        (0.001, False, 0.02),
        (0.01, False, 0.03),
        (1.0, False, 0.05),
        (0.001, True, 0.005),
        (1.0, True, 0.005),
    ],
)
def test_rounds_leave_a_busy_machine_room(
    took_s: float, *, is_draining: bool, expected: float
) -> None:
    """News gather while there is more to do; somebody may wait for the last of it."""
    assert pytest.approx(expected) == gather_s(took_s, is_draining=is_draining)


LEAVES_SLOWLY = """
import pathlib, signal, sys, time
given_back = pathlib.Path(sys.argv[1])
def leave(*_):
    given_back.touch()
    time.sleep(0.5)
    sys.exit()
signal.signal(signal.SIGTERM, leave)
print("up", flush=True)
while True:
    time.sleep(60)
"""


def test_an_engine_that_was_stopped_has_closed_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who copies the file as soon as it is stopped must not get half of what it still writes."""
    given_back = tmp_path / "given-back"
    argv = [sys.executable, "-c", LEAVES_SLOWLY, str(given_back)]
    with (
        closing(Store.open(tmp_path / "home")) as store,
        subprocess.Popen(argv, stdout=subprocess.PIPE) as engine,
    ):
        assert engine.stdout is not None
        engine.stdout.readline()

        def lease() -> LeaseHolder:
            live = not given_back.exists()
            return LeaseHolder(epoch=1, pid=engine.pid, live=live, released=not live, info={})

        monkeypatch.setattr(store, "lease", lease)

        assert stop(store, 10.0)
        assert "" == process_started(engine.pid)

"""The loop around the engine: what keeps it from leaving, and what does not end it."""

from pathlib import Path
from typing import Any

import pytest

from drover._engine import _loop
from drover._engine._loop import EngineLoop, gather_s
from drover._store import Store
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

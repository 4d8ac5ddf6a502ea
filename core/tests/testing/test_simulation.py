"""The simulation: engines under every fault keep the rules, and without a rule it fails."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final

import pytest
from attrs import evolve

from drover import machine
from drover._engine._calls import Calls
from drover._engine._engine import Engine
from drover._engine._runtime import Runtime
from drover._store import _lease
from drover.commandline import claims
from drover.commandline.claims import Closed
from drover.models import Closing, JobRecord
from drover.testing import SimulatedCluster
from drover.testing.simulation import SimulationFailed, _setting, simulate, simulate_many

Mutate = Callable[[pytest.MonkeyPatch], None]

# --- guards, taken away one by one --------------------------------------------------------------


def without_the_intent(patch: pytest.MonkeyPatch) -> None:
    """Call the backend before the intent is committed."""
    work = Engine._work

    def work_and_act(self: Engine) -> None:
        work(self)
        self._act()

    patch.setattr(Engine, "_work", work_and_act)


def without_the_claim(patch: pytest.MonkeyPatch) -> None:
    """Let the job's wrapper run the command whoever has the claim."""
    patch.setattr(SimulatedCluster, "_claims", lambda _self, _job: True)


def with_a_blind_close(patch: pytest.MonkeyPatch) -> None:
    """Say of every attempt that it is closed, without a look."""
    blind = Closed(closing=Closing.CLOSED)
    patch.setattr(claims, "close", lambda _folder, _why: blind)


def with_a_server_that_closes_nothing(patch: pytest.MonkeyPatch) -> None:
    """Let a server say that a token is closed, and accept it later."""
    patch.setattr(SimulatedCluster, "close", lambda _self, _token: None)


def without_the_epoch(patch: pytest.MonkeyPatch) -> None:
    """Let an engine write whose lease another has taken."""
    patch.setattr(_lease, "check", lambda _connection, _epoch: None)


def without_the_search(patch: pytest.MonkeyPatch) -> None:
    """Submit again where the answer was lost, without asking whether the backend has it."""

    def submit_again(self: Calls, runtime: Runtime, jobs: Sequence[JobRecord]) -> None:
        self._submit(runtime, jobs)

    patch.setattr(Calls, "_find", submit_again)


def with_a_search_that_finds_nothing(patch: pytest.MonkeyPatch) -> None:
    """Take every answer to a search for an empty one."""

    def find_nothing(self: Calls, runtime: Runtime, jobs: Sequence[JobRecord]) -> None:
        runtime.searched([job.token for job in jobs], heard=True)
        for job in jobs:
            self._engine.look_again(job.token)
            self._not_found(runtime, job)

    patch.setattr(Calls, "_find", find_nothing)


def without_the_grace(patch: pytest.MonkeyPatch) -> None:
    """Call a job LOST that one listing does not name."""
    real = _setting.default_capabilities
    patch.setattr(
        _setting,
        "default_capabilities",
        lambda claim: evolve(real(claim), missing_grace_s=0.0),
    )


def without_the_identity(patch: pytest.MonkeyPatch) -> None:
    """Believe a row whatever job it is about."""
    patch.setattr(machine, "is_about", lambda _job, _seen: True)
    patch.setattr(sys.modules["drover.machine._observing"], "is_about", lambda _job, _seen: True)


MUTATIONS: Final[dict[str, Mutate]] = {
    "intent": without_the_intent,
    "claim": without_the_claim,
    "close": with_a_blind_close,
    "server's close": with_a_server_that_closes_nothing,
    "epoch": without_the_epoch,
    "search": without_the_search,
    "search finds nothing": with_a_search_that_finds_nothing,
    "grace": without_the_grace,
    "identity": without_the_identity,
}
SEEDS: Final = range(300)
MOST_SEEDS: Final = 200
"""In which a mutation must be seen; most are in the first ten."""


@pytest.mark.slow
def test_no_seed_fails() -> None:
    """No job lost, none run twice, every end the true one, whatever is killed or paused."""
    total = simulate_many(SEEDS)

    assert [] == [str(failure) for failure in total.failed]
    # What did not happen was not tested.
    points = ("begin", "write", "commit", "committed", "call", "row", "answer")
    happened = [f"killed at {point}" for point in points]
    happened += [f"paused at {point}" for point in ("begin", "committed", "call", "answer")]
    happened += [f"failed at {point}" for point in ("begin", "write", "commit", "row")]
    happened += ["takeovers from a paused engine", "calls that acted late", "retries", "requeues"]
    happened += ["starts that the claim turned away", "clients killed", "CANCELLED", "LOST"]
    assert [] == [what for what in happened if not total.counts[what]]


@pytest.mark.slow
@pytest.mark.parametrize("guard", MUTATIONS)
def test_without_a_guard_a_seed_fails(guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation that cannot fail proves nothing."""
    MUTATIONS[guard](monkeypatch)

    with pytest.raises(SimulationFailed, match=r"again: python -m drover.testing.simulation"):
        _simulate_all(range(MOST_SEEDS))


def _simulate_all(seeds: range) -> None:
    for seed in seeds:
        simulate(seed)


def _run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "drover.testing.simulation", *words],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_same_seed_tells_the_same_story(seed: int) -> None:
    """A failing seed that does not fail again cannot be understood."""
    runs = [_run("--seed", str(seed), PYTHONHASHSEED=hashing) for hashing in ("1", "2")]

    assert [0, 0] == [run.returncode for run in runs], runs[0].stdout
    assert runs[0].stdout == runs[1].stdout
    assert list(simulate(seed).story) == runs[0].stdout.splitlines()[: len(simulate(seed).story)]


def test_seeds_differ() -> None:
    """Ten thousand times the same run would be one run."""
    assert 20 == len({simulate(seed).digest for seed in range(20)})


def test_a_failure_tells_the_command_that_replays_it() -> None:
    """Who sees a red line in the log of a server must be able to see the run at home."""
    failure = SimulationFailed(7, ["job x: it is lost"], ["it begins"])

    assert "python -m drover.testing.simulation --seed 7" == failure.command
    assert str(failure).splitlines()[1:] == [
        "it begins",
        "job x: it is lost",
        f"again: {failure.command}",
    ]


def test_a_range_of_seeds_is_summed_up() -> None:
    """Without the sums nobody sees whether the faults were there at all."""
    done = _run("--seeds", "0..5", "--jobs", "2")

    assert (0, "6 seeds, 0 failed") == (done.returncode, done.stdout.split(";")[0])
    assert "6 of 6 seeds, 0 failed" in done.stderr
    assert "engines" in done.stdout


@pytest.mark.parametrize("words", [["--seeds", "7"], ["--seeds", "a..b"], ["--seed", "x"]])
def test_a_word_that_is_no_range_is_refused(words: list[str]) -> None:
    """A run of no seeds would look like a good one."""
    done = _run(*words)

    assert 2 == done.returncode
    assert "usage:" in done.stderr

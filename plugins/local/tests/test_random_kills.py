"""kill -9 at moments nobody chose."""

import contextlib
import random
import time
from collections import Counter

import pytest
from local_bench import Bench

from drover.models import Attempt, Phase, Reason
from drover_local._doctor import ask_status

_JOBS = 200
_KILLS = 8


@pytest.fixture
def up(bench: Bench) -> Bench:
    """An agent that the test may kill or set up otherwise."""
    bench.start()
    return bench


def _code(attempt: Attempt) -> int:
    return int(attempt.spec.argv[2].rsplit(" ", 1)[1])


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_runs_twice_and_no_code_is_wrong(up: Bench, seed: int) -> None:
    """200 jobs, each with a line of its own, while agent and keeper are killed again and again."""
    chance = random.Random(seed)
    text = "echo x >> run.{0}; exit {1}"
    attempts = [up.attempt("sh", "-c", text.format(n, n % 7)) for n in range(_JOBS)]
    waiting = list(attempts)
    kills = 0
    while waiting or kills < _KILLS:
        batch, waiting = waiting[:20], waiting[20:]
        if batch:
            answers = up.backend.drover_submit(batch)
            # As the engine does: what was not taken is given again later.
            refused = {answer.token for answer in answers if answer.retryable}
            waiting += [attempt for attempt in batch if attempt.token in refused]
        time.sleep(chance.random() * 0.05)
        which = chance.choice([("pid",), ("pid",), ("keeper",), ("pid", "keeper")])
        with contextlib.suppress(OSError, AssertionError, ProcessLookupError):
            if kills < _KILLS and ask_status(up.place) is not None:
                up.kill(*which)
                kills += 1
    told: Counter[str] = Counter()
    for attempt in attempts:
        end = up.end(attempt)
        ran = up.home / f"run.{attempt.spec.argv[2].split('.')[1].split(';')[0]}"
        runs = len(ran.read_text().split()) if ran.exists() else 0

        assert runs <= 1, attempt

        if end.reason is Reason.LOST:
            told["lost"] += 1
        else:
            told["known"] += 1

            assert (_code(attempt), 1) == (end.exit_code, runs), attempt

    assert told["lost"] <= kills, told
    ends = Counter(row.token for row in up.context.seen if row.phase is Phase.ENDED)
    assert _JOBS == len(ends)

"""The tracing plugin around a real backend: a wrapper that is installed is called."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import drover


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ask for a trace of everything that this process does."""
    path = tmp_path / "trace.jsonl"
    monkeypatch.setenv("DROVER_TRACE", str(path))
    return path


def read(path: Path, **wanted: object) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [row for row in rows if wanted.items() <= row.items()]


def test_calls_and_facts_of_a_real_job_are_traced(tmp_path: Path, trace: Path) -> None:
    """Wrappers stand around every backend without any backend knowing of them."""
    with drover.open(tmp_path / "home", engine="inline") as session:
        job = session.submit(["sh", "-c", "echo out; exit 3"], env={"SECRET": "hunter2"})
        outcome = job.wait(timeout=60)
        assert outcome.exit_code == 3, job.history()
        assert "out\n" == job.stdout.read()

    (submitted,) = read(trace, kind="call", hook="drover_submit")
    assert ("local", 1, 1, None) == tuple(
        submitted[key] for key in ("backend", "items", "answers", "error")
    )
    facts = Counter(row["event"] for row in read(trace, kind="fact", job=job.id))
    assert {"SubmitIntended": 1, "Accepted": 1, "Started": 1, "Ended": 1} == {
        name: facts[name] for name in ("SubmitIntended", "Accepted", "Started", "Ended")
    }
    assert "hunter2" not in trace.read_text("utf-8")


def test_a_trace_that_cannot_be_written_harms_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever watches must not be able to stop what is watched."""
    monkeypatch.setenv("DROVER_TRACE", str(tmp_path / "no/such/folder/trace"))

    with drover.open(tmp_path / "home", engine="inline") as session:
        assert session.submit(["true"]).wait(timeout=60).succeeded

"""Copies of inputs and outputs."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from drover.commandline.staging import stage
from drover.models import Attempt, JobSpec


def test_two_may_copy_the_same_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of two backends, or of two stores, want the same input, and one of them would fail."""
    (tmp_path / "data").write_bytes(b"x" * 1000)
    both = threading.Barrier(2)
    copy = shutil.copy2

    def copy_together(source: str, target: str) -> Any:
        made = copy(source, target)
        both.wait(10)
        return made

    monkeypatch.setattr(shutil, "copy2", copy_together)
    spec = JobSpec(argv=["x"], cwd=tmp_path, inputs=[("data", "there/data")])
    attempts = [Attempt(job_id=name, number=1, token=name, spec=spec) for name in ("a", "b")]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda one: stage(one, spec.inputs, "inputs"), attempts))

    assert [(True, ""), (True, "")] == [(one.ok, one.message) for one in answers]
    assert [("data", 1000)] == [
        (path.name, path.stat().st_size) for path in (tmp_path / "there").iterdir()
    ]

"""`drover demo`: the main job, on real input, with every kind of end."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from attrs import frozen

from drover.cli import _documents, _exits
from drover.cli._command import StoreCommand
from drover.cli._options import json_option
from drover.cli._params import BackendName
from drover.cli._settings import Settings

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from drover.cli._demo_kinds import Kind
    from drover.cli._demo_view import View
    from drover.models import JobRecord
    from drover.session import Job, Session

# The demo promises a minute; what is not done by then is cancelled and shown as it is.
_LIMIT_S: Final = 50.0
# On a backend that was asked for by name, where others' jobs may be in the queue before ours.
_QUEUED_LIMIT_S: Final = 600.0
_STEP_S: Final = 0.2
_LEAVE_S: Final = 10.0


@frozen(kw_only=True)
class Part:
    """One kind, handed in."""

    kind: Kind
    jobs: list[Job]


@frozen(kw_only=True)
class Result:
    """What one kind came to."""

    kind: Kind
    records: list[JobRecord]

    @property
    def ok(self) -> bool:
        """Tell whether every job ended as it had to."""
        return all(self.kind.expected.met_by(record) for record in self.records)

    @property
    def outcomes(self) -> dict[str, int]:
        """Count how the jobs truly ended."""
        return dict(Counter(_ended(record) for record in self.records))


def _ended(record: JobRecord) -> str:
    text = f"{record.state}"
    if record.outcome is not None and record.state.ends_wait:
        how = record.outcome.describe().partition(":")[0].removeprefix(record.state)
        text += how if how.startswith(", ") or not how else f", {how}"
    if record.counted_attempt > 1:
        text += f", attempt {record.counted_attempt}"
    return text


@click.command("demo", cls=StoreCommand)
@click.option("--backend", type=BackendName(), help="Where to run it. [default: the local machine]")
@json_option
@click.pass_obj
def demo_command(settings: Settings, *, backend: str | None, as_json: bool) -> int:
    """Run a few hundred real commands over the files of Python's own standard library.

    They gzip, hash, count and compile, as arrays and as steps that wait for each other; among
    them jobs that fail, take too long, are retried or cancelled. The table at the end tells how
    each kind truly ended. The demo works in a store of its own and leaves nothing behind. Of a
    cloud it starts a server of its own, if the backend's distribution brings one. Exits with 0 if
    every job ended as it had to.
    """
    from drover.cli._demo_system import own_system
    from drover.cli._demo_view import show_results, view_for

    folder = Path(tempfile.mkdtemp(prefix="drover-demo-"))
    private = Settings(home=folder / "store", opener=settings.opener)
    began = time.monotonic()
    try:
        with (
            own_system(backend, folder),
            _nothing_lingers(private, backend),
            private.open(backend=backend) as session,
        ):
            try:
                results, checks = _play(session, folder, backend, view_for(quiet=as_json))
            finally:
                _leave(session)
    finally:
        _removed(folder)
    seconds = time.monotonic() - began
    ok = all(result.ok for result in results) and all(checks.values()) and not folder.exists()
    if as_json:
        click.echo(_documents.text_of(_document(results, checks, seconds, ok=ok)))
    else:
        show_results(results, checks, seconds, ok=ok)
    return _exits.OK if ok else _exits.UNSUCCESSFUL


def _play(
    session: Session, folder: Path, backend: str | None, view: View
) -> tuple[list[Result], dict[str, bool]]:
    """Hand everything in, watch it to the end, and check what it wrote."""
    from drover.cli._demo_kinds import STEPS, chosen_files, kinds

    files, work = chosen_files(), folder / "work"
    (work / "out").mkdir(parents=True)
    (work / "steps.py").write_text(STEPS, encoding="utf-8")
    (work / "files.txt").write_text("\n".join(map(str, files)), encoding="utf-8")
    parts = _handed_in(session, kinds(files, work), backend)
    with view:
        _watch(session, parts, view, _LIMIT_S if backend is None else _QUEUED_LIMIT_S)
    results = [Result(kind=part.kind, records=[job.record for job in part.jobs]) for part in parts]
    return results, _checks({part.kind.name: part.jobs for part in parts}, files)


def _handed_in(session: Session, wanted: Sequence[Kind], backend: str | None) -> list[Part]:
    from drover.cli._views import elements_of

    parts: list[Part] = []
    ids: dict[str, list[str]] = {}
    for kind in wanted:
        # Which goes first is a wish of ours: a cloud knows no order among tasks.
        made = session.submit_many(kind.make(ids), backend=backend, allow=["resources.priority"])
        ids[kind.name] = [job.id for job in made]
        parts.append(Part(kind=kind, jobs=elements_of(made)))
    return parts


def _watch(session: Session, parts: Sequence[Part], view: View, limit_s: float) -> None:
    """Draw until all have ended; cancel the one that is there for it once it runs."""
    from drover.states import State

    ends_at = time.monotonic() + limit_s
    doomed = [job for part in parts if part.kind.name == "cancelled" for job in part.jobs]
    everything = [job for part in parts for job in part.jobs]
    while True:
        _, pending = session.wait(everything, timeout=_STEP_S)
        view.draw(parts, {job.id for job in pending})
        if doomed and doomed[0].state is State.RUNNING:
            session.cancel([doomed.pop()], timeout=0.0)
        if not pending:
            return
        if time.monotonic() > ends_at:
            session.cancel(pending, grace_s=0.0, timeout=_LEAVE_S)
            return


def _checks(jobs: dict[str, list[Job]], files: Sequence[Path]) -> dict[str, bool]:
    """Compare what the jobs wrote with what this process finds by itself."""
    import hashlib

    contents = [path.read_bytes() for path in files]
    hashes = [hashlib.sha256(content).hexdigest() for content in contents]
    lines = [content.count(b"\n") for content in contents]
    return {
        "hashes equal Python's own": hashes == [_first_word(job) for job in jobs["hash"]],
        "line counts equal Python's own": list(map(str, lines))
        == [_first_word(job) for job in jobs["count"]],
        "the total equals the sum": str(sum(lines)) == _first_word(jobs["total"][0]),
        "every file was packed truly": str(len(files)) == _first_word(jobs["verify"][0]),
    }


def _first_word(job: Job) -> str:
    words = job.stdout.read_bytes().split()
    return words[0].decode("utf-8", "replace").lstrip("\\") if words else ""


@contextmanager
def _nothing_lingers(settings: Settings, backend: str | None) -> Generator[None]:
    """Ask the backend's helpers to leave with the engine, for as long as the demo takes.

    A backend that keeps a process for the next job has the setting `idle_s`; one that has not
    refuses it as unknown, and is left as it is.
    """
    with settings.open(engine="none", backend=backend) as session:
        name = session.default_backend
    variable = f"DROVER_BACKENDS__{name.upper()}__IDLE_S"
    before = os.environ.get(variable)
    os.environ[variable] = "0"
    try:
        with settings.open(engine="none", backend=backend) as session:
            if not any(info.ok for info in session.backends() if info.name == name):
                del os.environ[variable]
        yield
    finally:
        os.environ.pop(variable, None)
        if before is not None:
            os.environ[variable] = before


def _removed(folder: Path) -> None:
    """Delete the demo's folder; what is just leaving may still write to it."""
    ends_at = time.monotonic() + _LEAVE_S
    while folder.exists() and time.monotonic() < ends_at:
        shutil.rmtree(folder, ignore_errors=True)


def _leave(session: Session) -> None:
    """End what still runs, and the engine."""
    from drover.cli._views import UNFINISHED

    left = session.jobs(state=UNFINISHED, newest=None)
    if left:
        session.cancel(left, grace_s=0.0, timeout=_LEAVE_S)
    if not session.engine_stop(timeout=_LEAVE_S):
        sys.stderr.write("drover: the demo's engine has not left in time\n")


def _document(
    results: Sequence[Result], checks: dict[str, bool], seconds: float, *, ok: bool
) -> _documents.Document:
    return {
        "demo": {
            "ok": ok,
            "seconds": round(seconds, 3),
            "jobs": sum(len(result.records) for result in results),
            "kinds": [
                {
                    "kind": result.kind.name,
                    "title": result.kind.title,
                    "jobs": len(result.records),
                    "expected": result.kind.expected.text,
                    "outcomes": result.outcomes,
                    "ok": result.ok,
                }
                for result in results
            ],
            "checks": [{"check": text, "ok": good} for text, good in checks.items()],
        }
    }

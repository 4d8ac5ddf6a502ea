"""One look at the attempts of a backend: what is made of the queue and of what wrappers left."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from tiny import Bench

from drover.commandline import Known, Left, Owner, Recalled, Row, Talk, claims, wrapper, write_json
from drover.commandline.looking import UNREAD_S, Look, Memory, end_by_record
from drover.models import EndReport, Observation, Phase, Reason, Source, Started
from drover.testing import FakeClock, SystemClock

OWNER = Owner(native_id="7")
ENDED = EndReport(source=Source.QUEUE, at=5.0, native_id="7")
ROW = Row(
    native_id="7", key="key", phase=Phase.ENDED, source=Source.QUEUE, word="FAILED", end=ENDED
)


class Context:
    """As much of one as a look needs."""

    clock = SystemClock()


class Scripted:
    """A scheduler that lists what it is given, and keeps what it is asked about."""

    def __init__(self, *rows: Row, recalled: Recalled | None = None) -> None:
        self.rows, self.recalled = rows, recalled or Recalled()
        self.left: list[Left] = []

    def queue(self, _known: Sequence[Known]) -> Talk[Sequence[Row]]:
        yield from ()
        return self.rows

    def recall(self, left: Sequence[Left]) -> Talk[Recalled]:
        yield from ()
        self.left += left
        return self.recalled


class FileServer:
    """What a client of NFS does: it believes for a minute that what was not there is not there.

    Save in a folder that is opened: then it asks.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.missing: set[str] = set()
        self._open = os.open
        patch.setattr(wrapper, "open", self.read, raising=False)
        patch.setattr(os, "open", self.open)

    def read(self, path: str, mode: str = "r") -> Any:
        if path in self.missing:
            raise FileNotFoundError(2, "remembered", path)
        try:
            return Path(path).open(mode)
        except FileNotFoundError:
            self.missing.add(path)
            raise

    def open(self, path: Any, flags: int, *rest: Any, **more: Any) -> int:
        handle = self._open(path, flags, *rest, **more)
        if flags & os.O_DIRECTORY:
            self.missing = {one for one in self.missing if Path(one).parent != path}
        return handle


def look(scheduler: Scripted, folder: Path, **fields: Any) -> list[Observation]:
    """Look at one attempt."""
    known = Known(token="tok-1", folder=folder, key="key", index=0, size=1, label="", native_id="7")
    known = evolve(known, submission="7", **fields)
    context: Any = Context()
    speech: Any = scheduler
    return Look(context, speech, [known], Memory()).rows()[0]


def record(folder: Path, owner: Owner, entry: claims.Entry | None = None, **fields: Any) -> None:
    """Leave a claim, if there is none yet, and an exit record, as a wrapper does."""
    entry = entry or claims.take(folder, owner, requeue=True).entry
    assert entry is not None
    content: Mapping[str, Any] = {
        "version": 1, "token": "tok-1", "claim": entry.index, "nonce": entry.nonce, "host": "here",
        "native_id": owner.native_id, "restart": owner.restart, "started": "yes", "message": "",
        "exit_code": 0, "signal": None, "core_dumped": False, "ended_at": 4.0, "usage": None,
        **fields,
    }  # fmt: skip
    write_json(folder, f"exit.{owner.restart}.json", content)


def test_a_record_of_this_run_needs_no_more_questions(tmp_path: Path) -> None:
    """The controller is asked about those jobs alone that nobody else can tell of."""
    record(tmp_path, OWNER, exit_code=3)
    scheduler = Scripted(ROW)
    rows = look(scheduler, tmp_path)

    assert [True] == [entry.has_record for entry in scheduler.left]
    assert [3, None] == [row.end.exit_code for row in rows if row.end]


def test_a_record_of_an_earlier_run_says_nothing_of_this_one(tmp_path: Path) -> None:
    """Its exit code was never asked for, and the job ended as LOST."""
    record(tmp_path, OWNER, exit_code=None, signal=15)
    scheduler = Scripted(evolve(ROW, restart=1))
    look(scheduler, tmp_path, requeue=True, restart=1)
    look(scheduler, tmp_path, requeue=True, restart=0)

    assert [False, False] == [entry.has_record for entry in scheduler.left]


def test_a_number_that_is_somebody_elses_now_is_not_listed(tmp_path: Path) -> None:
    """Slurm hands ids out again after a crash: his end is not ours."""
    scheduler = Scripted(evolve(ROW, key="another"))

    assert [] == look(scheduler, tmp_path)
    assert [None] == [entry.row for entry in scheduler.left]


def test_nothing_runs_before_its_claim_is_taken(tmp_path: Path) -> None:
    """Until then it may be closed, and a cancel says truly that it never ran."""
    running = evolve(ROW, phase=Phase.RUNNING, word="RUNNING", end=None, started_at=3.0)

    (before,) = look(Scripted(running), tmp_path)
    claims.take(tmp_path, OWNER)
    (after,) = look(Scripted(running), tmp_path)
    assert (Phase.QUEUED, None) == (before.phase, before.started_at)
    assert (Phase.RUNNING, 3.0) == (after.phase, after.started_at)


def test_a_run_that_leaves_is_not_the_one_that_waits(tmp_path: Path) -> None:
    """A requeued job was told to run for as long as Slurm lets it wait: two minutes."""
    record(tmp_path, OWNER, exit_code=None, signal=15)
    leaving = evolve(
        ROW, phase=Phase.RUNNING, word="COMPLETING", end=None, is_leaving=True, restart=1
    )
    before = look(Scripted(leaving), tmp_path, requeue=True)
    again = evolve(leaving, is_leaving=False, word="RUNNING")
    starting = look(Scripted(again), tmp_path, requeue=True, restart=1)
    claims.take(tmp_path, evolve(OWNER, restart=1), requeue=True)
    after = look(Scripted(again), tmp_path, requeue=True, restart=1)

    assert [(Phase.ENDED, 0), (Phase.QUEUED, 1)] == [(row.phase, row.restart) for row in before]
    assert [Phase.QUEUED] == [row.phase for row in starting]
    assert [Phase.RUNNING] == [row.phase for row in after]


def test_an_end_of_which_more_will_be_known_is_not_told_yet(tmp_path: Path) -> None:
    """Accounting lags: the first word would be taken for the last."""
    (row,) = look(Scripted(ROW, recalled=Recalled(not_yet=frozenset({"7"}))), tmp_path)

    assert (Phase.UNKNOWN, None) == (row.phase, row.end)


def test_what_was_missing_a_moment_ago_is_looked_for_at_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that was asked for too early was not seen until long after the end was decided."""
    entry = claims.take(tmp_path, OWNER).entry
    FileServer(monkeypatch)
    assert [] == end_by_record(tmp_path, "tok-1", 1.0)
    record(tmp_path, OWNER, entry, exit_code=137)
    assert [] == end_by_record(tmp_path, "tok-1", 1.0)

    scheduler = Scripted(ROW)
    rows = look(scheduler, tmp_path)
    assert [True] == [entry.has_record for entry in scheduler.left]
    assert [137, None] == [row.end.exit_code for row in rows if row.end]


def test_word_of_an_end_is_looked_up_at_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Word is told once: what it is about was not seen before the next look at the queue."""
    bench = Bench(tmp_path)
    attempt = bench.attempt()
    bench.backend.drover_submit([attempt])
    FileServer(monkeypatch)
    assert [] == end_by_record(bench.folder(attempt), attempt.token, 1.0)
    bench.world.execute("1")

    bench.backend._news.look()
    assert [Phase.ENDED] == [row.phase for row in bench.reported]


def test_a_folder_that_cannot_be_read_harms_its_job_alone(tmp_path: Path) -> None:
    """One damaged file made every look at the queue fail, for all jobs and for ever."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        folder.mkdir()
    (bad / "claim.0").symlink_to("claim.0")
    claims.take(good, OWNER)
    entries = [
        Known(token=name, folder=tmp_path / name, key="key", index=0, size=1, label="",
              native_id=native_id, submission=native_id)
        for name, native_id in (("bad", "6"), ("good", "7"))
    ]  # fmt: skip
    context: Any = Context()
    for phase in (Phase.RUNNING, Phase.ENDED):
        rows = [
            evolve(
                ROW, native_id=native_id, phase=phase, end=ENDED if phase is Phase.ENDED else None
            )
            for native_id in "67"
        ]
        speech: Any = Scripted(*rows)
        told, complete = Look(context, speech, entries, Memory()).rows()

        assert complete
        assert [("bad", Phase.UNKNOWN), ("good", phase)] == [(row.token, row.phase) for row in told]


def test_what_is_nowhere_and_never_can_be_read_is_missing_in_the_end(tmp_path: Path) -> None:
    """Its user would wait for ever, and a cancel find nothing to cancel."""
    (tmp_path / "claim.0").symlink_to("claim.0")
    known = Known(token="t", folder=tmp_path, key="key", index=0, size=1, label="", native_id="7")
    context: Any = Context()
    context.clock = FakeClock()
    speech: Any = Scripted()
    memory = Memory()
    seen: list[int] = []
    for _ in range(2):
        seen.append(len(Look(context, speech, [known], memory).rows()[0]))
        context.clock.advance(UNREAD_S)

    assert [1, 0] == seen


@pytest.mark.parametrize("claimed", [False, True])
def test_the_code_of_a_wrapper_that_ran_nothing_is_no_commands(
    tmp_path: Path, claimed: bool
) -> None:
    """A claim that is in doubt may stand all the same, and the command was told to have run."""
    if claimed:
        claims.take(tmp_path, OWNER)
    end = evolve(ENDED, exit_code=wrapper.UNRUN_EXIT)
    (row,) = look(Scripted(evolve(ROW, end=end)), tmp_path)

    assert row.end is not None
    assert (Reason.LAUNCH_FAILED, None) == (row.end.reason, row.end.exit_code)
    assert (Started.UNKNOWN if claimed else Started.NO) is row.end.started

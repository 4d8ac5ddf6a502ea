"""One attempt has one owner, whoever races for it."""

import errno
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from drover.commandline import claims, wrapper
from drover.commandline.claims import EntryKind, Owner
from drover.models import Closing

TAKE = """
import sys
from pathlib import Path
from drover.commandline import claims
print("ready", flush=True)
sys.stdin.readline()
won = claims.take(Path(sys.argv[1]), claims.Owner(native_id=sys.argv[2])).won
print("won" if won else "lost")
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_of_fifty_takers_one_wins(tmp_path: Path) -> None:
    """Two owners of one attempt would run the command twice."""
    barrier = Barrier(50)

    def take(number: int) -> bool:
        barrier.wait()
        return claims.take(tmp_path, Owner(native_id=str(number))).won

    with ThreadPoolExecutor(50) as pool:
        won = list(pool.map(take, range(50)))

    (entry,) = claims.read(tmp_path)
    assert won.count(True) == 1
    assert entry.owner == Owner(native_id=str(won.index(True)))
    assert names(tmp_path) == ["claim.0"]


def test_of_several_processes_one_wins(tmp_path: Path) -> None:
    """Threads share a process's caches; compute nodes do not."""
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE, tmp_path, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(6)
    ]
    for taker in takers:
        assert taker.stdout is not None
        assert taker.stdout.readline() == "ready\n"
    for taker in takers:
        assert taker.stdin is not None
        taker.stdin.write("\n")
        taker.stdin.flush()
    answers = [taker.communicate(timeout=20)[0] for taker in takers]

    assert sorted(answers) == ["lost\n"] * 5 + ["won\n"]


@pytest.mark.parametrize("round_", range(20))
def test_a_closer_and_takers_agree_on_who_was_first(tmp_path: Path, round_: int) -> None:
    """If the engine believed an attempt closed that runs, it would open the next."""
    barrier = Barrier(5)

    def act(number: int) -> object:
        barrier.wait()
        if number == round_ % 5:
            return claims.close(tmp_path, "given up")
        return claims.take(tmp_path, Owner(native_id=str(number))).won

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(act, range(5)))

    closed = answers.pop(round_ % 5)
    entries = claims.read(tmp_path)
    assert isinstance(closed, claims.Closed)
    if closed.closing is Closing.CLOSED:
        assert not any(answers)
        assert [entry.kind for entry in entries] == [EntryKind.CLOSED]
    else:
        assert answers.count(True) == 1
        assert [entry.kind for entry in entries] == [EntryKind.START, EntryKind.CLOSED]
        assert closed.owner == entries[0].owner


def test_closed_beats_every_later_taker(tmp_path: Path) -> None:
    """What bears the token of a closed attempt must never start."""
    assert claims.close(tmp_path, "given up").closing is Closing.CLOSED

    taking = claims.take(tmp_path, Owner(native_id="7"), requeue=True)

    assert not taking.won
    assert "given up" in taking.why


def test_closing_twice_gives_the_same_answer(tmp_path: Path) -> None:
    """The engine repeats what it does not know to be done."""
    claims.take(tmp_path, Owner(native_id="7"))

    first, second = claims.close(tmp_path, "a"), claims.close(tmp_path, "b")

    assert first == second
    assert first.closing is Closing.TAKEN
    assert first.owner == Owner(native_id="7")
    assert names(tmp_path) == ["claim.0", "claim.1"]


def test_closing_a_missing_folder_keeps_it_closed(tmp_path: Path) -> None:
    """A wrapper that comes after somebody has made the folder again must find it closed."""
    folder = tmp_path / "a" / "b"

    assert claims.close(folder, "purged").closing is Closing.CLOSED
    assert not claims.take(folder, Owner(native_id="7")).won


def test_a_missing_folder_cannot_be_taken(tmp_path: Path) -> None:
    """A purged attempt must not run."""
    taking = claims.take(tmp_path / "gone", Owner(native_id="7"))

    assert not taking.won
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize(
    ("earlier", "later", "requeue", "won"),
    [
        (("7", 0), ("7", 0), True, False),  # the same start again
        (("7", 0), ("7", 1), True, True),  # a restart
        (("7", 1), ("7", 0), True, False),  # a start that is over
        (("7", 0), ("8", 1), True, False),  # another job with the same folder
        (("7", 0), ("7", 1), False, False),  # a restart that nobody allowed
    ],
)
def test_who_may_follow_a_start(
    tmp_path: Path, earlier: tuple[str, int], later: tuple[str, int], requeue: bool, won: bool
) -> None:
    """Requeue by the scheduler is a restart of the same job, and only if asked for."""
    first, second = (
        Owner(native_id=native_id, restart=restart) for native_id, restart in (earlier, later)
    )
    assert claims.take(tmp_path, first, requeue=requeue).won

    assert claims.take(tmp_path, second, requeue=requeue).won is won
    assert len(claims.read(tmp_path)) == 1 + won


def test_an_entry_nobody_can_read_counts_as_taken(tmp_path: Path) -> None:
    """Half a file may be the rest of somebody's claim."""
    (tmp_path / "claim.0").write_bytes(b'{"kind": "sta')

    assert not claims.take(tmp_path, Owner(native_id="7"), requeue=True).won
    assert claims.close(tmp_path, "x") == claims.Closed(closing=Closing.TAKEN)


def test_a_lost_reply_does_not_lose_the_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over NFS the repeated request for a link that was made answers "exists"."""
    link = os.link

    def echo(source: str, target: str) -> None:
        link(source, target)
        raise FileExistsError(errno.EEXIST, "exists", target)

    monkeypatch.setattr(wrapper.os, "link", echo)

    assert claims.take(tmp_path, Owner(native_id="7")).won


def test_in_doubt_nothing_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that may still be made must not be believed, nor its absence."""

    def hang(_source: str, _target: str) -> None:
        raise TimeoutError(errno.ETIMEDOUT, "timed out")

    monkeypatch.setattr(wrapper.os, "link", hang)

    assert "doubt" in claims.take(tmp_path, Owner(native_id="7")).why
    assert claims.close(tmp_path, "x").closing is Closing.UNKNOWN


def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    """Claims name hosts and jobs; nobody else may write one."""
    before = os.umask(0)
    try:
        claims.take(tmp_path / ".", Owner(native_id="7"))
        claims.close(tmp_path / "new", "x")
    finally:
        os.umask(before)

    modes = [(tmp_path / name).stat().st_mode for name in ("claim.0", "new/claim.0", "new")]
    assert [stat.S_IMODE(mode) for mode in modes] == [0o600, 0o600, 0o700]


def test_an_entry_names_its_owner_or_its_reason(tmp_path: Path) -> None:
    """People and the engine adopt by what stands there."""
    claims.take(tmp_path, Owner(native_id="7.1", restart=2))
    claims.close(tmp_path, "engine: retry")

    start, closing = claims.read(tmp_path)

    assert start.owner == Owner(native_id="7.1", restart=2)
    assert start.process is not None
    assert start.process.pid == os.getpid()
    assert start.process.is_alive
    assert (closing.kind, closing.why) == (EntryKind.CLOSED, "engine: retry")
    assert claims.is_owner(tmp_path, Owner(native_id="7.1", restart=2))
    assert not claims.is_owner(tmp_path, Owner(native_id="7.1", restart=1))


def test_nothing_was_ever_claimed(tmp_path: Path) -> None:
    """A folder without claims reads as such, and so does no folder."""
    assert claims.read(tmp_path) == ()
    assert claims.read(tmp_path / "gone") == ()

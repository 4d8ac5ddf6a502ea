"""A listing, asked for one job after the other; and word that wrappers leave."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from drover.commandline import Known, Listing, Row
from drover.commandline.news import NewsReader
from drover.models import Phase, Source


def row(native_id: str, key: str = "KEY", *indices: range, submission: str = "") -> Row:
    return Row(
        native_id=native_id, key=key, phase=Phase.QUEUED, source=Source.QUEUE, word="PD",
        submission=submission, indices=indices,
    )  # fmt: skip


def known(native_id: str, key: str = "KEY", index: int = 0, size: int = 1) -> Known:
    return Known(
        token="t", folder=Path("/f"), key=key, index=index, size=size, label="x",
        native_id=native_id, submission=native_id.partition("_")[0],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("listed", "asked", "found"),
    [
        (row("7"), known("7"), True),
        (row("7", ""), known("7"), True),
        (row("7", "OTHER"), known("7"), False),
        (row("8"), known("7"), False),
        (row("7_1"), known("7_1", index=1, size=3), True),
        (row("7_1", "OTHER"), known("7_1", index=1, size=3), False),
        (row("7", "KEY", range(3)), known("7_2", index=2, size=3), True),
        (row("7", "KEY", range(2)), known("7_2", index=2, size=3), False),
        (row("7", "KEY", range(0, 9, 3), range(20, 22)), known("7_6", index=6, size=30), True),
        (row("7", "KEY", range(0, 9, 3), range(20, 22)), known("7_21", index=21, size=30), True),
        (row("7", "KEY", range(0, 9, 3), range(20, 22)), known("7_7", index=7, size=30), False),
        (row("7", "OTHER", range(3)), known("7_2", index=2, size=3), False),
        (row("7", "", range(3)), known("7_2", index=2, size=3), True),
        (row("8", "KEY", range(3)), known("7_2", index=2, size=3), False),
    ],
)
def test_an_id_and_a_key_together_are_an_identity(listed: Row, asked: Known, found: bool) -> None:
    """An id alone may have been handed out again."""
    assert (listed if found else None) is Listing([listed]).find(asked)


def test_an_element_of_its_own_goes_before_the_array() -> None:
    """What waits is one row; an element that runs has left it."""
    own = row("7_1")
    rows = [row("7", "KEY", range(3)), own]

    assert own is Listing(rows).find(known("7_1", index=1, size=3))


def test_an_element_under_an_id_of_somebody_else_is_not_looked_up_further() -> None:
    """The row of its id is a stranger's: that of the array is not its own either."""
    rows = [row("7_1", "OTHER"), row("7", "KEY", range(3))]

    assert Listing(rows).find(known("7_1", index=1, size=3)) is None


def test_submissions_are_found_by_their_keys() -> None:
    """An array is told by its own id, whichever of its rows is there."""
    rows = [
        row("7", "A"), row("8", "B", range(3)), row("9_2", "C", submission="9"), row("5", ""),
    ]  # fmt: skip

    assert {"A": "7", "B": "8", "C": "9"} == Listing(rows).submissions()


# --- news ----------------------------------------------------------------------------------------


def test_word_is_told_once_and_gone(tmp_path: Path) -> None:
    """A file per event, named after its token."""
    told: list[Any] = []
    reader = NewsReader(tmp_path, told.append)
    for name in ("token-2.ab", "token-1.cd", "token-1.ef"):
        (tmp_path / name).touch()

    reader.look()
    reader.look()

    assert [["token-1", "token-2"]] == told
    assert [] == list(tmp_path.iterdir())


def test_word_that_comes_later_is_told_later(tmp_path: Path) -> None:
    """The folder's time changes with each file."""
    told: list[Any] = []
    reader = NewsReader(tmp_path, told.append)
    (tmp_path / "a.1").touch()
    reader.look()
    (tmp_path / "b.1").touch()
    reader.look()

    assert [["a"], ["b"]] == told


def test_without_a_folder_there_is_no_word(tmp_path: Path) -> None:
    """Nothing was handed over yet."""
    NewsReader(tmp_path / "none", pytest.fail).look()


def test_word_that_cannot_be_told_is_kept(tmp_path: Path) -> None:
    """The file goes when somebody has heard it, and not before."""

    def deaf(_tokens: object) -> None:
        raise OSError("the store is away")

    (tmp_path / "a.1").touch()
    reader = NewsReader(tmp_path, deaf)
    with pytest.raises(OSError, match="away"):
        reader.look()

    assert ["a.1"] == [path.name for path in tmp_path.iterdir()]


def test_what_could_not_be_told_once_is_told_later(tmp_path: Path, eventually: Any) -> None:
    """Nobody listened any more, and ends were known when the queue was asked."""
    heard = threading.Event()
    failures = [OSError("the file server is away")]

    def tell(_tokens: object) -> None:
        if failures:
            raise failures.pop()
        heard.set()

    reader = NewsReader(tmp_path, tell)
    (tmp_path / "a.1").touch()
    os.utime(tmp_path, (1.0, 1.0))
    reader.start()
    reader.want(True)

    eventually(heard.is_set, "word")
    reader.stop()


def test_it_looks_while_there_is_something_to_wait_for(tmp_path: Path, eventually: Any) -> None:
    """On a thread of its own, which ends when it is told to."""
    heard = threading.Event()
    reader = NewsReader(tmp_path, lambda _tokens: heard.set())
    reader.start()
    reader.want(True)
    (tmp_path / "a.1").touch()

    eventually(heard.is_set, "word")
    reader.stop()

    assert "drover-news" not in {thread.name for thread in threading.enumerate()}

"""The file of reaped jobs: what stands there stays there, whoever writes beside."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from drover.drmaa._reaped import Reaped
from drover.errors import StoreUnusableError


def test_a_job_is_reaped_once(tmp_path: Path) -> None:
    reaped = Reaped(tmp_path, "k")

    assert [True, False, True] == [reaped.claim(one) for one in ("a", "a", "b")]
    assert [True, True, False] == [one in reaped for one in ("a", "b", "c")]


def test_it_stays_reaped(tmp_path: Path) -> None:
    """A crash must not bring a job back that was dealt with."""
    Reaped(tmp_path, "k").claim("a")

    assert "a" in Reaped(tmp_path, "k")
    assert not Reaped(tmp_path, "k").claim("a")
    assert "a" not in Reaped(tmp_path, "other")


def test_of_two_that_hold_the_same_one_gets_it(tmp_path: Path) -> None:
    one, other = Reaped(tmp_path, "k"), Reaped(tmp_path, "k")

    assert (True, False) == (one.claim("a"), other.claim("a"))
    ids = [f"job{k}" for k in range(200)]
    with ThreadPoolExecutor(2) as pool:
        mine, theirs = pool.map(lambda who: [i for i in ids if who.claim(i)], (one, other))
    assert sorted(ids) == sorted(mine + theirs)


def test_a_torn_line_is_no_id_and_spoils_none(tmp_path: Path) -> None:
    """As a power cut leaves it: half an id, and no end of the line."""
    Reaped(tmp_path, "k").claim("first")
    path = tmp_path / "drmaa" / "k.reaped"
    with path.open("ab") as file:
        file.write(b"sec")
    reaped = Reaped(tmp_path, "k")

    assert [False, True, True] == [reaped.claim(one) for one in ("first", "second", "third")]
    again = Reaped(tmp_path, "k")
    assert [True, True, True] == [one in again for one in ("first", "second", "third")]


def test_the_file_is_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        Reaped(tmp_path, "k")
    finally:
        os.umask(old)

    assert [0o700, 0o600] == [
        (tmp_path / name).stat().st_mode & 0o777 for name in ("drmaa", "drmaa/k.reaped")
    ]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "drmaa").write_text("in the way")

    with pytest.raises(StoreUnusableError, match="waited for cannot be kept"):
        Reaped(tmp_path, "k")

"""Times, lengths, sizes and host lists are read and written as Slurm has them."""

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drover.testing.scheduler import SlurmScheduler
from drover.testing.scheduler.slurm import _text as text

NOON = 1_700_049_600.0  # 2023-11-15T12:00:00Z


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("5", 300), ("1:30", 120), ("0:01", 60), ("1:00:00", 3600), ("2-0", 172_800),
        ("1-12:30", 131_400), ("1-0:0:1", 86_460), ("UNLIMITED", float("inf")), ("soon", None),
    ],
)  # fmt: skip
def test_a_time_limit_is_read_in_whole_minutes(written: str, seconds: float | None) -> None:
    """A limit of a second is one of a minute."""
    assert seconds == text.read_length(written)


@pytest.mark.parametrize(
    ("seconds", "queue", "accounting"),
    [
        (0, "0:00", "00:00:00"), (61, "1:01", "00:01:01"), (3600, "1:00:00", "01:00:00"),
        (90_061, "1-01:01:01", "1-01:01:01"), (None, "UNLIMITED", "UNLIMITED"),
    ],
)  # fmt: skip
def test_a_length_is_written_in_two_ways(
    seconds: float | None, queue: str, accounting: str
) -> None:
    assert (queue, accounting) == (
        text.length_text(seconds),
        text.length_text(seconds, padded=True),
    )


@pytest.mark.parametrize(
    ("written", "after_s"),
    [
        ("now", 0), ("now+60", 60), ("now+1hour", 3600), ("now-2days", -172_800), ("noon", 0),
        ("today", -43_200), ("tomorrow", 43_200), ("2023-11-15T12:00:10", 10), ("13:00", 3600),
        ("2023-11-15", -43_200), ("11:00", 82_800), ("teatime", 14_400), ("whenever", None),
    ],
)  # fmt: skip
def test_an_instant_is_read(written: str, after_s: float | None) -> None:
    """A time of day that is past is tomorrow's."""
    at = text.read_clock(written, NOON, UTC)

    assert after_s == (None if at is None else at - NOON)


def test_times_are_in_the_callers_zone() -> None:
    """The same instant is written differently, with nothing that says so."""
    tokyo = text.zone_of({"TZ": "Asia/Tokyo"}, "UTC")

    assert ZoneInfo("Asia/Tokyo") == tokyo
    assert "2023-11-15T21:00:00" == text.clock_text(NOON, {}, tokyo)
    assert "12:00" == text.clock_text(NOON, {"SLURM_TIME_FORMAT": "%H:%M"}, UTC)
    assert "N/A" == text.clock_text(None, {}, UTC)


@pytest.mark.parametrize(
    ("written", "megabytes"),
    [("100", 100), ("2G", 2048), ("1T", 1_048_576), ("1K", 1), ("0", 0), ("x", None), ("", None)],
)
def test_a_size_is_read(written: str, megabytes: int | None) -> None:
    assert megabytes == text.read_size_mb(written)


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        (("node1", "node2", "node3"), "node[1-3]"),
        (("node1", "node3", "other"), "node[1,3],other"),
        (("n9",), "n9"),
        ((), ""),
    ],
)
def test_hosts_are_folded(names: tuple[str, ...], folded: str) -> None:
    assert folded == text.fold_hosts(names)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_hosts_unfold_to_what_they_were(numbers: set[int]) -> None:
    """Whatever is folded can be read again."""
    names = tuple(f"node{number}" for number in sorted(numbers))

    assert list(names) == text.expand_hosts(text.fold_hosts(names))


def test_held_jobs_are_outside_every_window(scheduler: SlurmScheduler, prompt: Any) -> None:
    """They were never eligible: a search by name does not find them, one by id does."""
    prompt.submit("-J free")
    prompt.submit("-J held -H")
    scheduler.advance(5.0)
    fields = "-n -P -X -o JobName"

    assert "free\n" == prompt.says(f"sacct {fields} -u ann -S now-1hour")
    assert "" == prompt.says(f"sacct {fields} --name held -S now-1hour")
    assert "held\n" == prompt.says(f"sacct {fields} -j 2")


def test_accounting_has_the_comment_when_the_job_ends(
    scheduler: SlurmScheduler, prompt: Any
) -> None:
    """A token in a comment cannot be searched for before, and the queue shows it at once."""
    prompt.submit("--comment token")
    query = "sacct -n -P -X -j 1 -o Comment"
    scheduler.advance(5.0)
    assert ("token\n", "\n") == (prompt.says("squeue -h -o %k"), prompt.says(query))
    scheduler.finish(1)
    scheduler.advance(5.0)
    assert "token\n" == prompt.says(query)
    scheduler.change_site(stores_comment=False)
    assert "\n" == prompt.says(query)


def test_the_last_of_several_jobs_with_an_id_is_told(
    scheduler: SlurmScheduler, prompt: Any
) -> None:
    """After ids were handed out again `-D` alone shows both."""
    prompt.submit("-J first")
    scheduler.crash()
    prompt.submit("-J second")
    scheduler.advance(5.0)
    query = "sacct -n -P -X -j 1 -o JobName"

    assert "second\n" == prompt.says(query)
    assert "first\nsecond\n" == prompt.says(f"{query} -D")

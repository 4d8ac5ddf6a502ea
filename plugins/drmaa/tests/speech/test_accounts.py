"""Accounts as a real Grid Engine keeps them."""

from collections.abc import Mapping

import pytest
from ge_speech import Reply, known, page

from drover.commandline import Row
from drover.errors import UnreachableError
from drover.models import Reason
from drover_drmaa import _qacct


def records(name: str) -> list[Mapping[str, str]]:
    return _qacct.read(page("accounts")[name])


def only(name: str) -> Row:
    (row,) = _qacct.rows_of(records(name)).values()
    return row


def end(name: str) -> tuple[Reason | None, int | None, int | None]:
    report = only(name).end
    assert report is not None
    return report.reason, report.exit_code, report.signal


def test_how_jobs_ended() -> None:
    """An exit code is no signal, and a job that never began has neither."""
    assert (None, 3, None) == end("exited")
    assert (None, None, 9) == end("deleted")
    assert (Reason.WALL_TIME, None, 9) == end("over its limit")
    assert (Reason.LAUNCH_FAILED, None, None) == end("failed")


def test_why_it_never_began_is_told() -> None:
    """A number is for administrators."""
    report = only("failed").end

    assert report is not None
    assert "changing into working directory" in report.message


def test_over_its_memory_it_is_out_of_memory() -> None:
    """Accounting has one number for all limits; what was asked for tells which."""
    text = page("accounts")["over its limit"].stdout.replace("-l h_rt=2", "-l h_rt=900,h_vmem=1G")
    (row,) = _qacct.rows_of(_qacct.read(Reply(text))).values()

    assert row.end is not None
    assert Reason.OUT_OF_MEMORY is row.end.reason


def test_elements_of_an_array_have_accounts_of_their_own() -> None:
    """One question answers for all of them."""
    rows = _qacct.rows_of(records("array"))
    (number,) = {row.submission for row in rows.values()}

    assert {f"{number}.{k}" for k in (1, 2, 3)} == set(rows)


def test_a_job_that_was_run_again_has_not_ended_with_that() -> None:
    """Its record of the first time says "rescheduling"; the last one counts."""
    assert 2 == len(records("run again"))
    assert (None, 0, None) == end("run again")


def test_what_was_used() -> None:
    """The unit behind ru_maxrss is not the one that qacct prints."""
    report = only("exited").end
    assert report is not None
    usage = report.usage

    assert usage is not None
    assert "localhost" == usage.host
    assert 1_000_000 < (usage.max_rss_bytes or 0) < 100_000_000
    assert 0.0 <= (usage.cpu_user_s or 0.0) < 5.0


def test_one_that_is_not_there_is_an_answer() -> None:
    """A job that was deleted before it ran has no account."""
    assert [] == records("deleted before it ran")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("error: /sge/default/common/accounting: No such file or directory",
         _qacct.AccountingOffError),
        ("error: commlib error", UnreachableError),
    ],
)  # fmt: skip
def test_no_accounts_and_no_answer_are_two_things(said: str, kind: type[Exception]) -> None:
    """One is asked again in a while, the other at once."""
    with pytest.raises(kind):
        _qacct.read(Reply("", said, 1))


def test_few_are_asked_for_one_by_one_and_many_at_once() -> None:
    """Each question reads a file that may be as long as the site is old."""
    few = _qacct.commands("ann", [known(f"7.{k}", "s-a-1") for k in range(1, 900)], 5.0)
    keys = [f"store-a{k}-1" for k in range(50)]
    many = _qacct.commands("ann", [known(str(k), key) for k, key in enumerate(keys)], 5.0)

    assert [("qacct", "-j", "7")] == [command.argv for command in few]
    assert [("qacct", "-o", "ann", "-j", "*+store-a*")] == [command.argv for command in many]
    assert {"KEY-exits"} == {_qacct.submission_of(row)[0] for row in records("by pattern")}


@pytest.mark.parametrize(
    ("text", "amount"),
    [("84s", 84.0), ("4.5KB", 4500.0), ("3.121M", 3121000.0), ("1:00:00", 3600.0), ("0.008", 0.008),
     ("NONE", 0.0), ("undefined", 0.0)],
)  # fmt: skip
def test_amounts(text: str, amount: float) -> None:
    """Versions write them with and without units."""
    assert amount == _qacct._amount(text)

"""What sacct prints, and what it is worth."""

import pytest
from slurm_speech import Reply, page

from drover.errors import UnreachableError
from drover.models import Phase, Reason, Source
from drover_slurm import _accounting
from drover_slurm._accounting import Account, AccountingOffError, expand_hosts, row_of

ACCOUNTS = page("accounts")
MIB = 2**20


def line(
    id: str = "7", state: str = "COMPLETED", code: str = "0:0", name: str = "n@KEY", **more: str
) -> str:
    values = {
        "Submit": "2026-01-31T00:00:00", "Start": "2026-01-31T00:00:10",
        "End": "2026-01-31T00:01:10", "UserCPU": "00:01.500", "SystemCPU": "00:00.250",
        "MaxRSS": "", "ElapsedRaw": "60", "ConsumedEnergyRaw": "", "NodeList": "node1", **more,
    }  # fmt: skip
    return "|".join([id, state, code, *values.values(), name])


def read(*lines: str) -> dict[str, Account]:
    told = _accounting.read(Reply("".join(f"{text}\n" for text in lines)))
    return {account.native_id: account for account in told}


def test_recorded_accounts_are_read() -> None:
    """Jobs, elements of arrays, steps, and of one that was requeued its first life."""
    told = {account.key: account for account in _accounting.read(ACCOUNTS["of many"])}

    assert {
        "KEY-zero": "COMPLETED", "KEY-seven": "FAILED", "KEY-high": "FAILED",
        "KEY-killed": "FAILED", "KEY-unwritable": "FAILED", "KEY-gone": "CANCELLED by 0",
        "KEY-again": "REQUEUED", "KEY-runs": "RUNNING", "KEY-stopped": "SUSPENDED",
    } == {key: account.word for key, account in told.items()}  # fmt: skip
    assert "_1" in told["KEY-runs"].native_id
    assert told["KEY-zero"].usage.nodes == ("node1",)
    assert [] == _accounting.read(ACCOUNTS["of nobody"])


@pytest.mark.parametrize(
    ("key", "code", "signal", "reason"),
    [
        ("zero", 0, None, None),
        ("seven", 7, None, None),
        ("high", 9, None, None),
        ("killed", None, 9, None),
        ("unwritable", None, None, Reason.LAUNCH_FAILED),
        ("gone", None, None, Reason.CANCELLED),
    ],
)
def test_ends_as_a_real_accounting_tells_them(
    key: str, code: int | None, signal: int | None, reason: Reason | None
) -> None:
    """CANCELLED is told with 0:0, which is no success."""
    told = {account.key: account for account in _accounting.read(ACCOUNTS["of many"])}
    row = row_of(told[f"KEY-{key}"])

    assert row is not None
    assert row.end is not None
    assert (code, signal, reason) == (row.end.exit_code, row.end.signal, row.end.reason)
    assert (Phase.ENDED, Source.ACCOUNTING) == (row.phase, row.end.source)


@pytest.mark.parametrize(
    ("state", "code", "exit_code", "signal", "reason"),
    [
        ("TIMEOUT", "0:0", None, None, Reason.WALL_TIME),
        ("TIMEOUT", "0:1", None, 1, Reason.WALL_TIME),
        ("OUT_OF_MEMORY", "0:125", None, None, Reason.OUT_OF_MEMORY),
        ("NODE_FAIL", "0:0", None, None, Reason.NODE_LOST),
        ("NODE_FAIL", "1:0", 1, None, Reason.NODE_LOST),
        ("PREEMPTED", "0:0", None, None, Reason.PREEMPTED),
        ("DEADLINE", "0:0", None, None, Reason.DEADLINE),
        ("CANCELLED by 1000", "0:15", None, 15, Reason.CANCELLED),
        ("FAILED", "127:0", 127, None, None),
        ("FAILED", "200:0", 200, None, None),
        ("COMPLETED", "0:0", 0, None, None),
        ("COMPLETED", "", None, None, None),
    ],
)
def test_ends(
    state: str, code: str, exit_code: int | None, signal: int | None, reason: Reason | None
) -> None:
    """What was not told is not made up: 0:0 beside TIMEOUT is nobody's exit code."""
    row = row_of(read(line(state=state, code=code))["7"])

    assert row is not None
    assert row.end is not None
    told = row.end.exit_code, row.end.signal, row.end.reason
    assert (exit_code, signal, reason) == told


@pytest.mark.parametrize(("code", "doubted"), [("9:0", True), ("127:0", True), ("200:0", False)])
def test_a_code_that_lost_128_is_doubted(code: str, doubted: bool) -> None:
    """Slurm's accounting writes 9 for 137 as well; who reads it must know."""
    row = row_of(read(line(state="FAILED", code=code))["7"])

    assert row is not None
    assert row.end is not None
    assert doubted is (
        "128" in row.end.message or "137" in row.end.message or "255" in row.end.message
    )


@pytest.mark.parametrize(
    "state", ["PENDING", "RUNNING", "SUSPENDED", "REQUEUED", "RESIZING", "REVOKED", "HIBERNATING"]
)
def test_accounting_ends_no_job_that_has_not_ended(state: str) -> None:
    """It lags: RUNNING may be long over, and is no end either way."""
    assert row_of(read(line(state=state, End="Unknown"))["7"]) is None


def test_an_end_without_a_time_is_none() -> None:
    """Accounting that lost the end tells COMPLETED with an unknown time."""
    assert row_of(read(line(End="Unknown"))["7"]) is None


def test_of_a_requeued_job_the_last_life_counts() -> None:
    """Its first life ended otherwise, and what it used was used by another run."""
    told = read(
        line(state="REQUEUED", Submit="2026-01-31T00:00:00", UserCPU="01:00:00"),
        line("7.batch", "CANCELLED", "0:15", Submit="2026-01-31T00:00:01", MaxRSS="900M"),
        line(state="COMPLETED", Submit="2026-01-31T02:00:00"),
        line("7.batch", MaxRSS="5M", Submit="2026-01-31T02:00:10"),
    )["7"]

    assert ("COMPLETED", 5 * MIB) == (told.word, told.usage.max_rss_bytes)


def test_two_lives_of_one_second_are_told_apart() -> None:
    """A job that is requeued at once has two rows with one time; the later row is the later."""
    told = read(line(state="REQUEUED"), line(state="FAILED", code="7:0"))["7"]

    assert "FAILED" == told.word


def test_steps_tell_what_was_used() -> None:
    """Memory is that of the largest step; the job's own row has none."""
    usage = read(
        line(ConsumedEnergyRaw="1500", NodeList="node[1-2]"),
        line("7.batch", MaxRSS="1048576", name="batch"),
        line("7.extern", MaxRSS="0", name="extern"),
        line("7.0", MaxRSS="3072K", name="srun"),
        line("7.1", "CANCELLED", "0:15", MaxRSS="1.5M", name="step|with|bars"),
    )["7"].usage

    assert (3 * MIB, 1.5, 0.25) == (usage.max_rss_bytes, usage.cpu_user_s, usage.cpu_system_s)
    assert (60.0, 1500.0) == (usage.wall_s, usage.energy_j)
    assert ("node1", ("node1", "node2")) == (usage.host, usage.nodes)


def test_a_job_line_that_disagrees_with_its_step() -> None:
    """The step says CANCELLED, the job COMPLETED: the job's own line is the job's."""
    told = read(line(), line("7.batch", "CANCELLED", "0:15"))["7"]

    assert ("COMPLETED", "0:0") == (told.word, told.exit_code)


@pytest.mark.parametrize("energy", ["", "0", "x", "-1"])
def test_where_nothing_is_measured_nothing_is_told(energy: str) -> None:
    """0 joules are no measurement, and 0 CPU seconds of a job without steps are none either."""
    usage = read(line(ConsumedEnergyRaw=energy, ElapsedRaw="", NodeList="None assigned"))["7"].usage

    assert (None, None, None) == (usage.energy_j, usage.cpu_user_s, usage.max_rss_bytes)
    assert (None, None, ()) == (usage.wall_s, usage.host, usage.nodes)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024", 1024),
        ("1K", 1024),
        ("1.50M", 1572864),
        ("2G", 2**31),
        ("0", None),
        ("", None),
        ("x", None),
        ("16?", None),
    ],
)
def test_sizes(text: str, size: int | None) -> None:
    """A size in another unit is wrong by a factor of a thousand."""
    assert size == read(line(), line("7.batch", MaxRSS=text))["7"].usage.max_rss_bytes


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("node1", ["node1"]),
        ("node[1-3,7],login", ["node1", "node2", "node3", "node7", "login"]),
        ("n[008-011]", ["n008", "n009", "n010", "n011"]),
        ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
        ("a[1-2]-ib,b", ["a1-ib", "a2-ib", "b"]),
        ("None assigned", []),
        ("(null)", []),
        ("", []),
        ("n[", []),
        ("n[x-2]", []),
        ("n[1", ["n1"]),
    ],
)
def test_host_lists(text: str, names: list[str]) -> None:
    """`node[1-3]` is no host that anybody can reach."""
    assert names == expand_hosts(text)


@pytest.mark.parametrize("text", ["", "7", "7|COMPLETED", "JobID|State", line()[:30], "x" + line()])
def test_lines_that_are_none_are_passed_over(text: str) -> None:
    """A cut line, a header or noise harms no other job."""
    assert {"8"} == set(read(text, line("8"))) - {"7.x"}


def test_a_name_may_hold_anything() -> None:
    """It comes last, so that bars in it are its own."""
    assert "a|b|c" == read(line(name="x@a|b|c"))["7"].key


def test_without_accounting_that_is_known() -> None:
    """A site without accounts is asked no more for a while; one whose accounts are away is."""
    with pytest.raises(AccountingOffError):
        _accounting.read(page("site")["sacct, no accounting"])
    for reply in (
        page("outages")["slurmdbd is down: sacct"],
        Reply("", "sacct: error: Unable to connect to database\n", 1),
        Reply("", "sacct: error: Problem talking to the database\n", 0),
        Reply("", "", 1),
        Reply(line() + "\n" + line("8")[:20]),
    ):
        with pytest.raises(UnreachableError) as caught:
            _accounting.read(reply)
        assert not isinstance(caught.value, AccountingOffError)

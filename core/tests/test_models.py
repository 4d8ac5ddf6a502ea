"""Specifications and quantities: what is taken, and what is refused with which words."""

import os
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import pytest
from attrs.exceptions import FrozenInstanceError

from drover.errors import ConfigError, InvalidSpecError, UnknownFieldError
from drover.models import (
    MAX_ARRAY,
    RETRYABLE,
    SPEC_FIELDS,
    Array,
    CancelVerdict,
    Condition,
    Dependency,
    FieldPlan,
    JobSpec,
    Outcome,
    Plan,
    Reason,
    Resources,
    Retry,
    Started,
    Support,
    Transfer,
    Usage,
    Verb,
    Verdict,
    check_fields,
    fields_set,
    parse_bytes,
    parse_instant,
    parse_seconds,
    read_settings,
    script,
)


def spec(**fields: Any) -> JobSpec:
    return JobSpec(**{"argv": ["true"], **fields})


# What is taken


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["echo", "hi"], ("echo", "hi")),
        (("a", b"b", Path("c")), ("a", "b", "c")),
        ([b"\xff"], (os.fsdecode(b"\xff"),)),
        (iter(["x"]), ("x",)),
        (["echo", ""], ("echo", "")),
    ],
)
def test_argv_is_words(given: object, expected: tuple[str, ...]) -> None:
    assert expected == spec(argv=given).argv


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("cwd", Path("/tmp"), "/tmp"),
        ("cwd", b"/\xff", os.fsdecode(b"/\xff")),
        ("stdin", "in.txt", "in.txt"),
        ("stdout", Path("out"), "out"),
        ("stderr", None, None),
        ("pre_launch", "a.sh", "a.sh"),
        ("post_launch", "b.sh", "b.sh"),
        ("env", {"A": "1", "P": Path("/x")}, {"A": "1", "P": "/x"}),
        ("env", {}, {}),
        ("launcher", "none", None),
        ("launcher", "mpirun", "mpirun"),
        ("tags", "one", ("one",)),
        ("tags", ["a", "b", "a"], ("a", "b")),
        ("not_before", 12, 12.0),
        ("not_before", "2026-11-20T18:00:00+01:00", 1795194000.0),
        ("deadline", datetime(2026, 11, 20, 17, tzinfo=UTC), 1795194000.0),
        ("period", "1h", 3600.0),
        ("expires_after", timedelta(days=1), 86400.0),
        ("after", "abc", (Dependency(job="abc"),)),
        ("after", ["a", Dependency(job="b", condition=Condition.ENDED)],
         (Dependency(job="a"), Dependency(job="b", condition=Condition.ENDED))),
        ("inputs", [("a", "b")], (Transfer(source="a", target="b"),)),
        ("outputs", [Transfer(source=Path("a"), target="b")], (Transfer(source="a", target="b"),)),
    ],
)  # fmt: skip
def test_a_field_takes(name: str, given: object, expected: object) -> None:
    assert expected == getattr(spec(**{name: given}), name)


def test_a_dependency_may_be_a_handle() -> None:
    """`after=[job]` is what one writes."""

    class Handle:
        id = "abc"

    assert (Dependency(job="abc"),) == spec(after=[Handle()]).after


def test_a_condition_may_be_a_word() -> None:
    assert Condition.FAILED is Dependency(job="a", condition="failed").condition  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "expected"),
    [(3, range(3)), (range(1, 9, 2), range(1, 9, 2)), ([5, 2], (5, 2)), (iter([1]), (1,))],
)
def test_indices_are_a_count_a_range_or_a_list(given: object, expected: object) -> None:
    assert expected == Array(indices=given).indices  # type: ignore[arg-type]


def test_a_retry_takes_words() -> None:
    retry = Retry(attempts=3, on="WALL_TIME", exit_codes=[1, 2])  # type: ignore[arg-type]

    assert (frozenset({Reason.WALL_TIME}), frozenset({1, 2})) == (retry.on, retry.exit_codes)


def test_the_delay_grows_and_stays_finite() -> None:
    """A back-off that overflows would be an exception in the engine."""
    retry = Retry(attempts=9, backoff_s=1, factor=3, max_backoff_s=20)

    assert [1, 3, 9, 20, 20] == [retry.delay_s(n) for n in range(1, 6)]
    assert 20 == retry.delay_s(10**9)


def test_a_script_is_one_argv() -> None:
    assert ("/bin/sh", "-c", "echo $1\nls", "drover") == script("echo $1\nls")


# What is refused


@pytest.mark.parametrize(
    ("name", "given", "word"),
    [
        ("argv", "echo hi", "drover.script"),
        ("argv", b"echo", "drover.script"),
        ("argv", [], "at least the command"),
        ("argv", [""], "at least the command"),
        ("argv", [1], "each word"),
        ("argv", ["a\0b"], "NUL"),
        ("argv", 7, "list of words"),
        ("argv", {"echo", "hi"}, "list of words"),
        ("argv", {"echo": "hi"}, "list of words"),
        ("argv", ["a", "\ud800"], "no byte"),
        ("cwd", "/\ud800", "no byte"),
        ("stdin", "\udc7f", "no byte"),
        ("env", {"A": "\ud800"}, "no byte"),
        ("env", {"\ud800": "a"}, "no byte"),
        ("name", "x" * 1025, "1,024"),
        ("name", "a\0", "NUL"),
        ("name", 7, "text"),
        ("cwd", "", "not empty"),
        ("cwd", "a\0b", "NUL"),
        ("cwd", 7, "path"),
        ("stdin", ["x"], "path"),
        ("stdout", "", "not empty"),
        ("stderr", 1.5, "path"),
        ("pre_launch", "", "not empty"),
        ("post_launch", 0, "path"),
        ("env", ["A=1"], "mapping"),
        ("env", {"": "x"}, "name"),
        ("env", {"A=B": "x"}, "name"),
        ("env", {"A\0": "x"}, "name"),
        ("env", {1: "x"}, "name"),
        ("env", {"A": 1}, "value"),
        ("env", {"A": "\0"}, "value"),
        ("env", {"A": None}, "value"),
        ("resources", {"cpus": 2}, "drover.Resources"),
        ("launcher", 7, "text"),
        ("after", 7, "jobs"),
        ("expires_after", 10**400, "finite"),
        ("array", 10, "drover.Array"),
        ("retry", 3, "drover.Retry"),
        ("inputs", ["a"], "Transfer"),
        ("inputs", [("a", "b", "c")], "Transfer"),
        ("inputs", [1], "Transfer"),
        ("outputs", "ab", "Transfer"),
        ("outputs", 7, "Transfer"),
        ("tags", [""], "empty"),
        ("tags", [7], "text"),
        ("tags", 7, "text"),
        ("not_before", "tomorrow", "ISO 8601"),
        ("not_before", datetime(2026, 1, 1), "zone"),  # noqa: DTZ001 - what is refused
        ("not_before", -1, "1970"),
        ("deadline", [], "datetime"),
        ("deadline", float("nan"), "1970"),
        ("period", 0, "positive"),
        ("period", "often", "duration"),
        ("expires_after", -1, "positive"),
        ("expires_after", float("inf"), "finite"),
        ("container", 7, "text"),
        ("parent", 7, "text"),
        ("native", "--x", "mapping"),
        ("native", {"slurm": "--x"}, "mapping"),
        ("native", {7: {}}, "text"),
        ("native", {"slurm": {7: 1}}, "text"),
        ("native", {"slurm": {"x": object()}}, "numbers"),
        ("native", {"slurm": {"x": [float("nan")]}}, "numbers"),
        ("native", {"slurm": {"x": {"y": b"z"}}}, "numbers"),
        ("native", {"slurm": {"x": {1: 2}}}, "numbers"),
        ("hold", "yes", "True or False"),
        ("requeue", 1, "True or False"),
        ("inherit_env", "no", "True or False"),
        ("join_output", 2, "True or False"),
    ],
)
def test_a_field_refuses(name: str, given: object, word: str) -> None:
    """A value that no backend can use must be named when it is given, not found in a cluster."""
    with pytest.raises(InvalidSpecError) as caught:
        spec(**{name: given})

    assert (name, True) == (caught.value.field.partition(".")[0], word in str(caught.value)), (
        caught.value
    )


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("tasks", 0), ("tasks", -1), ("tasks", 1.5), ("tasks", True), ("tasks", "2"),
        ("cpus", 0), ("cpus", 10**7), ("gpus", -1), ("gpus", None), ("nodes", 0),
        ("memory", 0), ("memory", -5), ("memory", "8 elephants"), ("memory", 1.5),
        ("memory", "9999999999PiB"), ("memory", True), ("disk", ""), ("disk", []),
        ("wall_time", 0), ("wall_time", "soon"), ("wall_time", float("inf")),
        ("exclusive", "yes"), ("queue", 7), ("account", 7), ("reservation", 7),
        ("priority", "high"), ("priority", 1.5), ("priority", 2**63), ("priority", True),
    ],
)  # fmt: skip
def test_a_resource_refuses(name: str, given: object) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        Resources(**{name: given})  # type: ignore[arg-type]

    assert name == caught.value.field.rpartition(".")[2]


@pytest.mark.parametrize(
    "fields",
    [
        {"attempts": 0},
        {"attempts": "2"},
        {"on": ["BAD"]},
        {"on": [Reason.LOST]},
        {"on": [Reason.CANCELLED]},
        {"on": 7},
        {"exit_codes": 7},
        {"exit_codes": ["1"]},
        {"backoff_s": -1},
        {"backoff_s": "soon"},
        {"backoff_s": float("nan")},
        {"factor": 0.5},
        {"factor": "x"},
        {"backoff_s": 10**400},
        {"max_backoff_s": -1},
        {"max_backoff_s": None},
    ],
)
def test_a_retry_refuses(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        Retry(**fields)

    assert next(iter(fields)) == caught.value.field.rpartition(".")[2]


@pytest.mark.parametrize(
    "indices",
    [
        0, [], range(0), MAX_ARRAY + 1, -1, [1, 1], [-1], [True], ["0"], "012", 1.5, None, 10**30,
        range(-1, 5), range(0, 10**30, 7), range(2**31 - 1, 2**31 + 1), [2**31], count(),
    ],
)  # fmt: skip
def test_an_array_refuses(indices: object) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        Array(indices=indices)  # type: ignore[arg-type]

    assert "array.indices" == caught.value.field


@pytest.mark.parametrize("most", [0, -1, "3", True, MAX_ARRAY + 1])
def test_max_running_refuses(most: object) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        Array(indices=3, max_running=most)  # type: ignore[arg-type]

    assert "array.max_running" == caught.value.field


def test_the_largest_array_is_taken() -> None:
    """What the message says is allowed is allowed."""
    assert MAX_ARRAY == len(Array(indices=MAX_ARRAY).indices)
    assert (2**31 - 1,) == Array(indices=[2**31 - 1]).indices


def test_a_dependency_is_on_an_id() -> None:
    """Stored, a number would stop whoever looks the job up."""
    with pytest.raises(InvalidSpecError, match="job=7"):
        Dependency(job=7)  # type: ignore[arg-type]


def test_a_byte_that_is_no_utf8_is_an_argument() -> None:
    """Names of files are bytes; Python shows those that are no text as lone surrogates."""
    assert ("cat", "\udcff") == spec(argv=["cat", b"\xff"]).argv


def test_a_condition_refuses() -> None:
    with pytest.raises(InvalidSpecError, match=r"condition='finished'.*succeeded"):
        Dependency(job="a", condition="finished")  # type: ignore[arg-type]


def test_output_cannot_be_joined_and_apart() -> None:
    with pytest.raises(InvalidSpecError, match="join_output"):
        spec(join_output=True, stderr="err")


def test_a_secret_is_not_in_the_error() -> None:
    """Errors go to logs."""
    with pytest.raises(InvalidSpecError) as caught:
        spec(env={"TOKEN": "hunter2\0"})

    assert "hunter2" not in str(caught.value)
    assert "TOKEN" in str(caught.value)


def test_a_secret_is_not_in_the_repr() -> None:
    assert "hunter2" not in repr(spec(env={"TOKEN": "hunter2"}))
    assert "TOKEN" in repr(spec(env={"TOKEN": "hunter2"}))


# Quantities


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (1, 1), ("1", 1), ("64k", 2**16), ("8GiB", 2**33), ("8G", 2**33), ("8 GB", 8 * 10**9),
        ("1.5GiB", 3 * 2**29), (" 2 tib ", 2**41), ("500MB", 5 * 10**8), ("7b", 7),
        ("9007199254740993", 9007199254740993),
    ],
)  # fmt: skip
def test_sizes(text: object, expected: int) -> None:
    assert expected == parse_bytes("memory", text)


@pytest.mark.parametrize("text", ["", "GiB", "1e9", "8G!", "-8G", "8 G G", "0.0001k", None])
def test_no_sizes(text: object) -> None:
    with pytest.raises(InvalidSpecError):
        parse_bytes("memory", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (1, 1.0), (0.5, 0.5), ("90s", 90.0), ("90", 90.0), ("2h", 7200.0), ("1h30m", 5400.0),
        ("1 h 30 min", 5400.0), ("500ms", 0.5), ("1-00:00:00", 86400.0), ("00:05", 300.0),
        ("36:00:00", 129600.0), ("2 days", 172800.0), ("1w", 604800.0), (timedelta(hours=1), 3600),
    ],
)  # fmt: skip
def test_durations(text: object, expected: float) -> None:
    assert expected == parse_seconds("wall_time", text)


@pytest.mark.parametrize(
    "text", ["", "0", "-1h", "1:2:3:4", "1h?", "h", "1-", "nan", True, None, [], float("nan")]
)
def test_no_durations(text: object) -> None:
    with pytest.raises(InvalidSpecError):
        parse_seconds("wall_time", text)


@pytest.mark.parametrize("text", ["2026-11-20T17:00:00Z", "2026-11-20 18:00+01:00", 1795194000])
def test_instants(text: object) -> None:
    assert 1795194000.0 == parse_instant("deadline", text)


def test_an_absurd_number_of_digits_is_refused() -> None:
    """Python refuses to read more than 4,300 digits; a user must not see how."""
    with pytest.raises(InvalidSpecError):
        parse_bytes("memory", "9" * 5000)
    with pytest.raises(InvalidSpecError):
        parse_seconds("wall_time", "9" * 5000 + ":00")


# What is read off


def test_fields_set_lists_what_is_asked_for() -> None:
    asked = spec(tags=["a"], resources=Resources(cpus=2), hold=True)

    assert {"argv", "tags", "hold", "resources.cpus"} == set(fields_set(asked))
    assert "argv" == fields_set(asked)[0]


def test_every_field_of_the_design_is_there() -> None:
    """DESIGN section 4 promises these by name."""
    promised = (
        "argv name cwd env inherit_env stdin stdout stderr join_output resources launcher "
        "pre_launch post_launch after array retry requeue inputs outputs tags hold not_before "
        "deadline period expires_after container parent native"
    )

    assert set(promised.split()) == set(SPEC_FIELDS)


def test_an_unknown_field_names_the_near_one() -> None:
    with pytest.raises(UnknownFieldError, match="did you mean 'deadline'"):
        check_fields("JobSpec", ["dedline"], SPEC_FIELDS)


@attrs.frozen(kw_only=True)
class Settings:
    """A backend's table, one field of each kind."""

    name: str = "x"
    is_on: bool = False
    retries: int = 3
    poll_s: float = 2.0
    weight: float = 1.0


def test_settings_are_read_from_a_table() -> None:
    """Whole numbers are numbers, and what may be 0 can be."""
    table = {"name": "", "is_on": True, "retries": 0, "poll_s": 1, "weight": 0}

    assert Settings(**table) == read_settings(Settings, "backends.x", table, zero={"weight"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("name", 1, "text"),
        ("is_on", 1, "true or false"),
        ("retries", -1, "a whole number, 0 or more"),
        ("retries", True, "a whole number, 0 or more"),
        ("retries", 1.5, "a whole number, 0 or more"),
        ("poll_s", 0, "seconds, more than 0"),
        ("poll_s", True, "seconds, more than 0"),
        ("poll_s", "1", "seconds, more than 0"),
        ("weight", -1.0, "a number, more than 0"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused(name: str, value: object, words: str) -> None:
    """The name and what to write instead stand in the error."""
    with pytest.raises(ConfigError, match=f"backends.x.{name}: it must be {words}, not {value!r}"):
        read_settings(Settings, "backends.x", {name: value})


def test_a_setting_that_is_not_there_names_the_near_one() -> None:
    with pytest.raises(UnknownFieldError, match="did you mean 'poll_s'"):
        read_settings(Settings, "backends.x", {"pol_s": 1})


@pytest.mark.parametrize(
    ("kind", "misspelt", "near"),
    [
        (JobSpec, {"argv": ["x"], "nam": "n"}, "'name'"),
        (Resources, {"cpu": 2}, "'cpus'"),
        (Array, {"indicies": 3}, "'indices'"),
        (Retry, {"atempts": 3}, "'attempts'"),
        (Dependency, {"jobs": "j"}, "'job'"),
        (Transfer, {"source": "a", "targt": "b"}, "'target'"),
    ],
)
def test_a_misspelt_field_is_no_type_error(
    kind: type[Any], misspelt: dict[str, Any], near: str
) -> None:
    """Python's own error names no near miss, and is none of ours to catch."""
    with pytest.raises(UnknownFieldError, match=f"{kind.__name__} has no .*did you mean {near}"):
        kind(**misspelt)


def test_a_missing_field_is_pythons_error() -> None:
    with pytest.raises(TypeError, match="argv"):
        JobSpec(name="x")  # type: ignore[call-arg]


def test_a_specification_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        spec().hold = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (spec(name="n"), "n"),
        (spec(argv=["/usr/bin/python3"]), "python3"),
        (spec(argv=["/"]), "/"),
    ],
)
def test_a_label(given: JobSpec, expected: str) -> None:
    assert expected == given.label


def test_totals_multiply_tasks() -> None:
    resources = Resources(tasks=3, cpus=4, gpus=2)

    assert (12, 6) == (resources.total_cpus, resources.total_gpus)


@pytest.mark.parametrize(
    ("allow", "expected"), [((), ["queue", "account"]), (("queue", "account"), ["account"])]
)
def test_a_plan_refuses_what_was_not_allowed(allow: tuple[str, ...], expected: list[str]) -> None:
    """`allow` lets a field be ignored; it cannot make a refused one work."""
    plan = Plan(
        fields=(
            FieldPlan(field="argv", support=Support.HONOURED),
            FieldPlan(field="queue", support=Support.IGNORED),
            FieldPlan(field="account", support=Support.REFUSED),
        )
    )

    assert expected == [entry.field for entry in plan.refused(allow)]


@pytest.mark.parametrize("reason", sorted(Reason))
def test_retryable_is_what_runs_nothing_twice(reason: Reason) -> None:
    outcome = Outcome(reason=reason, started=Started.YES, exit_code=1)

    assert (reason in RETRYABLE) == outcome.retryable


def test_a_refusal_before_the_start_is_retryable() -> None:
    assert Outcome(reason=Reason.REFUSED, started=Started.NO).retryable


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome(reason=Reason.EXITED, exit_code=3), "exit code 3"),
        (Outcome(reason=Reason.SIGNALLED, signal=11, core_dumped=True), "signal 11 (core dumped)"),
        (Outcome(reason=Reason.WALL_TIME, signal=9), "WALL_TIME, signal 9"),
        (Outcome(reason=Reason.LOST, message="gone"), "LOST: gone"),
    ],
)
def test_an_outcome_is_told_in_one_line(outcome: Outcome, expected: str) -> None:
    assert expected == outcome.describe()


@pytest.mark.parametrize("verdict", sorted(Verdict))
@pytest.mark.parametrize("verb", sorted(Verb))
def test_a_verdict_can_be_told(verdict: Verdict, verb: Verb) -> None:
    row = CancelVerdict(job="j", verdict=verdict, verb=verb, message="why", survivors=(7,))

    assert str(row).endswith(": why; still there: 7")
    assert not row.gone


@pytest.mark.parametrize("verdict", sorted(Verdict))
def test_gone_is_gone(verdict: Verdict) -> None:
    row = CancelVerdict(job="j", verdict=verdict)

    assert (verdict in {Verdict.DONE, Verdict.TOO_LATE}) == row.gone


def test_cpu_time_is_a_sum_of_what_is_known() -> None:
    assert (None, 2.0, 3.0) == (
        Usage().cpu_s,
        Usage(cpu_user_s=2.0).cpu_s,
        Usage(cpu_user_s=2.0, cpu_system_s=1.0).cpu_s,
    )


@pytest.mark.parametrize("pair", [(1, "a"), ("a", ""), ("a", "b\0"), ("\ud800", "a")])
def test_a_transfer_has_two_paths(pair: tuple[object, object]) -> None:
    with pytest.raises(InvalidSpecError, match="transfer"):
        spec(inputs=[pair])


def test_a_handle_of_an_array_stands_for_the_array() -> None:
    """A million elements must not become a million dependencies."""

    class Handle:
        id = "abc"

        def __iter__(self) -> Any:
            raise AssertionError

    assert (Dependency(job="abc"),) == spec(after=Handle()).after


def test_a_delay_that_grows_beyond_all_numbers_is_the_longest() -> None:
    """The engine asks for it when an attempt fails, and would end for all jobs with it."""
    retry = Retry(attempts=100, backoff_s=1, factor=99_999, max_backoff_s=60)

    assert [1, 60, 60] == [retry.delay_s(failures) for failures in (1, 2, 99)]

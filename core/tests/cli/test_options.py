"""How options become a specification."""

from typing import Any

import click
import pytest

from drover.errors import InvalidSpecError
from drover.models import Array, Condition, Dependency, JobSpec, Reason, Resources, Retry, Transfer

EVERY = [
    "--name",
    "n",
    "--tag",
    "a",
    "--tag",
    "b",
    "--cwd",
    "/w",
    "--env",
    "A=1",
    "--env",
    "B=x=y",
    "--no-inherit-env",
    "--stdin",
    "i",
    "--stdout",
    "o",
    "--join",
    "--input",
    "s3://b/k:in",
    "--output",
    "out:/r/out",
    "--tasks",
    "2",
    "--cpus",
    "3",
    "--gpus",
    "1",
    "--memory",
    "8GiB",
    "--disk",
    "1GB",
    "--nodes",
    "2",
    "--wall-time",
    "2h",
    "--exclusive",
    "--queue",
    "q",
    "--account",
    "me",
    "--reservation",
    "r",
    "--priority",
    "5",
    "--after",
    "ab",
    "--after",
    "cd:ended",
    "--array",
    "0-9:3%2",
    "--retry",
    "2",
    "--retry-backoff",
    "10s",
    "--retry-on",
    "wall_time",
    "--retry-exit-code",
    "75",
    "--requeue",
    "--hold",
    "--not-before",
    "2026-11-20T18:00:00+00:00",
    "--deadline",
    "2026-11-21T18:00:00Z",
    "--period",
    "1d",
    "--expires-after",
    "7d",
    "--launcher",
    "mpirun",
    "--pre-launch",
    "pre.sh",
    "--post-launch",
    "post.sh",
    "--container",
    "img",
    "--native",
    "grid:pe=smp",
    "--native",
    "slots=3",
    "--backend",
    "cluster",
]


def spec_from(call: Any, session: Any, *words: Any) -> Any:
    call("submit", *words, "--", "cmd", "-x")
    return session.asked[-1][1]


def test_every_field_has_an_option(call: Any, session: Any) -> None:
    """What the library can ask for, the shell can."""
    expected = JobSpec(
        argv=("cmd", "-x"),
        name="n",
        tags=("a", "b"),
        cwd="/w",
        env={"A": "1", "B": "x=y"},
        inherit_env=False,
        stdin="i",
        stdout="o",
        join_output=True,
        inputs=(Transfer(source="s3://b/k", target="in"),),
        outputs=(Transfer(source="out", target="/r/out"),),
        resources=Resources(
            tasks=2,
            cpus=3,
            gpus=1,
            memory="8GiB",
            disk="1GB",
            nodes=2,
            wall_time="2h",
            exclusive=True,
            queue="q",
            account="me",
            reservation="r",
            priority=5,
        ),
        after=(Dependency(job="ab"), Dependency(job="cd", condition=Condition.ENDED)),
        array=Array(indices=range(0, 10, 3), max_running=2),
        retry=Retry(attempts=3, on=[Reason.WALL_TIME], exit_codes=[75], backoff_s=10),
        requeue=True,
        hold=True,
        not_before="2026-11-20T18:00:00+00:00",
        deadline="2026-11-21T18:00:00+00:00",
        period="1d",
        expires_after="7d",
        launcher="mpirun",
        pre_launch="pre.sh",
        post_launch="post.sh",
        container="img",
        native={"grid": {"pe": "smp"}, "cluster": {"slots": 3}},
    )

    assert expected == spec_from(call, session, *EVERY)


def test_no_option_means_the_defaults(call: Any, session: Any) -> None:
    assert JobSpec(argv=("cmd", "-x")) == spec_from(call, session)


@pytest.mark.parametrize(
    ("text", "indices", "limit"),
    [
        ("20", range(20), None),
        ("0-9", range(10), None),
        ("0-9%2", range(10), 2),
        ("5-9:2", range(5, 10, 2), None),
        ("1,4,7", (1, 4, 7), None),
        ("0-2,8", (0, 1, 2, 8), None),
    ],
)
def test_array_indices(call: Any, session: Any, text: str, indices: Any, limit: Any) -> None:
    assert (
        Array(indices=indices, max_running=limit) == spec_from(call, session, "--array", text).array
    )


@pytest.mark.parametrize(
    "words",
    [
        ("--array", "a-b"),
        ("--array", "1-2%x"),
        ("--after", "ab:sometime"),
        ("--env", "NOT_SET_ANYWHERE_"),
        ("--input", "nowhere"),
        ("--native", "key"),
        ("--cpus", "many"),
    ],
)
def test_a_wrong_value_is_a_usage_error(call: Any, session: Any, words: tuple[str, ...]) -> None:
    """Nothing may be handed in that was not meant."""
    result = call("submit", *words, "--", "x")

    assert isinstance(result.exception, click.UsageError)
    assert [] == session.asked


@pytest.mark.parametrize(
    "words",
    [
        ("--memory", "lots"),
        ("--wall-time", "soon"),
        ("--array", "0"),
        ("--array", "9" * 30),
        ("--array", "0-9999999999999,7"),
        ("--array", "0-5,3"),
    ],
)
def test_a_value_that_no_backend_could_use_is_named(
    call: Any, session: Any, words: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidSpecError):
        call("submit", *words, "--", "x")

    assert [] == session.asked


def test_a_command_is_needed(call: Any) -> None:
    assert isinstance(call("submit").exception, click.UsageError)


def test_a_variable_without_a_value_is_passed_on(
    call: Any, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "here")

    assert {"MINE": "here"} == spec_from(call, session, "--env", "MINE").env


def test_times_may_be_told_from_now(call: Any, session: Any) -> None:
    spec = spec_from(call, session, "--not-before", "+1h", "--deadline", "+2h")

    assert 3600 == pytest.approx(spec.deadline - spec.not_before, abs=5)


def test_submit_passes_backend_key_and_allow(call: Any, session: Any) -> None:
    call("submit", "--backend", "b", "--key", "k", "--allow", "queue", "--", "x")
    _, _, backend, key, allow = session.asked[0]

    assert ("b", "k", ("queue",)) == (backend, key, allow)

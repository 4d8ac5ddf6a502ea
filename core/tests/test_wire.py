"""Facts, records and specifications as text: nothing is lost, nothing is misread."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs
import pytest
from cattrs.errors import ForbiddenExtraKeysError
from hypothesis import given, settings
from hypothesis import strategies as st

from drover import events as e
from drover import machine
from drover._wire import (
    FORMAT,
    SubmittedEncoder,
    decode_event,
    decode_record,
    decode_spec,
    decode_submitted,
    encode_event,
    encode_record,
    encode_spec,
)
from drover.models import (
    MAX_ARRAY,
    RETRYABLE,
    Array,
    Condition,
    Dependency,
    Elements,
    EndReport,
    JobRecord,
    JobSpec,
    Outcome,
    Predecessor,
    Progress,
    Reason,
    Request,
    Resources,
    Retry,
    Source,
    Started,
    Transfer,
    Usage,
    Verb,
    Verdict,
)
from drover.states import State

GOLDEN = Path(__file__).parent / "golden"

# Any text that Python can hold: names of files that are no UTF-8 come as lone surrogates.
TEXTS = st.text(st.characters(exclude_categories=()), max_size=20)
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=()), max_size=20)
# What a process can be given: of the lone surrogates, those that stand for a byte.
WORDS = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    | st.integers(0xDC80, 0xDCFF).map(chr),
    max_size=20,
)
PATHS = WORDS.filter(bool)
TIMES = st.floats(0, 2**40, allow_nan=False)
SPANS = st.floats(0.001, 2**40, allow_nan=False)
COUNTS = st.integers(1, 1000)
NATIVE: st.SearchStrategy[Any] = st.dictionaries(
    TEXTS, st.dictionaries(TEXTS, st.none() | st.booleans() | st.integers() | TEXTS, max_size=2)
)
INDICES: st.SearchStrategy[Any] = st.one_of(
    st.integers(1, 50).map(range),
    st.builds(range, st.integers(0, 9), st.integers(10, MAX_ARRAY), st.integers(2000, 9999)),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=5, unique=True).map(tuple),
)
OPTIONAL = {
    "name": NAMES,
    "cwd": PATHS,
    "stdin": PATHS,
    "stdout": PATHS,
    "stderr": PATHS,
    "launcher": PATHS,
    "pre_launch": PATHS,
    "post_launch": PATHS,
    "container": TEXTS,
    "parent": TEXTS,
    "not_before": TIMES,
    "deadline": TIMES,
    "period": SPANS,
    "expires_after": SPANS,
    "inherit_env": st.booleans(),
    "requeue": st.booleans(),
    "hold": st.booleans(),
    "tags": st.lists(NAMES.filter(bool), max_size=3),
    "env": st.dictionaries(st.text("ABCDEF_", min_size=1, max_size=4), WORDS, max_size=2),
    "native": NATIVE,
    "after": st.lists(
        st.builds(Dependency, job=TEXTS, condition=st.sampled_from(Condition)), max_size=2
    ),
    "inputs": st.lists(st.builds(Transfer, source=PATHS, target=PATHS), max_size=2),
    "outputs": st.lists(st.builds(Transfer, source=PATHS, target=PATHS), max_size=2),
    "array": st.builds(Array, indices=INDICES, max_running=st.none() | COUNTS),
    "retry": st.builds(
        Retry,
        attempts=COUNTS,
        on=st.frozensets(st.sampled_from(sorted(RETRYABLE)), min_size=1),
        exit_codes=st.frozensets(st.integers(0, 255)),
        backoff_s=st.floats(0, 1e6),
        factor=st.floats(1, 1e5),
        max_backoff_s=st.floats(0, 1e6),
    ),
    "resources": st.builds(
        Resources,
        tasks=COUNTS,
        cpus=COUNTS,
        gpus=COUNTS,
        nodes=COUNTS,
        memory=st.none() | st.integers(1, 2**60),
        disk=st.none() | st.integers(1, 2**60),
        wall_time=st.none() | SPANS,
        exclusive=st.booleans(),
        queue=st.none() | TEXTS,
        priority=st.integers(-1000, 1000),
    ),
}
SPECS: st.SearchStrategy[JobSpec] = st.fixed_dictionaries(
    {"argv": st.lists(WORDS, max_size=3).map(lambda rest: ["x", *rest])}, optional=OPTIONAL
).map(lambda fields: JobSpec(**fields))

PLAIN: Mapping[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: st.integers(-(2**40), 2**40),
    float: TIMES,
    bool: st.booleans(),
    NoneType: st.none(),
    JobSpec: SPECS,
}


def of(hint: Any) -> st.SearchStrategy[Any]:
    """Make values of a type, attrs classes field by field."""
    if hint in PLAIN:
        return PLAIN[hint]
    if get_origin(hint) in {Union, UnionType}:
        return st.one_of([of(option) for option in get_args(hint)])
    if get_origin(hint) is tuple:
        return st.lists(of(get_args(hint)[0]), max_size=2).map(tuple)
    if get_origin(hint) is frozenset:
        return st.frozensets(of(get_args(hint)[0]), max_size=2)
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    return built(hint)


def built(kind: type, **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    names = [field.name for field in attrs.fields(kind)]
    return st.builds(kind, **{name: of(hints[name]) for name in names} | fixed)


EACH_EVENT = pytest.mark.parametrize("name", sorted(e.EVENTS))


def and_back(event: e.Event) -> e.Event:
    text = encode_event(event)
    env = event.spec.env if isinstance(event, e.Submitted) else None
    if env:
        text = json.dumps({**json.loads(text), "env": "digest"})
    return decode_event(type(event).__name__, event.at, text, lambda _digest: env or {})


@EACH_EVENT
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_fact_comes_back_as_it_was(name: str, data: st.DataObject) -> None:
    """What the journal cannot hold did not happen, as far as anybody will ever know."""
    event = data.draw(built(e.EVENTS[name]))

    assert event == and_back(event)


@given(SPECS)
@settings(deadline=None)
def test_a_specification_comes_back_as_it_was(spec: JobSpec) -> None:
    plain = json.loads(json.dumps(encode_spec(spec)))

    assert spec == decode_spec(plain, spec.env)
    assert type(spec.array and spec.array.indices) is type(
        (back := decode_spec(plain, spec.env)).array and back.array.indices
    )


FIXED = {
    "id": "abc", "n": 7, "backend": "b", "spec": JobSpec(argv=["x"], hold=True, not_before=5.0),
    "array_id": "abc", "array_index": 3, "key": "k", "allow": ("queue",), "base_digest": "d",
    "submitted_at": 9.0,
}  # fmt: skip


@given(built(JobRecord, **{name: st.just(value) for name, value in FIXED.items()}))
@settings(deadline=None)
def test_a_record_comes_back_as_it_was(job: JobRecord) -> None:
    """Also where `create` sets a field and a later fact took it back to its default."""
    fact = e.Submitted(
        at=9.0, spec=job.spec, backend="b", key="k", allow=("queue",), base_digest="d"
    )
    made = machine.create(fact, job_id="abc", n=7, array_id="abc", array_index=3)

    assert job == decode_record(made, encode_record(job))


def test_a_name_that_is_no_unicode_survives() -> None:
    """A file called 0xFF is a file."""
    spec = JobSpec(argv=[b"cat", b"/tmp/\xff\xfe"], cwd=b"/\x80")
    event = and_back(e.Submitted(at=1.0, spec=spec, backend="b"))

    assert isinstance(event, e.Submitted)
    assert b"/tmp/\xff\xfe" == os.fsencode(event.spec.argv[1])


def test_values_of_variables_are_not_in_the_text() -> None:
    """The journal is read by listings and logs; secrets are kept elsewhere, sealed."""
    spec = JobSpec(argv=["x"], env={"TOKEN": "hunter2"})

    assert "hunter2" not in encode_event(e.Submitted(at=1.0, spec=spec, backend="b"))
    assert "TOKEN" not in encode_event(e.Submitted(at=1.0, spec=spec, backend="b"))


@EACH_EVENT
@given(data=st.data())
@settings(max_examples=3, deadline=None)
def test_an_unknown_key_is_refused(name: str, data: st.DataObject) -> None:
    """A field of a newer drover that is passed over in silence is a fact that is lost."""
    text = encode_event(data.draw(built(e.EVENTS[name])))
    more = json.dumps({**json.loads(text), "new_field": 1})

    with pytest.raises((ForbiddenExtraKeysError, TypeError), match="new_field"):
        decode_event(name, 1.0, more)


@pytest.mark.parametrize("path", ["", "resources", "retry", "array"])
def test_an_unknown_key_of_a_specification_is_refused(path: str) -> None:
    spec = JobSpec(
        argv=["x"], resources=Resources(cpus=2), retry=Retry(attempts=2), array=Array(indices=2)
    )
    plain = encode_spec(spec)
    (plain[path] if path else plain)["new_field"] = 1

    with pytest.raises(ForbiddenExtraKeysError, match="new_field"):
        decode_spec(plain)


def test_an_unknown_fact_is_refused() -> None:
    with pytest.raises(KeyError, match="Teleported"):
        decode_event("Teleported", 1.0, "{}")


@pytest.mark.parametrize("value", [2**64, -(2**70), 1e308, "\ud800", "é", 0.1 + 0.2])
def test_options_that_only_one_encoder_can_carry_survive(value: object) -> None:
    """A backend's own options are strangers' values: none may change on its way."""
    spec = JobSpec(argv=["x"], native={"b": {"option": value}})
    event = and_back(e.Submitted(at=1.0, spec=spec, backend="b"))

    assert isinstance(event, e.Submitted)
    assert value == event.spec.native["b"]["option"]


def test_usage_is_written_once() -> None:
    """Evidence and outcome of one job hold the same figures: twice would be half of the store."""
    usage = Usage(cpu_user_s=123.25)
    report = EndReport(source=Source.AGENT, at=1.0, exit_code=0, usage=usage)
    outcome = Outcome(reason=Reason.EXITED, exit_code=0, evidence=(report,), usage=usage)
    text = encode_event(e.Ended(at=1.0, attempt=1, outcome=outcome))

    assert 1 == text.count("123.25")
    assert outcome == decode_event("Ended", 1.0, text).outcome  # type: ignore[attr-defined]


def test_what_is_as_always_is_left_out() -> None:
    """A million jobs of defaults must not write a million defaults."""
    assert {"argv": ["x"]} == json.loads(json.dumps(encode_spec(JobSpec(argv=["x"]))))
    assert "{}" == encode_record(JobRecord(id="a", backend="b", spec=JobSpec(argv=["x"])))


# The golden journal: lines that some store on some disk holds.

REPORT = EndReport(
    source=Source.EXIT_RECORD, at=5.0, exit_code=3, signal=9, core_dumped=True,
    reason=Reason.WALL_TIME, started=Started.YES, native_id="42.host", message="why \udcff",
    usage=Usage(cpu_user_s=1.5, cpu_system_s=0.5, max_rss_bytes=2**33, wall_s=2.0, host="h",
                nodes=("n1", "n2"), energy_j=1.0),
    survivors=(7, 8),
)  # fmt: skip
OUTCOME = Outcome(
    reason=Reason.WALL_TIME, started=Started.YES, exit_code=3, core_dumped=True, message="m",
    evidence=(REPORT,), usage=Usage(wall_s=2.0),
)  # fmt: skip
SPEC = JobSpec(
    argv=("echo", "a b", "\udcff"), name="n", cwd="/w", inherit_env=False, stdin="i", stdout="o",
    stderr="e", resources=Resources(
        tasks=2, cpus=3, gpus=1, memory=2**33, disk=2**30, nodes=2, wall_time=60.0, exclusive=True,
        queue="q", account="a", reservation="r", priority=5,
    ),
    launcher="mpirun", pre_launch="pre.sh", post_launch="post.sh",
    after=(Dependency(job="x1"), Dependency(job="x2", condition=Condition.ENDED)),
    array=Array(indices=range(0, 10, 2), max_running=3),
    retry=Retry(attempts=3, on=frozenset({Reason.EXITED, Reason.NODE_LOST}),
                exit_codes=frozenset({1, 75}), backoff_s=2.0, factor=3.0, max_backoff_s=60.0),
    requeue=True, inputs=[("a", "b")], outputs=[("c", "d")], tags=("t", "u"), hold=True,
    not_before=10.0, deadline=99.0, period=5.0, expires_after=7.0, container="c", parent="p",
    native={"slurm": {"constraint": "fast", "n": [1, None, True]}},
)  # fmt: skip
REQUEST = Request(
    id="r1", verb=Verb.CANCEL, by="me", at=3.0, why="because", grace_s=1.5, signal=15,
    may_run_twice=True, verdict=Verdict.SIGNALLED,
)  # fmt: skip
EXAMPLES: tuple[e.Event, ...] = (
    e.Submitted(at=1.0, spec=SPEC, backend="slurm", key="k", allow=("queue",), base_digest="d"),
    e.Submitted(at=1.5, spec=JobSpec(argv=["x"], array=Array(indices=[3, 1])), backend="local"),
    e.ValidationStarted(at=2.0, by="policy"),
    e.Validated(at=2.0, by="policy"),
    e.ApprovalNeeded(at=2.0, message="costs much"),
    e.Approved(at=2.0, by="boss"),
    e.Deferred(at=2.0, why="other jobs", until=9.0),
    e.DependenciesMet(at=2.0),
    e.StagingInStarted(at=2.0, attempt=1),
    e.StagedIn(at=2.0, attempt=1),
    e.SubmitIntended(at=2.0, attempt=1, token="s-j-1", batch="b1"),
    e.Accepted(at=2.0, attempt=1, native_id="42", submitted_at=1.0, source=Source.QUEUE),
    e.AnswerLost(at=2.0, attempt=1, message="timed out"),
    e.Withdrawn(at=2.0, attempt=1, why="queue full", ready_at=9.0),
    e.AttemptClosed(at=2.0, attempt=1, token="s-j-1", why="no answer"),
    e.Started(at=2.0, attempt=1, source=Source.QUEUE, restart=1, native_id="42", native_state="R"),
    e.Suspended(at=2.0, attempt=1, by=frozenset({"user", "system"})),
    e.Resumed(at=2.0, attempt=1),
    e.Restarted(at=2.0, attempt=1, restart=2, source=Source.ACCOUNTING),
    e.HoldsSeen(at=2.0, hold=frozenset({"user"})),
    e.NativeStateSeen(at=2.0, attempt=1, native_state="CG", source=Source.QUEUE),
    e.ProgressMade(at=2.0, attempt=1, progress=Progress(fraction=0.5, text="half", at=2.0)),
    e.EvidenceNoted(at=2.0, attempt=1, what="late", report=REPORT),
    e.EndReported(at=2.0, attempt=1, report=REPORT, settle_at=62.0, restart=1),
    e.StagingOutStarted(at=2.0, attempt=1, outcome=OUTCOME),
    e.RunEnded(at=2.0, attempt=1, outcome=OUTCOME, next_at=9.0),
    e.Woken(at=2.0, attempt=1),
    e.Ended(at=2.0, attempt=1, outcome=OUTCOME, retry_at=9.0),
    e.ControlAsked(at=2.0, request=REQUEST),
    e.ControlSignalled(at=2.0, request_id="r1", message="TERM sent"),
    e.ControlSettled(
        at=2.0, request_id="r1", verdict=Verdict.TOO_LATE, message="m", survivors=(7,)
    ),
    e.RetryAsked(at=2.0, by="me", may_run_twice=True),
    e.Resolved(at=2.0, state=State.FAILED, by="me", why="saw it"),
    e.ClockSet(at=2.0, seconds=-3600.0),
    e.DependenciesMet(
        at=2.0,
        predecessors=(
            Predecessor(job="a1", token="s-a1-1", native_id="12_3", condition=Condition.SUCCEEDED),
        ),
    ),
    e.ControlAsked(at=2.0, request=Request(id="r2", verb=Verb.REQUEUE, by="me", at=2.0)),
    e.DependenciesMet(
        at=2.0,
        predecessors=(
            Predecessor(
                job="a2",
                token="",
                native_id="",
                condition=Condition.ENDED,
                native_ids=("12", "13"),
                elements=(
                    Elements(attempt=1, indices="0-99"),
                    Elements(attempt=2, indices="100,105"),
                ),
            ),
        ),
    ),
    e.HoldsSeen(at=2.0, hold=frozenset({"user"}), asked=True),
)


def lines() -> Iterator[tuple[str, float, str]]:
    for line in (GOLDEN / "journal.jsonl").read_text("ascii").splitlines():
        name, at, data = json.loads(line)
        yield name, at, data


def test_the_golden_journal_has_every_fact() -> None:
    assert set(e.EVENTS) == {type(event).__name__ for event in EXAMPLES}


@pytest.mark.parametrize("row", range(len(EXAMPLES)), ids=lambda n: type(EXAMPLES[n]).__name__)
def test_a_line_of_an_older_drover_still_decodes(row: int) -> None:
    """Who upgrades keeps their jobs. Never change a golden line: add lines."""
    name, at, data = list(lines())[row]

    assert EXAMPLES[row] == decode_event(name, at, data)


def shape(kind: Any, seen: dict[str, Any]) -> None:
    """Describe a class and all that it is made of: names, types, defaults, words."""
    if get_args(kind):
        for part in get_args(kind):
            shape(part, seen)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        seen[kind.__name__] = [member.value for member in kind]
    elif isinstance(kind, type) and attrs.has(kind) and kind.__name__ not in seen:
        hints = get_type_hints(kind)
        seen[kind.__name__] = [
            [field.name, str(hints[field.name]), default_of(field)] for field in attrs.fields(kind)
        ]
        for hint in hints.values():
            shape(hint, seen)


def default_of(field: "attrs.Attribute[Any]") -> str:
    """Tell a plain default; of others, whose text has no fixed order, only that there is one."""
    if field.default is attrs.NOTHING:
        return "needed"
    plain = isinstance(field.default, str | int | float | tuple | NoneType)
    return repr(field.default) if plain else "made"


def schema() -> str:
    seen: dict[str, Any] = {}
    for kind in (*e.EVENTS.values(), JobRecord):
        shape(kind, seen)
    text = json.dumps(seen, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_change_of_what_is_written_raises_the_format() -> None:
    """A store that an older drover would misread must say so by its version.

    If this fails: raise FORMAT in `drover._wire` and the store's schema (with a migration, which
    may do nothing), add lines to golden/journal.jsonl, and write the new pair into
    golden/schema.json.
    """
    known = json.loads((GOLDEN / "schema.json").read_text("ascii"))

    assert known == {"format": FORMAT, "sha256": schema()}


@given(st.lists(SPECS, min_size=1, max_size=4), st.lists(WORDS, max_size=3), st.booleans())
@settings(deadline=None)
def test_facts_written_like_the_last_are_what_each_says(
    specs: list[JobSpec], words: list[str], plugin: bool
) -> None:
    """Jobs that differ in their argv alone are written by a short cut: it must tell no other."""
    encoder = SubmittedEncoder()
    for spec in specs:
        for argv in (spec.argv, ("x", *words), ("y",)):
            one = copied(spec, argv)
            fact = e.Submitted(at=1.0, spec=one, backend="b", key="k" if plugin else None)
            text = encoder.encode(fact, "id1", "digest" if one.env else None)

            assert ("id1", fact) == decode_submitted(1.0, text, lambda _digest, env=one.env: env)


def copied(spec: JobSpec, argv: tuple[str, ...]) -> JobSpec:
    """Give another argv and the very same objects else, as a session does."""
    copy = object.__new__(JobSpec)
    copy.__dict__.update({**spec.__dict__, "argv": argv})
    return copy

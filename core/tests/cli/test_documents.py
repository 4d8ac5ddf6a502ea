"""Real `--json` output against the published schema."""

import json
from pathlib import Path
from typing import Any

import attrs
import jsonschema
import pytest

from drover import models
from drover.cli import _documents, _exits
from drover.events import EVENTS
from drover.models import JobSpec, Outcome, Progress, Reason, Request, Verb, Verdict
from drover.states import State

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference"
SCHEMA = json.loads((REFERENCE / "json-schema.json").read_text())
FLOOR = [
    "id",
    "name",
    "state",
    "backend",
    "native_id",
    "native_state",
    "attempt",
    "submitted_at",
    "started_at",
    "ended_at",
    "outcome",
    "tags",
]


def check(document: Any, name: str) -> Any:
    """Validate against one kind of document, and against the whole."""
    part = {**SCHEMA, "anyOf": [{"$ref": f"#/$defs/{name}"}]}
    jsonschema.validate(document, part, cls=jsonschema.Draft202012Validator)


@pytest.fixture(autouse=True)
def jobs(session: Any, make_job: Any, make_array: Any) -> Any:
    pending = Request(id="r", verb=Verb.CANCEL, by="me", at=1.0, grace_s=2.0)
    session.things += [
        make_job(id="ab", n=1),
        make_job(
            id="cd",
            n=2,
            state=State.RUNNING,
            outcome=None,
            ended_at=None,
            pending=(pending,),
            hold=frozenset({"user"}),
            progress=Progress(fraction=0.5, text="half", at=2.0),
        ),
        make_job(id="ef", n=3, state=State.LOST, outcome=Outcome(reason=Reason.LOST)),
    ]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("ps",), "jobs_document"),
        (("ps", "--all"), "jobs_document"),
        (("top",), "jobs_document"),
        (("show", "ab"), "full_job_document"),
        (("show", "cd"), "full_job_document"),
        (("show", "ef"), "full_job_document"),
        (("history", "ab"), "history_document"),
        (("wait", "ab", "cd"), "jobs_document"),
        (("submit", "x"), "job_document"),
        (("run", "x"), "job_document"),
        (("plan", "x"), "plan_document"),
        (("plan", "--account", "me", "x"), "plan_document"),
        (("cancel", "ab", "cd"), "verdicts_document"),
        (("hold", "ab"), "verdicts_document"),
        (("signal", "USR1", "ab"), "verdicts_document"),
        (("retry", "ab"), "jobs_document"),
        (("approve", "ab"), "jobs_document"),
        (("resolve", "ef", "--as", "failed"), "jobs_document"),
        (("purge", "ab"), "purge_document"),
        (("backends",), "backends_document"),
        (("doctor",), "doctor_document"),
        (("engine", "status"), "engine_document"),
        (("engine", "restart"), "engine_document"),
        (("config", "show"), "config_document"),
    ],
)
def test_every_document_is_as_published(
    call: Any, session: Any, words: tuple[str, ...], name: str
) -> None:
    """A program that was written against the schema must go on working."""
    cut = words.index("x") if "x" in words else len(words)
    result = call(*words[:cut], "--json", *words[cut:])

    check(json.loads(result.stdout), name)


def test_an_array_is_as_published(call: Any, session: Any, make_job: Any, make_array: Any) -> None:
    elements = [make_job(id=f"arr1.{n}", array_id="arr1", array_index=n) for n in range(3)]
    session.things.append(make_array(elements))

    document = json.loads(call("show", "arr1", "--json").stdout)

    check(document, "array_document")
    assert (3, {"SUCCEEDED": 3}) == (document["size"], document["counts"])


def test_a_job_has_the_promised_keys(call_json: Any) -> None:
    """These keys were promised; none of them may go."""
    jobs = call_json("ps")["jobs"]

    assert [] == [key for job in jobs for key in FLOOR if key not in job]
    assert set(SCHEMA["$defs"]["job"]["required"]) == set(jobs[0])


def test_the_schema_knows_every_word() -> None:
    """A state or a reason that the schema does not know would break who validates."""
    for name, words in (("state", State), ("reason", models.Reason), ("source", models.Source)):
        assert [word.value for word in words] == SCHEMA["$defs"][name]["enum"]
    verdict = SCHEMA["$defs"]["verdicts_document"]["properties"]["verdicts"]["items"]

    assert [word.value for word in Verdict] == verdict["properties"]["verdict"]["enum"]


def test_hostile_text_is_pure_ascii_in_json(call: Any, session: Any, make_job: Any) -> None:
    """JSON on a terminal must not drive it either; bytes that are no UTF-8 survive."""
    name = "\x1b]0;x\x07\u202e\x9b\udcff"
    session.things.append(make_job(id="zz", spec=JobSpec(argv=(name,), name=name)))
    output = call("show", "zz", "--json").stdout

    assert output.isascii()
    assert "\x1b" not in output
    assert name == json.loads(output)["name"]


def test_instants_are_utc_with_milliseconds() -> None:
    assert "2026-11-20T14:00:00.250Z" == _documents.instant(1795183200.25)
    assert _documents.instant(None) is None


@pytest.mark.parametrize("kind", EVENTS.values(), ids=list(EVENTS))
def test_no_fact_shows_a_variable(kind: Any) -> None:
    """Whatever fact carries a specification, its variables are masked."""
    fields = {field.name for field in attrs.fields(kind)}
    if "spec" not in fields:
        return
    event = kind(at=1.0, backend="b", spec=JobSpec(argv=("x",), env={"A": "secret"}))

    assert "secret" not in json.dumps(_documents.plain(event))


def test_the_exit_codes_are_as_documented() -> None:
    """The page and the table say the same."""
    text = (REFERENCE / "exit-codes.md").read_text()
    rows = [f"| {code} | {meaning} |" for code, meaning in _exits.CODES.items()]
    rows += [f"| {code} | {meaning} |" for code, meaning in _exits.RUN_CODES.items()]

    assert rows == [
        line for line in text.splitlines() if line.startswith("| ") and line[2].isdigit()
    ]

"""Bad input is refused before anything is stored, by the library and by the command alike."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from doors import WAIT_S, Doors, must_refuse

import drover
from drover import Array, Dependency, JobArray, JobSpec, Resources, State, errors
from drover.errors import (
    AmbiguousJobError,
    ConfigError,
    InvalidSpecError,
    KeyConflictError,
    UnknownBackendError,
    UnknownFieldError,
    UnknownJobError,
    UnsupportedFieldError,
)


@frozen
class Bad:
    """One thing that is wrong, through both doors."""

    error: type[errors.DroverError]
    says: tuple[str, ...]
    """Parts of the message: what, about what, what to do."""
    fields: dict[str, Any]
    """What the library is given."""
    words: tuple[str, ...] = ()
    """What is typed; empty where a command line cannot hold it."""
    typed_says: tuple[str, ...] = ()
    """What the command says where it finds the fault itself."""
    code: int = 2


def resources(**fields: Any) -> dict[str, Any]:
    """Postpone what is refused when it is made."""
    return {"resources": lambda: Resources(**fields)}


def array(indices: Any) -> dict[str, Any]:
    return {"array": lambda: Array(indices=indices)}


MANY = "9" * 30
REFUSED = {
    # argv
    "empty argv": Bad(
        InvalidSpecError, ("argv=[]", "needs at least the command's name"), {"argv": []},
        (), ("no command given",),
    ),
    "empty command": Bad(
        InvalidSpecError, ("argv=['']", "needs at least the command's name"), {"argv": [""]},
        ("--", ""),
    ),
    "a shell string": Bad(
        InvalidSpecError, ("argv='echo hi'", "list of words", "drover.script"), {"argv": "echo hi"}
    ),
    "NUL in argv": Bad(InvalidSpecError, ("argv='a\\x00b'", "NUL"), {"argv": ["echo", "a\0b"]}),
    "a number in argv": Bad(InvalidSpecError, ("argv=7", "each word"), {"argv": ["echo", 7]}),
    "no bytes in argv": Bad(
        InvalidSpecError, (r"argv='\ud800'", "stands for no byte"), {"argv": ["echo", "\ud800"]}
    ),
    # Names of variables
    "= in a variable's name": Bad(InvalidSpecError, ("env='A'", "'='"), {"env": {"A=B": "x"}}),
    "NUL in a variable": Bad(InvalidSpecError, ("env='A'", "NUL"), {"env": {"A": "x\0"}}),
    "no variable": Bad(
        InvalidSpecError, ("env=''",), {"env": {"": "x"}}, ("--env", "=x", "--", "true")
    ),
    # Resources
    "negative memory": Bad(
        InvalidSpecError, ("memory='-1'", '"8GiB"'), resources(memory="-1"),
        ("--memory", "-1", "--", "true"),
    ),
    "absurd memory": Bad(
        InvalidSpecError, ("memory='1e999'", "size"), resources(memory="1e999"),
        ("--memory", "1e999", "--", "true"),
    ),
    "no memory at all": Bad(InvalidSpecError, ("memory=nan",), resources(memory=float("nan"))),
    "more memory than there is": Bad(
        UnsupportedFieldError, ("'local' refuses", "resources.memory", "can never be had"),
        resources(memory="1PiB"), ("--memory", "1PiB", "--", "true"),
    ),
    "no cpus": Bad(
        InvalidSpecError, ("cpus=0", "between 1 and"), resources(cpus=0),
        ("--cpus", "0", "--", "true"),
    ),
    "absurd cpus": Bad(
        InvalidSpecError, ("cpus=1000000000", "between 1 and"), resources(cpus=10**9),
        ("--cpus", "1000000000", "--", "true"),
    ),
    "yes cpus": Bad(InvalidSpecError, ("cpus=True", "whole number"), resources(cpus=True)),
    "more cpus than there are": Bad(
        UnsupportedFieldError, ("resources.cpus", "can never be had", "choose another backend"),
        resources(cpus=100_000), ("--cpus", "100000", "--", "true"),
    ),
    "no time": Bad(
        InvalidSpecError, ("wall_time", "positive"), resources(wall_time=0),
        ("--wall-time", "0", "--", "true"),
    ),
    "negative time": Bad(
        InvalidSpecError, ("wall_time='-1h'", "90s"), resources(wall_time="-1h"),
        ("--wall-time", "-1h", "--", "true"),
    ),
    "endless time": Bad(
        InvalidSpecError, ("wall_time=inf", "finite"), resources(wall_time=float("inf"))
    ),
    "time beyond floats": Bad(
        InvalidSpecError, ("wall_time=1000", "finite"), resources(wall_time=10**400)
    ),
    "absurd priority": Bad(
        InvalidSpecError, ("priority=", "2,147,483,647"), resources(priority=2**63),
        ("--priority", str(2**63), "--", "true"),
    ),
    # Names
    "unknown field": Bad(
        UnknownFieldError, ("'stdoutt'", "did you mean 'stdout'?"), {"stdoutt": "x"},
        ("--stdoutt", "x", "--", "true"), ("No such option", "--stdoutt", "--stdout"),
    ),
    "unknown resource": Bad(
        UnknownFieldError, ("Resources has no field 'cpu'", "did you mean 'cpus'?"),
        resources(cpu=2), ("--cpu", "2", "--", "true"), ("No such option", "--cpu"),
    ),
    "unknown option of the backend": Bad(
        UnsupportedFieldError, ("no option 'afinity' for local", "affinity"),
        {"native": {"local": {"afinity": True}}}, ("--native", "afinity=true", "--", "true"),
    ),
    "an option that no JSON holds": Bad(
        InvalidSpecError, ("native.local.affinity",), {"native": {"local": {"affinity": object()}}}
    ),
    "unknown backend": Bad(
        UnknownBackendError, ("no backend named 'locla'; did you mean 'local'?", "Installed:"),
        {"backend": "locla"}, ("--backend", "locla", "--", "true"),
    ),
    "no backend": Bad(
        InvalidSpecError, ("backend=''",), {"backend": ""}, ("--backend", "", "--", "true")
    ),
    "empty tag": Bad(
        InvalidSpecError, ("tags=''", "not empty"), {"tags": [""]}, ("--tag", "", "--", "true")
    ),
    "NUL in a name": Bad(InvalidSpecError, ("name='a\\x00'", "NUL"), {"name": "a\0"}),
    "a name of 10,000 characters": Bad(
        InvalidSpecError, ("name='xxx", "1,024"), {"name": "x" * 10_000},
        ("--name", "x" * 10_000, "--", "true"),
    ),
    "empty key": Bad(
        InvalidSpecError, ("key=''", "1 to 1,024"), {"key": ""}, ("--key", "", "--", "true")
    ),
    "a key of 10 MiB": Bad(
        InvalidSpecError, ("key='kkk", "1 to 1,024"), {"key": "k" * 10 * 2**20},
        ("--key", "k" * 100_000, "--", "true"),
    ),
    # Arrays
    "array of 0": Bad(
        InvalidSpecError, ("array.indices=0", "1 to 1,000,000 elements"), array(0),
        ("--array", "0", "--", "true"),
    ),
    "array of 1,000,001": Bad(
        InvalidSpecError, ("array.indices=1000001", "1 to 1,000,000 elements"), array(1_000_001),
        ("--array", "1000001", "--", "true"),
    ),
    "array beyond all numbers": Bad(
        InvalidSpecError, ("array.indices=range(0, 9999", "0 to 2,147,483,647"), array(int(MANY)),
        ("--array", MANY, "--", "true"),
    ),
    "array of many ranges": Bad(
        InvalidSpecError, ("array.indices=", "1 to 1,000,000 elements"),
        array(n for k in (range(10**13), range(3)) for n in k),
        ("--array", "0-9999999999999,3", "--", "true"),
    ),
    "negative index": Bad(
        InvalidSpecError, ("array.indices=-1", "whole number from 0"), array([-1]),
        ("--array", "-1", "--", "true"), ("has not the form 0-9",),
    ),
    "an index twice": Bad(
        InvalidSpecError, ("array.indices=3", "twice"), array([3, 4, 3]),
        ("--array", "3-4,3", "--", "true"),
    ),
    "a step of 0": Bad(
        InvalidSpecError, ("array.indices='0-9:0'",), array("0-9:0"),
        ("--array", "0-9:0", "--", "true"), ("has not the form 0-9",),
    ),
    # Dependencies
    "a dependency on an unknown job": Bad(
        UnknownJobError, ("no job 'nope' in this store", "drover ps --all"), {"after": ["nope"]},
        ("--after", "nope", "--", "true"), (), 3,
    ),
    "a dependency on no job": Bad(
        UnknownJobError, ("no job ''",), {"after": [""]},
        ("--after", "", "--", "true"), ("has not the form ID",),
    ),
    "a dependency on what never is": Bad(
        InvalidSpecError, ("after.condition='done'", "succeeded, failed, ended"),
        {"after": lambda: [Dependency(job="x", condition="done")]},  # type: ignore[arg-type]
        ("--after", "x:done", "--", "true"), ("has not the form ID", "succeeded|failed|ended"),
    ),
}  # fmt: skip
"""By what is wrong."""


@pytest.mark.parametrize("bad", REFUSED.values(), ids=REFUSED)
def test_the_library_refuses(doors: Doors, bad: Bad) -> None:
    """The class says whose fault it is, the message what to do, and nothing is stored."""
    before = doors.states()

    def submit() -> None:
        fields = {name: make() if callable(make) else make for name, make in bad.fields.items()}
        doors.session.submit(fields.pop("argv", ["true"]), **fields)

    with pytest.raises(bad.error) as caught:
        submit()

    assert type(caught.value) is bad.error
    assert [] == [part for part in bad.says if part not in str(caught.value)], caught.value
    assert before == doors.states()


@pytest.mark.parametrize(
    "bad",
    [bad for bad in REFUSED.values() if bad.words or bad.typed_says],
    ids=[name for name, bad in REFUSED.items() if bad.words or bad.typed_says],
)
def test_the_command_refuses(doors: Doors, bad: Bad) -> None:
    """One line on stderr, the documented code, no traceback, and nothing is stored."""
    before = doors.states()
    code = 2 if bad.typed_says else bad.code

    doors.refuses(code, bad.typed_says or bad.says, "submit", *bad.words)

    assert before == doors.states()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (2, ("submit",)),
        (2, ("submit", "--cpus", "0", "--", "true")),
        (2, ("submit", "--array", "1000001", "--", "true")),
        (2, ("submit", "--backend", "locla", "--", "true")),
        (3, ("show", "nope")),
        (125, ("run", "--cpus", "0", "--", "true")),
    ],
)
def test_the_installed_command_refuses(doors: Doors, code: int, words: tuple[str, ...]) -> None:
    """What is typed in this process elsewhere is, installed, the same."""
    must_refuse(doors.execute(*words), code, [])


def test_run_says_by_its_code_that_drover_refused(doors: Doors) -> None:
    """Else a 2 would be taken for the command's own."""
    doors.refuses(125, ["did you mean 'local'?"], "run", "--backend", "locla", "--", "true")


def test_the_largest_array_is_planned(doors: Doors) -> None:
    """What the message of a larger one allows is allowed."""
    plan = doors.session.plan(JobSpec(argv=["true"], array=Array(indices=1_000_000)))

    assert () == plan.refused()


# Ids


def test_an_id_that_fits_two_jobs_names_both(doors: Doors) -> None:
    """Who typed too little needs to see what there is; none of the two is touched."""
    prefix = ""
    while not prefix:
        jobs = [doors.submit(hold=True) for _ in range(8)]
        ids = sorted(doors.states())
        shared = Counter(job[:length] for job in ids for length in range(1, 6))
        prefix = max((part for part, count in shared.items() if count > 1), key=len, default="")
    twins = [job for job in ids if job.startswith(prefix)]

    with pytest.raises(AmbiguousJobError) as caught:
        doors.session.job(prefix)

    assert twins == sorted(caught.value.matches)
    doors.refuses(3, [*twins[:5], "Type more of the id"], "cancel", prefix)
    assert all(not job.state.ends_wait for job in jobs)
    doors.session.cancel(jobs)


def test_an_id_of_another_store_is_unknown_here(doors: Doors, tmp_path: Path) -> None:
    with drover.open(tmp_path / "other", engine="none") as other:
        theirs = other.submit(["true"]).id

    with pytest.raises(UnknownJobError, match="choose another store with --home"):
        doors.session.job(theirs)
    for words in (("show",), ("logs",), ("wait",), ("cancel",), ("submit", "--after")):
        tail = ("--", "true") if words[0] == "submit" else ()
        doors.refuses(3, [theirs, "drover ps --all"], *words, theirs, *tail)


def test_an_empty_id_is_none(doors: Doors) -> None:
    """An unset variable must not stand for every job there is."""
    doors.submit()

    doors.refuses(3, ["no job ''"], "cancel", "")


# Dependencies


def test_no_job_can_wait_for_itself(doors: Doors) -> None:
    """A cycle needs an id before its job is there; every way to one ends at an unknown job."""
    first = doors.submit(hold=True, key="first")
    second = doors.submit(after=[first])

    # The same key with another `after` is another specification, not a change of the first.
    with pytest.raises(KeyConflictError, match=first.id):
        doors.submit(hold=True, key="first", after=[second])
    doors.refuses(
        2, [first.id, "another key"], "submit", "--key", "first", "--after", second.id, "--", "true"
    )
    with pytest.raises(UnknownJobError):
        doors.submit(after=["self"], key="self")
    assert () == doors.session.job(first.id).record.spec.after  # type: ignore[union-attr]

    first.release()
    assert second.wait(WAIT_S).succeeded


def test_an_element_cannot_wait_for_its_array(doors: Doors) -> None:
    array = doors.session.submit(["true"], array=Array(indices=2), key="array", hold=True)

    with pytest.raises(KeyConflictError):
        doors.session.submit(["true"], array=Array(indices=2), key="array", after=[array])
    assert isinstance(array, JobArray)
    array.cancel()


def test_a_dependency_on_a_job_that_has_ended_is_settled_at_once(doors: Doors) -> None:
    """Nobody waits for what is over: it runs, or it ends with the reason."""
    good, bad = doors.submit("true"), doors.submit("false")
    doors.session.wait([good, bad], WAIT_S)
    runs, never = doors.submit(after=[good]), doors.submit(after=[bad])

    assert runs.wait(WAIT_S).succeeded
    outcome = never.wait(WAIT_S)
    assert "DEPENDENCY_FAILED" == outcome.reason
    assert bad.id in outcome.message


# Settings

BROKEN = {
    "syntax": (b"[engine\n", ["cannot be read", "line 1"]),
    "type": (b"backend = 3\n", ["backend is 3", "give text"]),
    "unknown key": (b'bakend = "local"\n', ["'bakend' is not known", "did you mean 'backend'?"]),
    "unknown key of the engine": (b"[engine]\nidle = 1\n", ["did you mean 'idle_s'?"]),
    "no UTF-8": (b'backend = "\xff"\n', ["cannot be read", "utf-8"]),
}


@pytest.mark.parametrize(("content", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_settings_file_is_named(
    doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, says: list[str]
) -> None:
    """Everybody who reads it says which file it is; whoever works already goes on."""
    path = tmp_path / "drover.toml"
    path.write_bytes(content)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError) as caught:
        drover.open(doors.home)

    assert str(path) == caught.value.origin
    assert [] == [part for part in says if part not in str(caught.value)], caught.value
    doors.refuses(2, [str(path), *says], "submit", "true")
    doors.refuses(2, [str(path), *says], "config", "show")


def test_an_unknown_key_of_the_backend_is_named(
    doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "drover.toml").write_text("[backends.local]\ncpu = 1\n")
    monkeypatch.chdir(tmp_path)

    doors.refuses(2, ["[backends.local]", "did you mean 'cpus'?"], "submit", "true")


def test_a_settings_file_that_cannot_be_read_is_named(
    doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions stop nobody who is root; this file cannot be read even by root."""
    (tmp_path / "drover.toml").symlink_to("/proc/self/mem")
    monkeypatch.chdir(tmp_path)

    doors.refuses(2, [str(tmp_path / "drover.toml"), "cannot be read"], "submit", "true")


def test_a_bad_variable_is_named(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROVER_BAKEND", "x")

    doors.refuses(2, ["DROVER_BAKEND", "did you mean 'backend'?"], "submit", "true")


# Names


HOSTILE = {
    "quotes": 'it\'s "so" `id` $HOME $(id) \\ \u2019\u00ab',
    "controls": "".join(chr(code) for code in [*range(1, 32), 127, *range(128, 160)]),
    "escapes": "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "lines": "one\ntwo\r\nthree\u2028four",
    "directions": "\u202egnp.exe\u2066",
    "bytes": os.fsdecode(b"\xff\xfe"),
    "halves": "\ud800",
    "long": "n" * 1024,
    "blank": " ",
    "markup": "[bold]x[/bold] %s {0} <b>",
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_any_name_is_kept_whole_and_shown_safely(doors: Doors, name: str) -> None:
    """What people call their jobs must not break a listing, a filter, JSON or a terminal."""
    job = doors.submit(name=name)

    assert job.wait(WAIT_S).succeeded
    assert name == doors.session.job(job.id).record.spec.name  # type: ignore[union-attr]
    assert [job] == doors.session.jobs(name=name)
    listed = doors.type("ps", "--all")
    assert 0 == listed.code
    assert job.id in listed.stdout
    controls = set(map(chr, [*range(32), *range(127, 160), 0x202E, 0x2028])) - {"\n"}
    assert not controls & set(listed.stdout)
    told = doors.type("show", job.id, "--json")
    assert told.stdout.isascii()
    assert name == json.loads(told.stdout)["name"]
    if "\ud800" not in name:
        found = json.loads(doors.type("ps", "--json", "--name", name).stdout)["jobs"]
        assert [job.id] == [entry["id"] for entry in found]


def test_states_are_checked(doors: Doors) -> None:
    with pytest.raises(InvalidSpecError, match="state='RUNING'"):
        doors.session.jobs(state="RUNING")
    doors.refuses(2, ["RUNING"], "ps", "--state", "RUNING")
    assert State.LOST not in doors.states().values()

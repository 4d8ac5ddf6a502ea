"""What becomes of a template: each attribute as a field of a specification."""

import os
import pwd
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drover import JobSpec, drmaa
from drover.config import Config, Setting, load
from drover.drmaa._attached import GATE
from drover.drmaa._specification import Specifier
from drover.drmaa.vocabulary import NATIVE_OPTION
from drover.errors import InvalidSpecError, UnknownFieldError

HOME = pwd.getpwuid(os.getuid()).pw_dir
NOW = 1_700_000_000.0
Specify = Callable[..., JobSpec]


@pytest.fixture
def specify(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Specify:
    monkeypatch.setattr(GATE, "refuse_without_session", lambda: None)
    # The home directory is the system's word, not a variable's.
    monkeypatch.setenv("HOME", str(tmp_path))

    def make(config: Config | None = None, index: str | None = None, **values: Any) -> JobSpec:
        template = drmaa.JobTemplate(**{"remoteCommand": "cmd", **values})
        return Specifier(template, "local", config or Config(), NOW).spec(tag="t", index=index)

    return make


def configured(tmp_path: Path, text: str) -> Config:
    (tmp_path / "drover.toml").write_text(text)
    return load(tmp_path, {})


def test_a_bare_template(specify: Specify) -> None:
    """It runs in the home directory, as on Grid Engine."""
    assert JobSpec(argv=("cmd",), cwd=HOME, tags=("t",)) == specify()


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"args": ["a b", ""]}, {"argv": ("cmd", "a b", "")}),
        ({"jobName": "n"}, {"name": "n"}),
        ({"jobEnvironment": {"A": "a=b"}}, {"env": {"A": "a=b"}}),
        ({"workingDirectory": "/x"}, {"cwd": "/x"}),
        ({"workingDirectory": "$drmaa_hd_ph$/x"}, {"cwd": f"{HOME}/x"}),
        ({"workingDirectory": "x"}, {"cwd": f"{HOME}/x"}),
        ({"nativeSpecification": "-V -cwd"}, {"cwd": str(Path.cwd())}),
        ({"nativeSpecification": "-cwd", "workingDirectory": "/x"}, {"cwd": "/x"}),
        ({"nativeSpecification": "-o /x-cwd"}, {"cwd": HOME}),
        ({"jobSubmissionState": "drmaa_hold"}, {"hold": True}),
        ({"jobSubmissionState": "drmaa_active"}, {"hold": False}),
        ({"startTime": "23/11/14 22:13:21 +00:00"}, {"not_before": NOW + 1}),
        ({"deadlineTime": "23/11/14 22:13:22 +00:00"}, {"deadline": NOW + 2}),
        ({"joinFiles": True, "errorPath": ":e"}, {"join_output": True, "stderr": None}),
        ({"errorPath": ":e"}, {"join_output": False, "stderr": "e"}),
        ({"blockEmail": True, "email": ["a@b.c"]}, {"native": {}}),
        ({"email": ["a@b.c", "d"]}, {"native": {"local": {"email": ["a@b.c", "d"]}}}),
        ({"email": ["a@b.c"], "nativeSpecification": "-m e"},
         {"native": {"local": {"email": ["a@b.c"], NATIVE_OPTION: ["-m", "e"]}}}),
        ({"transferFiles": "ioe"}, {}),
        ({"nativeSpecification": "  "}, {"native": {}}),
        ({"nativeSpecification": "affinity=true name='a b'"},
         {"native": {"local": {"affinity": True, "name": "a b"}}}),
        ({"nativeSpecification": "-l h_rt=60 -q all.q"},
         {"native": {"local": {NATIVE_OPTION: ["-l", "h_rt=60", "-q", "all.q"]}}}),
    ],
)  # fmt: skip
def test_an_attribute_is_a_field(
    specify: Specify, values: dict[str, object], fields: dict[str, object]
) -> None:
    spec = specify(**values)

    assert fields == {name: getattr(spec, name) for name in fields}


@pytest.mark.parametrize(
    ("limits", "wall_time"),
    [
        ({"hardWallclockTimeLimit": 60}, 60.0),
        ({"hardRunDurationLimit": 30}, 30.0),
        ({"hardWallclockTimeLimit": 60, "hardRunDurationLimit": 90}, 60.0),
        ({}, None),
    ],
)
def test_the_smaller_limit_holds(
    specify: Specify, limits: dict[str, int], wall_time: float | None
) -> None:
    assert wall_time == specify(**limits).resources.wall_time


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (":/x/y", "/x/y"),
        (":y", "y"),
        ("localhost:/x", "/x"),
        (f"{socket.gethostname()}:/x", "/x"),
        (":$drmaa_hd_ph$/y", f"{HOME}/y"),
        (":$drmaa_wd_ph$/y", "/run/y"),
        (":/x/$drmaa_hd_ph$", "/x/$drmaa_hd_ph$"),
        (":/x:y", "/x:y"),
        (":/x/%j-100%", "/x/%%j-100%%"),
        (":/x/$drmaa_incr_ph$", "/x/$drmaa_incr_ph$"),
    ],
)
@pytest.mark.parametrize(
    ("attribute", "field"),
    [("inputPath", "stdin"), ("outputPath", "stdout"), ("errorPath", "stderr")],
)
def test_paths(specify: Specify, attribute: str, field: str, given: str, expected: str) -> None:
    """A `%` in a path is a `%`, whatever Drover makes of it elsewhere."""
    spec = specify(workingDirectory="/run", **{attribute: given})

    assert expected == getattr(spec, field)


def test_the_index_of_a_bulk_job_stands_in_its_paths(specify: Specify) -> None:
    values = {
        "outputPath": ":%a/$drmaa_incr_ph$.o$drmaa_incr_ph$",
        "inputPath": ":$drmaa_wd_ph$/in.$drmaa_incr_ph$",
    }
    array = specify(index="%a", workingDirectory="/100%", **values)
    single = specify(index="7", workingDirectory="/w/$drmaa_incr_ph$", **values)

    assert ("%%a/%a.o%a", "/100%%/in.%a") == (array.stdout, array.stdin)
    assert ("%%a/7.o7", "/w/7/in.7", "/w/7") == (single.stdout, single.stdin, single.cwd)


def test_a_file_in_a_folder_is_named_as_grid_engine_names_it(
    specify: Specify, tmp_path: Path
) -> None:
    """Programs hand in a folder for logs, and look for `NAME.oID` in it."""
    folder = tmp_path / "log 100%"
    folder.mkdir()
    spec = specify(jobName="a/b%", outputPath=f":{folder}", errorPath=f":{folder}/")

    assert f"{tmp_path}/log 100%%/a_b%%.o%j" == spec.stdout
    assert f"{tmp_path}/log 100%%/a_b%%.e%j" == spec.stderr
    assert f"{tmp_path}/log 100%%/true.o%j" == specify(
        remoteCommand="/bin/true", workingDirectory=tmp_path, outputPath=":log 100%"
    ).stdout.replace("log", f"{tmp_path}/log", 1)


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ({"remoteCommand": ""}, drmaa.DeniedByDrmException, "remoteCommand"),
        ({"outputPath": "/no/colon"}, drmaa.InvalidArgumentException, r"\[host\]:path"),
        ({"inputPath": ":"}, drmaa.InvalidArgumentException, r"\[host\]:path"),
        ({"errorPath": "far.away:/x"}, drmaa.DeniedByDrmException, "another host"),
        ({"jobCategory": "x"}, drmaa.DeniedByDrmException, r"\[drmaa\.categories\.x\]"),
        ({"nativeSpecification": "'"}, drmaa.InvalidAttributeFormatException, "quot"),
    ],
)
def test_what_cannot_be_done_is_refused(
    specify: Specify, values: dict[str, object], kind: type[Exception], words: str
) -> None:
    """Nothing is ignored in silence."""
    with pytest.raises(kind, match=words):
        specify(**values)


def test_a_category_brings_fields_and_the_template_wins(specify: Specify, tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        """
        [drmaa.categories.long]
        wall_time = "2h"
        memory = "1GiB"
        tags = ["night"]
        name = "nightly"
        env = {A = "category", B = "category"}
        native.local = {affinity = true, kill_leftovers = true}
        native.slurm = {qos = "low"}
        """,
    )
    spec = specify(
        config,
        jobCategory="long",
        hardWallclockTimeLimit=60,
        jobEnvironment={"A": "template"},
        nativeSpecification="affinity=false",
    )

    assert (60.0, 2**30) == (spec.resources.wall_time, spec.resources.memory)
    assert ("nightly", ("night", "t")) == (spec.name, spec.tags)
    assert {"A": "template", "B": "category"} == spec.env
    assert {
        "local": {"affinity": False, "kill_leftovers": True},
        "slurm": {"qos": "low"},
    } == spec.native
    assert 7200.0 == specify(config, jobCategory="long").resources.wall_time


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("argv", ["rm"], drmaa.DeniedByDrmException),
        ("array", 3, drmaa.DeniedByDrmException),
        ("wal_time", "2h", UnknownFieldError),
        ("memory", "much", InvalidSpecError),
    ],
)
def test_a_category_that_cannot_be_is_refused(
    specify: Specify, field: str, value: object, kind: type[Exception]
) -> None:
    key = f"drmaa.categories.c.{field}"
    config = Config(settings={key: Setting(key=key, value=value, origin="file")})

    with pytest.raises(kind, match=field):
        specify(config, jobCategory="c")


@pytest.mark.parametrize(
    ("head", "mode", "given", "shell"),
    [
        (b"exit 5\n", 0o755, "{}/script", True),
        (b"exit 5\n", 0o755, "./script", True),
        (b"", 0o755, "{}/script", True),
        (b"exit 5\n", 0o644, "{}/script", False),
        (b"#!/bin/bash\nexit 5\n", 0o755, "{}/script", False),
        (b"\x7fELF\2\1\1\0", 0o755, "{}/script", False),
        (b"exit 5\n", 0o755, "script", False),
        (b"exit 5\n", 0o755, "{}/none", False),
        (b"exit 5\n", 0o755, "{}/.", False),
    ],
)
def test_a_script_that_names_no_interpreter_is_the_shells(
    specify: Specify, tmp_path: Path, *, head: bytes, mode: int, given: str, shell: bool
) -> None:
    """On Grid Engine it runs; a kernel refuses it."""
    (tmp_path / "script").write_bytes(head)
    (tmp_path / "script").chmod(mode)
    command = given.format(tmp_path)
    spec = specify(remoteCommand=command, args=["a"], workingDirectory=tmp_path)

    assert (("/bin/sh",) * shell + (command, "a"), "script" if shell else None) == (
        spec.argv, spec.name,
    )  # fmt: skip
    assert "n" == specify(remoteCommand=command, workingDirectory=tmp_path, jobName="n").name


def test_a_near_miss_of_a_category_is_named(specify: Specify, tmp_path: Path) -> None:
    config = configured(tmp_path, "[drmaa.categories.long]")

    with pytest.raises(drmaa.DeniedByDrmException, match="did you mean 'long'"):
        specify(config, jobCategory="lonng")


def test_what_is_no_template_is_refused() -> None:
    with pytest.raises(drmaa.InvalidJobTemplateException, match="no job template"):
        Specifier("x", "local", Config(), NOW)

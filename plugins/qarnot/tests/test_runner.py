"""The program on the node: what it shows can be read back, and it goes on where it is told."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from drover.commandline import WRAPPER, read_exit_record, read_unrun_records
from drover_qarnot._output import unescape
from drover_qarnot._tools import RUNNER
from drover_qarnot.runner import Escaping


@settings(deadline=None)  # a machine that is busy is no error
@example(["\uf705".encode(), b"\x00\xff\xe2\x98"])
@given(some.lists(some.binary(max_size=40), max_size=8))
def test_output_can_be_read_back(pieces: list[bytes]) -> None:
    """What passes as text must be the command's own bytes again, however it was cut."""
    escaping = Escaping()
    text = "".join([*map(escaping.feed, pieces), escaping.feed(b"", final=True)])
    passed = text.encode("utf-8").decode("utf-8")

    assert unescape(passed) == b"".join(pieces)


@pytest.mark.parametrize("text", ["plain\n", "Zoë\t☃ \U0001f600\n"])
def test_text_stays_readable(text: str) -> None:
    """People look at the cloud's own console as well."""
    assert Escaping().feed(text.encode()) == text


def lay(folder: Path, plan: dict[str, Any]) -> Path:
    """Lay out a node's folder as the cloud would."""
    ours = folder / ".drover"
    ours.mkdir()
    for program in (RUNNER, WRAPPER):
        (ours / program.name).write_bytes(program.read_bytes())
    (ours / "plan.json").write_text(json.dumps(plan))
    return ours


def plan_of(*argv: str, **changes: Any) -> dict[str, Any]:
    member = {"token": "t-1", "base": "", "env": {"A": "1"}, "argv": list(argv), "cwd": None}
    common = {"version": 1, "requeue": False, "pass_env": ["INSTANCE_ID"]}
    return {"shared": False, "bases": {}, "common": common, "members": {"3": {**member, **changes}}}


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-I", "-S", str(folder / ".drover/runner.py"), "batch"]
    return subprocess.run(
        argv, cwd=folder, env={"INSTANCE_ID": "3", **environment}, capture_output=True, check=False
    )


def test_an_instance_runs_its_own_command(tmp_path: Path) -> None:
    """Argv, end and output of an instance are those of its element."""
    lay(tmp_path, plan_of("/bin/sh", "-c", 'echo "$A $INSTANCE_ID $1"; exit 7', "x", "a b"))
    done = run(tmp_path)
    record = read_exit_record(tmp_path / "batch/3", token="t-1")

    assert (done.returncode, done.stdout) == (7, b"1 3 a b\n")
    assert record is not None
    assert record.exit_code == 7
    assert (tmp_path / "batch/3/stdout.0").read_bytes() == b"1 3 a b\n"


def test_no_environment_is_left_in_the_results(tmp_path: Path) -> None:
    """What comes back lies in a bucket for long; secrets of the environment must not."""
    lay(tmp_path, plan_of("/bin/true", env={"PASSWORD": "hunter2"}))
    run(tmp_path)
    texts = [path.read_bytes() for path in (tmp_path / "batch").rglob("*") if path.is_file()]

    assert texts
    assert [] == [text for text in texts if b"hunter2" in text]


@pytest.mark.parametrize("reason", ["closed", "no plan", "another instance"])
def test_in_doubt_nothing_is_run(tmp_path: Path, reason: str) -> None:
    """A task that comes late, when its token was closed, must run nothing."""
    ours = lay(tmp_path, plan_of("/bin/sh", "-c", ": >ran"))
    instance = "3"
    if reason == "closed":
        (ours / "closed.3").touch()
    elif reason == "no plan":
        (ours / "plan.json").unlink()
    else:
        instance = "4"
    done = run(tmp_path, INSTANCE_ID=instance)

    assert done.returncode == 118
    assert not (tmp_path / "ran").exists()
    assert [record.why for record in read_unrun_records(tmp_path / "batch" / instance)]


def test_a_request_reaches_the_command(tmp_path: Path) -> None:
    """A cancel comes as a file, and gives the command its grace."""
    script = 'trap "echo bye; exit 5" TERM; : >up; while :; do sleep 0.02; done'
    ours = lay(tmp_path, plan_of("/bin/sh", "-c", script))
    argv = [sys.executable, "-I", "-S", str(ours / "runner.py"), "batch"]
    request = [{"id": "r", "signal": 15, "why": "cancel", "grace_s": 20}]
    process = subprocess.Popen(argv, cwd=tmp_path, env={"INSTANCE_ID": "3"}, stdout=-1)
    with process:
        while not (tmp_path / "up").exists():
            assert process.poll() is None
        draft = ours / ".draft"
        draft.write_text(json.dumps(request))
        draft.replace(ours / "requests.3")
        out, _ = process.communicate(timeout=30)

    assert (process.returncode, out) == (5, b"bye\n")


def test_outputs_are_listed_with_what_is_missing(tmp_path: Path) -> None:
    """A file that was not made is told by name, and the others come all the same."""
    script = 'mkdir d; echo 1 >d/a; ln -s a d/l; chmod 700 d/a; printf "%s" "$0" >"o o"'
    names = ["d", "o o", "not there"]
    lay(tmp_path, plan_of("/bin/sh", "-c", script, "x", outputs=names))
    assert run(tmp_path).returncode == 0
    listed = json.loads((tmp_path / "batch/3/out.json").read_text())
    kinds = {entry["name"]: entry["kind"] for entry in listed["entries"]}

    assert kinds == {"0": "folder", "0/a": "file", "0/l": "link", "1": "file"}
    assert [line.split(":")[0] for line in listed["missing"]] == ["not there"]
    assert (tmp_path / "batch/3/out/1").read_bytes() == b"x"

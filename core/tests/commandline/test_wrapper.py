"""The wrapper on the compute node: it runs the command once, exactly, and tells the truth."""

import ast
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from drover.commandline import WRAPPER, claims, wrapper, write_json
from drover.commandline.claims import Owner
from drover.commandline.records import read_start_record, read_unrun_records
from drover.models import Reason, Source, Started

NASTY = (
    "", " ", "a b", "'", '"', "$HOME", "`id`", "$(id)", "\\", "\\n", "a\nb", "\t", "*", "~", ";",
    "|", "&", "-n", "--", "%s", "é", "\U0001f600", os.fsdecode(b"\xff\xfe"), "\r", "\x01", "#", "!",
)  # fmt: skip
SHOW_ARGV = "import os, sys; os.write(1, b'\\0'.join(os.fsencode(a) for a in sys.argv[1:]))"


def test_it_keeps_to_an_old_python() -> None:
    """Compute nodes run Pythons older than ours."""
    ast.parse(WRAPPER.read_text("ascii"), feature_version=(3, 6))


def test_it_imports_the_standard_library_only() -> None:
    """It is copied to where drover is not installed."""
    tree = ast.parse(WRAPPER.read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize("code", [0, 1, 2, 77, 98, 126, 127, 137, 255])
def test_the_exit_code_is_the_commands(node: Any, code: int) -> None:
    """A code that changes on the way is a lie."""
    node.write("/bin/sh", "-c", f"exit {code}")

    assert node.run() == code
    assert (node.end().exit_code, node.end().signal) == (code, None)
    assert (node.end().source, node.end().started) == (Source.EXIT_RECORD, Started.YES)


@pytest.mark.parametrize("code", sorted(wrapper.RESERVED))
def test_a_code_that_a_scheduler_misreads_is_masked(node: Any, code: int) -> None:
    """99 makes Grid Engine run a job for ever; the record keeps the truth."""
    node.write("/bin/sh", "-c", f"exit {code}")

    assert node.run() == wrapper.MASKED_EXIT
    assert node.end().exit_code == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_death_by_a_signal_is_told_as_such(node: Any, number: int) -> None:
    """137 and signal 9 are not the same end."""
    node.write("/bin/sh", "-c", f"kill -{int(number)} $$")

    assert node.run() == 128 + number
    assert (node.end().exit_code, node.end().signal) == (None, number)


def test_argv_arrives_byte_for_byte(node: Any) -> None:
    """No shell, no locale, no JSON may change a word."""
    node.write(sys.executable, "-c", SHOW_ARGV, *NASTY)

    assert node.run(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0") == 0
    assert node.out().split(b"\0") == [os.fsencode(word) for word in NASTY]


def test_the_environment_is_exactly_as_asked(node: Any) -> None:
    """Neither the wrapper's own variables may leak nor the job's be lost."""
    wanted = {f"V{index}": word for index, word in enumerate(NASTY)}
    node.write("/usr/bin/env", "-0", inherit_env=False, env=wanted, pass_env=("SLURM_*", "ONE"))

    assert node.run(SLURM_JOB_ID="42", ONE="1", ONE_MORE="2") == 0
    seen = dict(entry.split(b"=", 1) for entry in node.out().split(b"\0")[:-1])
    expected = {name.encode(): os.fsencode(word) for name, word in wanted.items()}
    assert seen == {**expected, b"SLURM_JOB_ID": b"42", b"ONE": b"1"}


def test_streams_and_directory(node: Any, tmp_path: Path) -> None:
    """Paths are the user's, relative ones lie in the job's own directory."""
    cwd = tmp_path / os.fsdecode(b"a 'b\n\xff")
    cwd.mkdir()
    (cwd / "in").write_bytes(bytes(range(256)))
    script = "cat; printf err >&2; pwd -P >here"
    node.write("/bin/sh", "-c", script, cwd=cwd, stdin="in", stdout="out-%j", stderr="err")

    assert node.run() == 0
    assert (cwd / "out-job").read_bytes() == bytes(range(256))
    assert (cwd / "err").read_bytes() == b"err"
    assert (cwd / "here").read_bytes() == os.fsencode(cwd.resolve()) + b"\n"
    assert stat.S_IMODE((cwd / "out-job").stat().st_mode) == 0o600


def test_joined_output_keeps_its_order(node: Any) -> None:
    """Two descriptors of one file must not overwrite each other."""
    node.write("/bin/sh", "-c", "echo 1; echo 2 >&2; echo 3", join_output=True)

    assert node.run() == 0
    assert node.out() == b"1\n2\n3\n"
    assert not (node.folder / "stderr.0").exists()


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"argv": ["/no/such/program"]}, "/no/such/program"),
        ({"argv": ["/etc/passwd"]}, "Permission denied"),
        ({"cwd": "/no/such/place"}, "/no/such/place"),
        ({"stdin": "/no/such/file"}, "/no/such/file"),
        ({"stdout": "/no/such/place/out"}, "/no/such/place/out"),
        ({"pre_launch": "/no/such/script"}, "/no/such/script"),
    ],
)
def test_what_cannot_be_launched_says_so(node: Any, fields: dict[str, Any], word: str) -> None:
    """A command that never ran did not exit."""
    fields = dict(fields)
    node.write(*fields.pop("argv", ["/bin/true"]), **fields)

    assert node.run() in (126, 127)
    report = node.end()
    assert (report.reason, report.started) == (Reason.LAUNCH_FAILED, Started.NO)
    assert (report.exit_code, report.signal) == (None, None)
    assert word in report.message


def test_scripts_around_the_command(node: Any, tmp_path: Path) -> None:
    """They are sourced, and the job keeps the command's own exit code."""
    (tmp_path / "a 'pre").write_text("GREETING='hello world'; export GREETING\n")
    (tmp_path / "post").write_text('echo "post $DROVER_EXIT_CODE"; exit 5\n')
    node.write(
        "/bin/sh", "-c", 'echo "$GREETING $1"; exit 3', "x", "$(id) 'q'",
        cwd=tmp_path, pre_launch="a 'pre", post_launch=tmp_path / "post",
    )  # fmt: skip

    assert node.run() == 3
    assert node.out() == b"hello world $(id) 'q'\npost 3\n"
    assert node.end().exit_code == 3
    assert "post_launch" in node.end().message


def test_a_second_start_runs_nothing(node: Any) -> None:
    """A scheduler that runs a job again by itself must not run the command twice."""
    node.write("/bin/sh", "-c", "echo ran")

    assert [node.run("7"), node.run("7"), node.run("8", "1")] == [0, 118, 118]
    assert node.out() == b"ran\n"
    assert [record.owner for record in read_unrun_records(node.folder)] == [
        Owner(native_id="7"),
        Owner(native_id="8", restart=1),
    ]


def test_a_restart_that_was_allowed_runs(node: Any) -> None:
    """Each restart has its own record and its own output."""
    node.write("/bin/sh", "-c", "echo $RUN; exit $RUN", requeue=True, pass_env=("RUN",))

    codes = [node.run("{JOB}", "{COUNT}", JOB="7", COUNT=n, RUN=n or "0") for n in ("", "1", "1")]

    assert codes == [0, 1, 118]
    assert [node.end(0).exit_code, node.end(1).exit_code] == [0, 1]
    assert [node.out("stdout.0"), node.out("stdout.1")] == [b"0\n", b"1\n"]


def test_a_closed_attempt_runs_nothing(node: Any) -> None:
    """The engine gave it up and may have opened the next attempt."""
    node.write("/bin/sh", "-c", "echo ran")
    claims.close(node.folder, "engine: given up")

    assert node.run() == 118
    assert not (node.folder / "stdout.0").exists()
    assert "given up" in read_unrun_records(node.folder)[0].why


@pytest.mark.parametrize("native_id", ["", "{NO_SUCH_VARIABLE}", "{A}.{B}"])
def test_without_a_native_id_nothing_runs(node: Any, native_id: str) -> None:
    """A claim that names nobody could be adopted by nobody."""
    node.write("/bin/true")

    assert node.run(native_id) == 118
    assert claims.read(node.folder) == ()


@pytest.mark.parametrize("task", [None, b"", b"{", b"[]", b'{"version": 99, "argv": ["true"]}'])
def test_without_a_task_nothing_runs(node: Any, task: bytes | None) -> None:
    """A folder that was purged or damaged is no reason to guess."""
    if task is not None:
        node.folder.mkdir()
        (node.folder / wrapper.TASK).write_bytes(task)

    assert node.run() == 118
    assert node.folder.exists() is (task is not None)


@pytest.mark.parametrize("own_session", [False, True])
def test_signals_reach_the_command(node: Any, eventually: Any, own_session: bool) -> None:
    """A scheduler signals the wrapper and means the job."""
    script = "trap 'exit 21' USR1; trap 'exit 22' TERM; echo up; while :; do sleep 0.01; done"
    node.write("/bin/sh", "-c", script, own_session=own_session)
    process = node.start()
    eventually(lambda: (node.folder / "stdout.0").exists() and node.out() == b"up\n", "the start")

    process.send_signal(signal.SIGUSR1)

    assert process.wait(20) == 21
    assert node.end().exit_code == 21


def test_every_signal_that_can_be_passed_on_is(node: Any, eventually: Any) -> None:
    """Who is asked for a core dump, or uses signals of his own, is not to lose his wrapper."""
    script = (
        "import os, signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
        "print('up', flush=True)\n"
        "while True: print(int(signal.sigwait(signal.valid_signals())), flush=True)\n"
    )
    node.write(sys.executable, "-c", script)
    process = node.start()
    eventually(lambda: (node.folder / "stdout.0").exists() and node.out() == b"up\n", "the start")
    for number in sorted(wrapper.FORWARDED):
        process.send_signal(number)
        eventually(lambda number=number: b"%d\n" % number in node.out(), f"signal {number}")
    process.send_signal(wrapper.KILLER)

    assert process.wait(20) == 128 + signal.SIGKILL
    assert node.end().signal == signal.SIGKILL
    assert {signal.SIGABRT, signal.SIGRTMIN + 3} <= wrapper.FORWARDED


@pytest.mark.parametrize("own_session", [False, True])
def test_a_cancel_kills_when_its_grace_is_over(
    node: Any, eventually: Any, own_session: bool
) -> None:
    """The scheduler's own grace is half a minute, and kills the wrapper with what it would tell."""
    script = "trap 'echo no' TERM; echo up; while :; do sleep 0.01; done"
    node.write("/bin/sh", "-c", script, own_session=own_session)
    process = node.start()
    eventually(lambda: (node.folder / "stdout.0").exists() and node.out() == b"up\n", "the start")
    process.send_signal(signal.SIGTERM)
    eventually(lambda: node.out() == b"up\nno\n", "the first TERM")
    assert process.poll() is None
    write_json(node.folder, wrapper.CANCEL, {"grace_s": 0.2}, durable=False)
    process.send_signal(signal.SIGTERM)

    assert process.wait(20) == 128 + signal.SIGKILL
    assert (node.end().exit_code, node.end().signal) == (None, signal.SIGKILL)
    assert node.end().reason is Reason.CANCELLED
    assert node.out() == b"up\nno\nno\n"


@pytest.mark.parametrize("told", ["nonsense", '{"grace_s": "soon"}', "[]"])
def test_a_cancel_that_cannot_be_read_is_one_without_a_grace(
    node: Any, eventually: Any, told: str
) -> None:
    """A torn file must not keep a TERM from the command, nor end the wrapper."""
    node.write("/bin/sh", "-c", "trap 'exit 22' TERM; echo up; while :; do sleep 0.01; done")
    process = node.start()
    eventually(lambda: (node.folder / "stdout.0").exists() and node.out() == b"up\n", "the start")
    (node.folder / wrapper.CANCEL).write_text(told, "ascii")
    process.send_signal(signal.SIGTERM)

    assert process.wait(20) == 22


def test_a_signal_before_the_start_prevents_it(node: Any) -> None:
    """A job that is cancelled while its wrapper comes up has never run."""
    node.write("/bin/true")
    task = wrapper.read_task(str(node.folder))
    runner = wrapper.Runner.__new__(wrapper.Runner)
    runner.own_session, runner.child, runner.early = False, 0, [signal.SIGTERM]
    claim = wrapper.claim_start(str(node.folder), task, "7", 0)

    assert wrapper.run(str(node.folder), task, claim, runner) == 128 + signal.SIGTERM
    assert (node.end().started, node.end().signal) == (Started.NO, signal.SIGTERM)
    assert not (node.folder / "stdout.0").exists()


def test_killed_in_the_middle_it_leaves_no_end_and_no_second_start(
    node: Any, eventually: Any
) -> None:
    """After kill -9 of the wrapper nobody may guess an end, nor run it again."""
    node.write("/bin/sh", "-c", "echo ran; exec sleep 600", own_session=True)
    process = node.start()
    eventually(lambda: read_start_record(node.folder) is not None, "the start record")
    start = read_start_record(node.folder)
    process.kill()
    process.communicate()

    try:
        assert node.run("7") == 118
        assert not (node.folder / "exit.0.json").exists()
        assert start is not None
        assert start.process is not None
        assert start.process.is_alive
    finally:
        assert start is not None
        assert start.process is not None
        assert start.process.kill(signal.SIGKILL, group=True)
    process_id = start.process
    eventually(lambda: not process_id.is_alive, "the command's end")


def test_usage_and_host_come_from_the_kernel(node: Any) -> None:
    """What a job used is told in seconds and bytes."""
    node.write(sys.executable, "-c", "x = bytearray(40_000_000); sum(range(2_000_000))")

    assert node.run() == 0
    usage = node.end().usage
    assert usage is not None
    assert usage.max_rss_bytes is not None
    assert usage.max_rss_bytes > 40_000_000
    assert usage.cpu_s is not None
    assert 0.005 < usage.cpu_s < 20
    assert usage.wall_s is not None
    assert 0.005 < usage.wall_s < 20
    assert usage.host == os.uname().nodename


def test_files_are_private_whatever_the_umask(node: Any) -> None:
    """Tasks hold secrets, outputs may."""
    before = os.umask(0)
    try:
        node.write("/bin/sh", "-c", "umask")
        assert node.run() == 0
    finally:
        os.umask(before)

    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in node.folder.iterdir()}
    assert set(modes.values()) == {"0o600"}, modes
    assert stat.S_IMODE(node.folder.stat().st_mode) == 0o700


def test_a_record_that_cannot_be_written_is_tried_again(
    node: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A disk that is full for a second must not cost the true exit code."""
    delays: list[float] = []
    failures = [OSError(28, "No space left on device")] * 2
    write_new = wrapper.write_new

    def full(path: str, content: object, durable: bool) -> None:
        if failures:
            raise failures.pop()
        write_new(path, content, durable)  # type: ignore[arg-type]

    node.folder.mkdir()
    monkeypatch.setattr(wrapper, "write_new", full)
    monkeypatch.setattr(wrapper.time, "sleep", delays.append)
    wrapper.leave_record(str(node.folder), "exit.0.json", {"a": 1})

    assert json.loads((node.folder / "exit.0.json").read_text()) == {"a": 1}
    assert delays == [0.1, 1.0]
    assert "No space left" in capfd.readouterr().err


_FULL = """
import sys
from drover.commandline import wrapper
wrapper.PATIENCE_S = (0.01,)
write, failures = wrapper.write_whole, [OSError(28, "No space left on device")]
def full(folder, name, content, durable=True):
    if name.startswith("exit") and failures:
        raise failures.pop()
    write(folder, name, content, durable)
wrapper.write_whole = full
sys.exit(wrapper.main(sys.argv[1:]))
"""


def test_a_log_that_cannot_be_written_costs_neither_record_nor_code(node: Any) -> None:
    """It lies on the same full disk: the wrapper died of its own complaint, and said 1 for 7."""
    node.write("/bin/sh", "-c", "exit 7")
    argv = [sys.executable, "-c", _FULL, str(node.folder), "7"]
    with Path("/dev/full").open("w") as log:
        codes = [subprocess.run(argv, stderr=log, timeout=20, check=False).returncode for _ in "ab"]

    assert [7, wrapper.UNRUN_EXIT] == codes
    assert 7 == node.end().exit_code
    assert 1 == len(read_unrun_records(node.folder))


def test_wrong_use_runs_nothing() -> None:
    """A site's script with a missing word must not run half a job."""
    done = subprocess.run([sys.executable, WRAPPER, "x"], capture_output=True, check=False)

    assert done.returncode == 118
    assert b"usage" in done.stderr


@pytest.mark.parametrize(
    ("record", "met"),
    [
        ({"exit_code": 0}, {"succeeded", "ended"}),
        ({"exit_code": 3}, {"failed", "ended"}),
        ({"exit_code": None, "signal": 15}, {"failed", "ended"}),
        ({"exit_code": 0, "over": True}, {"failed", "ended"}),
        ({"exit_code": 0, "cancelled": True}, {"failed", "ended"}),
        (None, set()),
        ("damaged", set()),
    ],
)
def test_what_came_before_is_judged_by_its_record(
    tmp_path: Path, record: "dict[str, Any] | str | None", met: set[str]
) -> None:
    """Schedulers let go of a job whose predecessor they forgot: without a record nothing runs."""
    if record is not None:
        text = record if isinstance(record, str) else json.dumps(record)
        (tmp_path / "exit.0.json").write_text(text)

    def is_met(condition: str) -> bool:
        before = {"job": "abc", "condition": condition, "folder": str(tmp_path)}
        try:
            wrapper.check_predecessors({"after": [before]})
        except wrapper.Unrun:
            return False
        return True

    assert met == {condition for condition in ("succeeded", "failed", "ended") if is_met(condition)}


def test_a_record_that_cannot_be_read_lets_nothing_run(tmp_path: Path) -> None:
    """A file server that is away says nothing of how a job ended."""
    (tmp_path / "exit.0.json").mkdir()
    before = {"job": "abc", "condition": "ended", "folder": str(tmp_path)}

    with pytest.raises(wrapper.Unrun, match="cannot be read"):
        wrapper.check_predecessors({"after": [before]})


def leave(folder: Path, *codes: int | None) -> dict[str, Any]:
    """Leave the records of an array's elements, each in its folder; `None`: none."""
    for index, code in enumerate(codes):
        place = folder / f"job.{index}/1"
        place.mkdir(parents=True, exist_ok=True)
        if code is not None:
            (place / "exit.0.json").write_text(json.dumps({"exit_code": code}))
    # In two parts, as where one was handed over twice.
    last = len(codes) - 1
    parts = [[f"{folder}/job.", "/1", f"0-{last - 1}"], [f"{folder}/job.", "/1", str(last)]]
    return {"job": "job", "elements": parts}


@pytest.mark.parametrize(
    ("codes", "met"),
    [
        ((0, 0, 0), {"succeeded", "ended"}),
        ((0, 3, 0), {"failed", "ended"}),
        ((0, 0, 3), {"failed", "ended"}),
        ((0, None, 0), set()),
        ((0, 0, None), set()),
        ((3, None, 0), set()),
    ],
)
def test_an_array_is_judged_by_the_records_of_all_its_elements(
    tmp_path: Path, codes: Sequence[int | None], met: set[str]
) -> None:
    """One that failed is enough, and one of which nobody knows: nothing runs."""
    before = leave(tmp_path, *codes)

    def is_met(condition: str) -> bool:
        try:
            wrapper.check_predecessors({"after": [{**before, "condition": condition}]})
        except wrapper.Unrun:
            return False
        return True

    assert met == {condition for condition in ("succeeded", "failed", "ended") if is_met(condition)}


def test_an_array_without_elements_lets_nothing_run() -> None:
    """Who names nobody has waited for nobody."""
    before = {"job": "abc", "condition": "ended", "elements": []}

    with pytest.raises(wrapper.Unrun, match="without its elements"):
        wrapper.check_predecessors({"after": [before]})


@pytest.mark.parametrize(("codes", "why"), [((0, 0), ""), ((0, 4), "job job had to be succeeded")])
def test_the_first_of_a_list_reads_for_all(tmp_path: Path, codes: Sequence[int], why: str) -> None:
    """Ten thousand elements would read ten thousand records each."""
    before = {**leave(tmp_path, *codes), "condition": "succeeded"}
    task = {"after": [before], "before": str(tmp_path / "list.before")}

    def judged() -> str:
        try:
            wrapper.check_predecessors(task)
        except wrapper.Unrun as unrun:
            return str(unrun)
        return ""

    first = judged()
    for path in tmp_path.glob("job.*/1/exit.0.json"):
        path.unlink()

    assert [why, why] == [first, judged()]


def test_what_nobody_knows_yet_is_looked_for_again(tmp_path: Path) -> None:
    """A record may come late; only what stands in one is true for good."""
    before = {**leave(tmp_path, 0, None), "condition": "succeeded"}
    task = {"after": [before], "before": str(tmp_path / "list.before")}
    with pytest.raises(wrapper.Unrun, match="no record"):
        wrapper.check_predecessors(task)

    leave(tmp_path, 0, 0)

    wrapper.check_predecessors(task)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"why": null}', "\0"])
def test_a_finding_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    """A disk that broke lets nothing run that must not."""
    (tmp_path / "list.before").write_text(content)
    before = {**leave(tmp_path, 0, 3), "condition": "succeeded"}

    with pytest.raises(wrapper.Unrun, match="had to be"):
        wrapper.check_predecessors({"after": [before], "before": str(tmp_path / "list.before")})


def test_what_another_has_found_meanwhile_ends_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand that start together read what one of them has read first."""
    place = tmp_path / "list.before"
    asked: list[str] = []

    def ended_well(_job: str, folder: str) -> bool:
        asked.append(folder)
        place.write_text('{"why": ""}')
        return True

    monkeypatch.setattr(wrapper, "ended_well", ended_well)
    parts = [[f"{tmp_path}/job.", "/1", "0-999"]]
    before = {"job": "job", "condition": "succeeded", "elements": parts}
    wrapper.check_predecessors({"after": [before], "before": str(place)})

    assert len(asked) < wrapper.LOOK_AFTER


def test_without_a_place_for_findings_each_finds_out_itself(tmp_path: Path) -> None:
    """A full disk keeps no job from running."""
    task = {
        "after": [{**leave(tmp_path, 0, 0), "condition": "succeeded"}],
        "before": str(tmp_path / "away/list.before"),
    }

    wrapper.check_predecessors(task)

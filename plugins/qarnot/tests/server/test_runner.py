"""The runner of instances, the layout of resources, the choice of results: without a server."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drover_qarnot.server import _layout, _renewing, _results, runner
from drover_qarnot.server._asked import (
    Filtering,
    PrefixFiltering,
    ResourceBucket,
    StripPrefix,
    Transformation,
)
from drover_qarnot.server._buckets import Entry, NoBucketError


class Folders:
    """Buckets that are dictionaries."""

    def __init__(self, **buckets: dict[str, bytes]) -> None:
        self.buckets = buckets

    def exists(self, owner: str, bucket: str) -> bool:
        return bucket in self.buckets

    def ensure(self, owner: str, bucket: str) -> None:
        self.buckets.setdefault(bucket, {})

    def entries(self, owner: str, bucket: str, prefix: str) -> Iterator[Entry]:
        if bucket not in self.buckets:
            raise NoBucketError(bucket)
        for key, data in sorted(self.buckets[bucket].items()):
            if key.startswith(prefix):
                yield Entry(key=key, size=len(data), etag="")

    def fetch(self, owner: str, bucket: str, key: str, path: Path) -> None:
        path.write_bytes(self.buckets[bucket][key])

    def send(self, owner: str, bucket: str, key: str, path: Path) -> None:
        if bucket not in self.buckets:
            raise NoBucketError(bucket)
        self.buckets[bucket][key] = path.read_bytes()

    def usage(self, owner: str) -> tuple[int, int]:
        return len(self.buckets), 0


def start(folder: Path, index: int, **variables: str) -> "subprocess.CompletedProcess[str]":
    carried = {f"{runner.CARRIED}{name}": value for name, value in variables.items()}
    return subprocess.run(
        [sys.executable, "-I", "-S", runner.__file__, str(folder)],
        env={"PATH": os.environ["PATH"], "DROVER_ARRAY_INDEX": str(index),
             "STRAY": "of the backend", **carried},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    (tmp_path / "resources" / "sub").mkdir(parents=True)
    (tmp_path / "resources" / "sub" / "in.txt").write_text("in")
    plan = runner.Plan(
        instances="9", command_line="CMD", layers=[str(tmp_path / "resources")], argv=[]
    )
    (tmp_path / "plan").write_bytes(runner.write_plan(plan))
    return tmp_path


def output(folder: Path, index: int, stream: str = "stdout") -> str:
    return (folder / "out" / f"{index}.{stream}").read_text()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("echo a  'b  c'", "a b  c\n"),
        ("echo ${X} $X ${Y}", "one two $X ${Y}\n"),
        ("echo #${INSTANCE_ID}/${INSTANCE_COUNT}", "#4/9\n"),
        ("cat sub/in.txt", "in"),
        ("sh -c 'for i in 1 2; do printf ${i}; done'", "12"),
        ("", ""),
    ],
)
def test_a_command_is_split_as_docker_does(folder: Path, line: str, shown: str) -> None:
    """`${NAME}` is a constant, `$NAME` is left to a shell, if the user names one."""
    done = start(folder, 4, CMD=line, X="one two")

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
    assert shown == output(folder, 4)


@pytest.mark.parametrize(
    ("line", "code", "why"),
    [("no-such-program", 127, "not found"), ("echo 'x", 126, "quotation"), ("/", 126, "ermission")],
)
def test_what_cannot_run_says_so_in_its_own_stderr(
    folder: Path, line: str, code: int, why: str
) -> None:
    """With the exit codes of shells, which users know."""
    assert code == start(folder, 0, CMD=line).returncode
    assert why in output(folder, 0, "stderr")


def test_a_second_attempt_begins_anew_and_its_output_goes_on(folder: Path) -> None:
    """What the first left must not be taken for the second's work."""
    start(folder, 0, CMD="sh -c 'echo x; touch left'")
    start(folder, 0, CMD="ls")

    assert "x\nsub\n" == output(folder, 0)


def test_constants_do_not_change_how_the_runner_runs(folder: Path) -> None:
    """A constant is for the command: the runner's own interpreter must not see it."""
    (folder / "evil").mkdir()
    (folder / "evil" / "sitecustomize.py").write_text("raise SystemExit(77)")
    line = "sh -c 'echo $PYTHONPATH $STRAY'"
    done = start(folder, 0, CMD=line, PYTHONPATH=str(folder / "evil"))

    assert 0 == done.returncode
    assert f"{folder / 'evil'}\n" == output(folder, 0)


@given(st.text(alphabet=" \t\r\n\v\f\x1c\u00a0\u2003ab'\"\\#$"))
def test_splitting_without_shlex_is_splitting_with_it(line: str) -> None:
    """The short way is for speed: no command may be split otherwise by it."""
    try:
        expected = shlex.split(line)
    except ValueError:
        with pytest.raises(ValueError, match="No"):
            runner.split(line)
        return

    assert expected == runner.split(line)


@given(st.lists(st.text("a/ \n-")), st.lists(st.text().filter(lambda word: "\0" not in word)))
def test_a_plan_comes_back(layers: list[str], argv: list[str]) -> None:
    """Paths and words with anything in them but NUL."""
    plan = runner.Plan(instances="3", command_line="é", layers=layers, argv=argv)

    assert vars(plan) == vars(runner.read_plan(runner.write_plan(plan)))


@pytest.mark.parametrize("key", ["../x", "a/../../x", "a/./b", "..", "a\0b", "x" * 256, "/../x"])
def test_no_key_leads_out_of_the_folder(key: str) -> None:
    """A bucket is filled by a user, the folder is the server's."""
    with pytest.raises(_layout.LayoutError):
        _layout.path_of(key)


def test_keys_become_paths() -> None:
    """As other S3 tools do it."""
    found = [_layout.path_of(key) for key in ("a/b", "/a//b/", "/", "...", "a b%")]

    assert ["a/b", "a/b", None, "...", "a b%"] == found


def test_buckets_are_laid_over_each_other(tmp_path: Path) -> None:
    """Later ones win; prefixes choose and are taken off."""
    buckets = Folders(
        one={"f": b"1", "both": b"1", "dir/": b""}, two={"in/both": b"2", "in/x/y": b"3", "no": b""}
    )
    cut = ResourceBucket(
        bucket_name="two",
        filtering=Filtering(prefix_filtering=PrefixFiltering(prefix="in/")),
        resources_transformation=Transformation(strip_prefix=StripPrefix(prefix="in/")),
    )
    _layout.stage(
        buckets, "me", [ResourceBucket(bucket_name="one"), cut], tmp_path / "resources", 100
    )
    laid = {
        path.relative_to(tmp_path / "resources").as_posix(): path.read_bytes()
        for path in (tmp_path / "resources").rglob("*")
        if path.is_file()
    }

    assert {"f": b"1", "both": b"2", "x/y": b"3"} == laid
    assert (tmp_path / "resources" / "dir").is_dir()


def test_a_layout_is_whole_or_not_there(tmp_path: Path) -> None:
    """An instance must not start with half of its resources."""
    buckets = Folders(one={"a": b"1", "a/b": b"2"})
    for most in (100, 1):
        with pytest.raises(_layout.LayoutError):
            _layout.stage(
                buckets, "me", [ResourceBucket(bucket_name="one")], tmp_path / "resources", most
            )

    assert not (tmp_path / "resources").exists()


def test_results_are_what_is_new_or_changed(folder: Path, tmp_path: Path) -> None:
    """Resources that stayed as they were are not results; links out of the folder are none."""
    (tmp_path / "resources" / "same").write_text("same")
    (tmp_path / "secret").write_text("secret")
    line = "sh -c 'echo more >>sub/in.txt; mkdir d; echo x >d/new; ln -s ../../../secret out; "
    line += "ln -s d/new inside; ln -s /etc etc'"
    start(folder, 0, CMD=line)
    place = folder / "i" / "0"

    assert ["d/new", "inside", "sub/in.txt"] == _results.made_by(place, 100)
    buckets = Folders(out={})
    sent = _results.send(buckets, "me", "out", place, ["d/new", "out"], prefix="p/")
    assert ["p/d/new"] == sent
    assert {"p/d/new": b"x\n"} == buckets.buckets["out"]


def test_new_resources_reach_instances_whenever_they_were_laid_out(folder: Path) -> None:
    """One that was being made ready is told apart, and gets them a moment later."""
    start(folder, 0, CMD="sh -c 'echo own > sub/in.txt; ln -s /tmp away; echo r > result'")
    (folder / "i" / "1" / "job").mkdir(parents=True)
    (folder / "resources" / "late").write_text("late")
    (folder / "resources" / "away").mkdir()
    (folder / "resources" / "away" / "escaped").write_text("x")

    assert not _renewing.renew_instances(folder)
    place = folder / "i" / "0"
    assert "late" == (place / "job" / "late").read_text()
    assert "own\n" == (place / "job" / "sub" / "in.txt").read_text()
    assert not Path("/tmp/escaped").exists()
    assert ["result", "sub/in.txt"] == _results.made_by(place, 100)
    start(folder, 1, CMD="true")
    assert _renewing.renew_instances(folder)
    assert "late" == (folder / "i" / "1" / "job" / "late").read_text()


def test_filters_choose_by_both_expressions(monkeypatch: pytest.MonkeyPatch) -> None:
    """White first, then black; and one that takes for ever is given up."""
    names = ["a.txt", "b.TXT", "c.log"]

    assert ["a.txt", "b.TXT"] == _results.chosen(names, r"(?i)\.txt$", None)
    assert ["c.log"] == _results.chosen(names, "", "(?i)txt")
    assert names == _results.chosen(names, "", "")
    monkeypatch.setattr(_results, "MATCH_S", 0.5)
    with pytest.raises(_results.FilterError, match="too long"):
        _results.chosen(["a" * 40 + "!"], "(a+)+$", None)


def test_a_name_that_is_no_text_becomes_a_key_all_the_same() -> None:
    """A file must not be left out because of how it is called."""
    assert "p/b\\xff" == _results.key_of(os.fsdecode(b"b\xff"), "p/")

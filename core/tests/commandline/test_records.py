"""A record is believed only if it is whole and ours."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from drover.commandline import (
    install_wrapper,
    output_path,
    read_chunk,
    read_exit_record,
    read_start_record,
    read_unrun_records,
    wrapper_argv,
)
from drover.commandline.processes import ProcessId
from drover.models import Chunk, Stream


@pytest.fixture
def ended(node: Any) -> Any:
    """Give a node whose attempt ended with 3."""
    node.write("/bin/sh", "-c", "exit 3")
    assert node.run() == 3
    return node


def test_a_true_record_is_read(ended: Any) -> None:
    """The wrapper and the engine must understand each other."""
    report = read_exit_record(ended.folder, token="tok-1")

    assert report is not None
    assert (report.exit_code, report.native_id) == (3, "7")


@pytest.mark.parametrize("size", [0, 1, 40, 200])
def test_half_a_record_says_nothing(ended: Any, size: int) -> None:
    """A file system that lost the end of a file must not invent an exit code."""
    path = ended.folder / "exit.0.json"
    path.write_bytes(path.read_bytes()[:size])

    assert read_exit_record(ended.folder) is None


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"nonce": "0" * 32},
        {"claim": 1},
        {"claim": "0"},
        {"restart": 1},
        {"token": "tok-2"},
        {"exit_code": None},
        {"exit_code": "3"},
        {"exit_code": True},
        {"signal": 9},
        {"started": "unknown"},
        {"started": "perhaps"},
        {"ended_at": None},
        {"native_id": 7},
        {"usage": {}},
    ],
    ids=str,
)
def test_a_foreign_record_says_nothing(ended: Any, change: dict[str, Any]) -> None:
    """What another attempt, another program or a stranger left is no evidence."""
    path = ended.folder / "exit.0.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    assert read_exit_record(ended.folder, token="tok-1") is None


@pytest.mark.parametrize("content", ["[]", "null", "3", "{}", '"x"', "[" * 100_000, "\xff"])
def test_noise_says_nothing(ended: Any, content: Any) -> None:
    """Anything can stand in a file."""
    for name in ("exit.0.json", "start.0.json", "unrun.x.0.json"):
        (ended.folder / name).write_text(content, "latin-1")

    assert read_exit_record(ended.folder) is None
    assert read_start_record(ended.folder) is None
    assert read_unrun_records(ended.folder) == ()


def test_a_record_without_its_claim_says_nothing(ended: Any) -> None:
    """A copied record must not end another attempt."""
    (ended.folder / "claim.0").unlink()

    assert read_exit_record(ended.folder) is None


def test_a_folder_in_place_of_a_file_says_nothing(ended: Any) -> None:
    """What cannot be read is no evidence."""
    (ended.folder / "exit.0.json").unlink()
    (ended.folder / "exit.0.json").mkdir()

    assert read_exit_record(ended.folder) is None


def test_no_record(tmp_path: Path) -> None:
    """No folder, no evidence."""
    assert read_exit_record(tmp_path / "gone") is None
    assert read_start_record(tmp_path / "gone") is None
    assert read_unrun_records(tmp_path / "gone") == ()


def test_the_start_names_the_commands_process(ended: Any) -> None:
    """It ended, so that its process is not there any more."""
    start = read_start_record(ended.folder)

    assert start is not None
    assert isinstance(start.process, ProcessId)
    assert not start.process.is_alive
    assert not start.process.kill(0)


@pytest.mark.parametrize(
    "content", [None, {}, [], {"pid": 1}, {"pid": -1, "start_ticks": 1, "boot_id": "x"}]
)
def test_half_an_identity_is_none(content: Any) -> None:
    """A number alone could be anybody's."""
    assert ProcessId.read(content) is None


def test_output_is_read_where_the_wrapper_wrote_it(node: Any) -> None:
    """Both sides must name the same file."""
    attempt = node.write("/bin/sh", "-c", "echo out; echo err >&2")
    assert node.run() == 0
    path = output_path(node.folder, attempt, Stream.STDERR)

    assert read_chunk(path, 1, 2) == Chunk(data=b"rr", offset=1, size=4, path=str(path))
    assert read_chunk(path, 9, 2) == Chunk(data=b"", offset=9, size=4, path=str(path))
    assert read_chunk(node.folder / "gone", 0, 1) is None


def test_the_wrapper_is_installed_once(tmp_path: Path) -> None:
    """A file that a node is just reading must not be written again."""
    first = install_wrapper(tmp_path / "bin")
    before = first.stat().st_ino

    assert install_wrapper(tmp_path / "bin") == first
    assert first.stat().st_ino == before
    first.write_text("old")
    assert install_wrapper(tmp_path / "bin").read_text() != "old"


@pytest.mark.parametrize("name", ["bin", "a 'b' $c", "b\udcffn"])
def test_an_installed_wrapper_is_compiled_once(node: Any, tmp_path: Path, name: str) -> None:
    """Compiling it takes longer than all it does; what is kept of it is for its user alone."""
    program = install_wrapper(tmp_path / name)
    node.write("true")

    umask = os.umask(0)
    try:
        done = subprocess.run(wrapper_argv(node.folder, "7", program=program), check=False)
    finally:
        os.umask(umask)
    (kept,) = (program.parent / "__pycache__").iterdir()

    assert (0, f"wrapper.{sys.implementation.cache_tag}.pyc") == (done.returncode, kept.name)
    assert 0o700 == stat.S_IMODE(kept.parent.stat().st_mode)
    assert 0 == kept.stat().st_mode & 0o022

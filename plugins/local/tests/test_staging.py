"""Inputs and outputs are copied whole or not at all."""

import os
from pathlib import Path
from typing import Any

from local_bench import Bench

from drover.models import StageAnswer


def _in(bench: Bench, *inputs: tuple[str, str], **fields: Any) -> StageAnswer:
    bench.backend = bench.backend or _unstarted(bench)
    attempt = bench.attempt("true", inputs=inputs, **fields)
    (answer,) = bench.backend.drover_stage_in([attempt])
    return answer


def _unstarted(bench: Bench) -> Any:
    from local_bench import StubContext

    from drover_local import LocalBackend

    return LocalBackend(StubContext(bench.home, 1, {}, "local"))  # type: ignore[arg-type]


def test_files_and_folders_are_copied(bench: Bench) -> None:
    home = bench.home
    (home / "tree" / "deep").mkdir(parents=True)
    (home / "tree" / "deep" / "a").write_bytes(b"a" * 10)
    (home / "tree" / "link").symlink_to("deep/a")
    (home / os.fsdecode(b"\xff")).write_text("odd")
    answer = _in(
        bench, ("tree", "copy/tree"), (os.fsdecode(b"\xff"), "odd.txt"), ("odd.txt", "copy/")
    )

    assert (True, 16) == (answer.ok, answer.bytes_moved), answer.message
    assert b"a" * 10 == (home / "copy/tree/deep/a").read_bytes()
    assert Path("deep/a") == (home / "copy/tree/link").readlink()
    assert "odd" == (home / "copy/odd.txt").read_text()


def test_a_transfer_can_be_repeated(bench: Bench) -> None:
    """After a restart nothing is copied again that is there, and what changed is."""
    (bench.home / "a").write_text("one")
    _in(bench, ("a", "b"))

    assert 0 == _in(bench, ("a", "b")).bytes_moved

    (bench.home / "a").write_text("three")

    assert 5 == _in(bench, ("a", "b")).bytes_moved
    assert "three" == (bench.home / "b").read_text()


def test_onto_itself_is_nothing(bench: Bench) -> None:
    """Working directory and client's directory are one here: the file is there already."""
    (bench.home / "a").write_text("one")
    answer = _in(bench, ("a", "a"), ("a", str(bench.home / "a")))

    assert (True, 0) == (answer.ok, answer.bytes_moved)
    assert "one" == (bench.home / "a").read_text()


def test_what_is_missing_is_named(bench: Bench) -> None:
    (bench.home / "d").mkdir()
    os.mkfifo(bench.home / "pipe")
    missing = _in(bench, ("nothing", "x"))
    inside = _in(bench, ("d", "d/e"))
    pipe = _in(bench, ("pipe", "x"))

    assert not missing.ok
    assert "'nothing'" in missing.message
    assert "no such file" in missing.message
    assert "into itself" in inside.message
    assert "only files" in pipe.message


def test_outputs_come_back(up: Bench) -> None:
    attempt = up.submit("sh", "-c", "echo result > made", outputs=(("made", "back/made"),))
    up.end(attempt)
    (answer,) = up.backend.drover_stage_out([attempt])

    assert answer.ok
    assert "result\n" == (up.home / "back/made").read_text()

"""The scripted Slurm says what a real one said to the same words."""

import getpass
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slurm_dialogues import DIALOGUES, SCRIPTS
from slurm_sides import OPTIONS, RealSide, Said, read, scripted

RECORDED = Path(__file__).parent / "recorded"
VERSIONS = sorted(path.name for path in RECORDED.iterdir())

# What differs from one run to the next, or that the scripted one has no use for.
_MASKS = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", "<time>"),
    (r"\b42949\d{5}\b", "<priority>"),
    (r"(AccrueTime|LastSchedEval|EligibleTime)=\S+", r"\1=<time>"),
    (r"Scheduler=\S+", "Scheduler=<who>"),
    (r"AllocNode:Sid=\S+", "AllocNode:Sid=<where>"),
    (r"RunTime=\S+", "RunTime=<length>"),
    (r"(munge|host|to):? ?\S*:\d+", r"\1 <host>"),
    (r"\bnode\d\b", "<node>"),
    (r'"[^"]*munge[^"]*"', "<socket>"),
    # A task of an array that was split off has a number of its own.
    (r"JobId=\d+ ", "JobId=<number> "),
)


def plain(text: str) -> str:
    """Take out what may differ."""
    for pattern, stands in _MASKS:
        text = re.sub(pattern, stands, text)
    return text


def told(said: list[Said]) -> list[str]:
    """Give answers as text that can be compared."""
    return [plain(one.text()) for one in said]


def prepared(folder: Path) -> Path:
    """Make the folder with the scripts."""
    for file, content in SCRIPTS.items():
        (folder / file).write_bytes(content)
    return folder


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", DIALOGUES)
def test_it_says_what_was_recorded(name: str, version: str, tmp_path: Path) -> None:
    """A backend that works with the scripted Slurm must not be surprised by the real one."""
    recorded = read((RECORDED / version / f"{name}.txt").read_text("utf-8"))
    side = scripted(prepared(tmp_path))
    try:
        said = side.have(DIALOGUES[name])
    finally:
        side.slurm.close()

    assert told(recorded) == told(said)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Give a real Slurm of the tests' own."""
    from slurm_cluster import SlurmCluster, must_be_installed

    must_be_installed()
    with SlurmCluster(*OPTIONS, nodes=2) as made:
        yield made


@pytest.mark.slurm
@pytest.mark.thorough
@pytest.mark.parametrize("name", DIALOGUES)
def test_it_says_what_a_real_one_says(name: str, cluster: Any, tmp_path: Path) -> None:
    """What was recorded once must not be what was so once."""
    folders = [tmp_path / "real", tmp_path / "scripted"]
    for folder in folders:
        folder.mkdir()
        prepared(folder)
    real = RealSide(folders[0], cluster=cluster)
    real.clear()
    said = real.have(DIALOGUES[name])
    side = scripted(folders[1], getpass.getuser(), os.getuid())
    try:
        answers = side.have(DIALOGUES[name])
    finally:
        side.slurm.close()

    assert told(said) == told(answers)

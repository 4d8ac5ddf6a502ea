"""What can never run is refused before it is handed over: Slurm would let it wait for ever."""

from typing import Any

import pytest
from slurm_speech import Reply, page

from drover.errors import UnreachableError
from drover.models import Resources
from drover_slurm import _capacity

TEXT = "batch|8|4000|4\nbatch|64+|256000+|2\nfat|128|1000000|1\nlogin|x|y|z\nnoise\n"
CAPACITY = _capacity.read(Reply(TEXT))


def test_a_real_sinfo_is_read() -> None:
    """Every partition with its nodes."""
    nodes = _capacity.read(page("site")["sinfo"]).nodes

    assert {"batch", "short", "requeued", "killed", "closed"} == {n.partition for n in nodes}
    assert {(8, 4000 * 2**20, 2)} == {(n.cpus, n.memory, n.count) for n in nodes}


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({}, ""),
        ({"cpus": 128}, ""),
        ({"cpus": 129}, "129 cpus for one task, the largest has 128"),
        ({"cpus": 65, "queue": "batch"}, "no node of partition batch has 65 cpus"),
        ({"cpus": 64, "queue": "batch"}, ""),
        ({"tasks": 1000}, ""),
        ({"memory": "900GiB"}, ""),
        ({"memory": "1TiB"}, "the largest has 1000000"),
        ({"memory": "300GiB", "queue": "batch"}, "no node of partition batch has 307200 MiB"),
        ({"nodes": 6}, ""),
        ({"nodes": 7}, "no 7 nodes in one partition, at most 6"),
        ({"nodes": 2, "queue": "fat"}, "partition fat has no 2 nodes"),
        ({"nodes": 99, "queue": "nowhere"}, ""),
        ({"nodes": 99, "queue": "fat,batch"}, ""),
    ],
)
def test_what_no_node_can_run(wanted: dict[str, Any], words: str) -> None:
    """The message names what was asked for and what there is."""
    why = CAPACITY.problem(Resources(**wanted))

    assert (words == "") is (why == "")
    assert words in why


def test_where_nothing_is_known_nothing_is_refused() -> None:
    """A site that hides its nodes refuses by itself."""
    assert "" == _capacity.read(Reply("")).problem(Resources(cpus=10**6))


def test_a_question_without_an_answer_says_nothing() -> None:
    """No nodes and no answer are not the same."""
    with pytest.raises(UnreachableError):
        _capacity.read(page("outages")["slurmctld is down: sinfo"])

"""Each sentence of the doctor's."""

from collections.abc import Sequence

import pytest
from attrs import evolve
from slurm_speech import Reply, page, play

from drover.errors import UnreachableError
from drover.models import Diagnosis, Health
from drover_slurm import _doctor
from drover_slurm._times import instant

SITE = page("site")
OUTAGES = page("outages")
CONFIG = SITE["config"]
NOW = instant(_doctor.read_config(CONFIG)["now"]) or 0.0
UP = "batch|up|infinite|4|idle|8|4000|gpu:2\n"


def ask(
    *replies: Reply | BaseException, cluster: str = "", now: float = NOW
) -> tuple[dict[str, Diagnosis], list[tuple[str, ...]]]:
    found, asked = play(_doctor.talk(cluster, now), *replies)
    return {each.subject: each for each in found}, [command.argv for command in asked]


def test_a_cluster_that_is_well() -> None:
    """Nothing to complain about is worth a sentence with the facts in it."""
    found, asked = ask(CONFIG, SITE["partitions"], SITE["sacct"], cluster="drover")

    assert {"controller", "accounting", *(f"partition {n}" for n in NAMES)} == set(found)
    assert Health.OK is found["controller"].health
    told = (
        "cluster drover, Slurm 22.05.8; MaxArraySize 10001, MaxJobCount 100000, MinJobAge 300 sec"
    )
    assert told == found["controller"].message
    assert Health.OK is found["accounting"].health
    assert "limit 5:00" in found["partition short"].message
    assert "8 cpus, 4000 MB, gpu:2" in found["partition short"].message
    assert CONFIG.argv == asked[0]


NAMES = ("batch", "short", "requeued", "killed", "closed")


def test_a_closed_partition_is_named() -> None:
    """A job that waits there waits for an administrator."""
    found, _ = ask(CONFIG, SITE["partitions"], SITE["sacct"])

    assert Health.WARNING is found["partition closed"].health
    assert "choose another" in found["partition closed"].cure
    assert Health.OK is found["partition batch"].health


@pytest.mark.parametrize("state", ["down", "drained", "down*", "drained*", "maint", "powered_down"])
def test_a_partition_without_a_node_that_works_is_named(state: str) -> None:
    """It is up, and nothing runs there."""
    found, _ = ask(CONFIG, Reply(UP.replace("idle", state)), Reply())

    assert Health.WARNING is found["partition batch"].health
    assert "sinfo -R" in found["partition batch"].cure


@pytest.mark.parametrize("state", ["idle", "mixed", "allocated", "idle~", "mixed-", "completing"])
def test_one_kind_of_node_that_works_is_enough(state: str) -> None:
    """Sites power nodes down that nobody needs; they come up for a job."""
    text = UP.replace("idle", "down*") + UP.replace("idle", state)
    found, _ = ask(CONFIG, Reply(text), Reply())

    assert Health.OK is found["partition batch"].health
    assert 2 == found["partition batch"].message.count("4000 MB")


def test_no_slurm_at_all() -> None:
    """Most often a module was not loaded."""
    found, _ = ask(UnreachableError("scontrol", "No such file or directory", sent=False))

    assert {"commands"} == set(found)
    assert Health.WARNING is found["commands"].health
    assert "install Slurm's client" in found["commands"].cure


@pytest.mark.parametrize("name", ["slurmctld is down: config", "slurmctld hangs: config"])
def test_no_controller(name: str) -> None:
    """The first thing to look at when nothing works."""
    found, asked = ask(OUTAGES[name])

    assert ({"controller"}, 1) == (set(found), len(asked))
    assert "scontrol ping" in found["controller"].cure
    assert "contact" in found["controller"].message or "timed out" in found["controller"].message


def test_munge_is_down() -> None:
    """It is this machine's own fault, and nothing that the administrators of the cluster see."""
    found, _ = ask(OUTAGES["munged is down: config"])

    assert {"munge"} == set(found)
    assert "munged" in found["munge"].cure


REFUSED = (
    'munge: Error: Failed to connect to "/run/munge/munge.socket.2": Connection refused '
    "(Did you start munged?)\n"
)


@pytest.mark.parametrize(
    ("reply", "subject", "word"),
    [
        (Reply("", REFUSED, 15), "munge", "munged"),
        (UnreachableError("munge", "no answer within 8 s"), "munge", "munged"),
        (Reply("MUNGE:AwQ...:\n"), "controller", "hangs"),
        (Reply("", "Failed to access: No such file or directory\n", 6), "controller", "munged"),
        (UnreachableError("munge", "No such file", sent=False), "controller", "munged"),
    ],
    ids=["refused", "hangs", "works", "elsewhere", "no command"],
)
def test_a_command_that_does_not_come_back(
    reply: Reply | BaseException, subject: str, word: str
) -> None:
    """With a munged that was killed, Slurm's commands try for 50 seconds: it is not the network."""
    found, asked = ask(UnreachableError("scontrol", "no answer within 8 s"), reply)

    assert [("munge", "-n")] == asked[1:]
    assert {subject} == set(found)
    assert word in found[subject].message + found[subject].cure


@pytest.mark.parametrize(
    "words",
    [
        'scontrol: fatal: Unable to determine this slurmd\'s NodeName; Unable to resolve "ctl"',
        "scontrol: error: resolve_ctls_from_dns_srv: res_nsearch error: Unknown host",
        "scontrol: fatal: Could not establish a configuration source",
        "slurm_load_ctl_conf error: Failed to read the configuration",
    ],
)
def test_a_configuration_that_is_not_there(words: str) -> None:
    """A login node without slurm.conf."""
    found, _ = ask(Reply("", words + "\n", 1))

    assert {"configuration"} == set(found)
    assert Health.WARNING is found["configuration"].health
    assert "SLURM_CONF" in found["configuration"].cure


def test_another_cluster() -> None:
    """Jobs that go to the wrong cluster are found nowhere afterwards."""
    found, _ = ask(CONFIG, Reply(UP), Reply(), cluster="production")

    assert Health.ERROR is found["cluster"].health
    assert (
        "this is cluster 'drover', the configuration wants 'production'" == found["cluster"].message
    )


@pytest.mark.parametrize(("skew", "warned"), [(0, False), (29, False), (31, True), (-3600, True)])
def test_a_clock_that_goes_wrong(skew: int, warned: bool) -> None:
    """Starts and limits are read against this machine's clock."""
    found, _ = ask(CONFIG, Reply(UP), Reply(), now=NOW - skew)

    assert warned is ("clock" in found)
    assert not warned or (f"{skew:+d} s" in found["clock"].message and found["clock"].cure)


@pytest.mark.parametrize(
    ("version", "too_old"),
    [
        ("20.02.7", True),
        ("19.05", True),
        ("20.11.0", False),
        ("22.05.8", False),
        ("25.11.0-0rc1", False),
        ("x", False),
    ],
)
def test_a_version_that_is_too_old(version: str, too_old: bool) -> None:
    """An older Slurm prints in another form what is read here."""
    old = evolve(CONFIG, stdout=CONFIG.stdout.replace("22.05.8", version))
    found, _ = ask(old, Reply(UP), Reply())

    assert too_old is ("version" in found)
    assert not too_old or "20.11 or newer" in found["version"].cure


def test_no_accounting_is_no_fault() -> None:
    """Many sites keep none; jobs end as truly."""
    found, asked = ask(SITE["config, no accounting"], Reply(UP))

    assert Health.OK is found["accounting"].health
    assert "none is kept" in found["accounting"].message
    assert 2 == len(asked)


@pytest.mark.parametrize(
    "reply", [OUTAGES["slurmdbd is down: sacct"], UnreachableError("sacct", "no answer")]
)
def test_accounting_that_is_away(reply: Reply | BaseException) -> None:
    """Jobs run and end all the same; usage comes later, or never."""
    found, _ = ask(CONFIG, Reply(UP), reply)

    assert Health.WARNING is found["accounting"].health
    assert "slurmdbd" in found["accounting"].cure


def test_partitions_that_cannot_be_listed() -> None:
    """Half an answer is told as half an answer."""
    found, _ = ask(CONFIG, OUTAGES["slurmctld is down: sinfo"], Reply())

    assert Health.ERROR is found["partitions"].health
    assert "controller" in found


@pytest.mark.parametrize(
    "replies", [[CONFIG, UnreachableError("sinfo", "no answer"), Reply()]], ids=["sinfo hangs"]
)
def test_what_was_found_is_told_whatever_comes_after(
    replies: Sequence[Reply | BaseException],
) -> None:
    """A doctor who loses his notes at the last question helps nobody."""
    found, _ = ask(*replies)

    assert {"controller", "partitions", "accounting"} == set(found)


@pytest.mark.parametrize("text", ["", "noise", "a = b = c\n", "Configuration data as of x\n"])
def test_a_config_that_says_little(text: str) -> None:
    """What is not told is not judged."""
    found, _ = ask(Reply(text), Reply(""), Reply(""))

    assert {"controller", "accounting"} == set(found)

"""Every benchmark in a tiny size, with the timing off: that it measures, not how fast."""

import json
import py_compile
import re
import sys
from functools import partial
from pathlib import Path

import growth
import ours
import page
import plot
import pytest
import results
import startup
import throughput
from attrs import evolve
from peers import Peer, all_peers
from results import Measured, Results
from stage import Answer, ContestantError, Round, Stage, ratios

import drover

HERE = Path(__file__).parent
MACHINE = {
    "cpu": "a cpu",
    "cores": 2,
    "memory_gib": 8,
    "system": "Linux 6",
    "file_system": "ext4",
    "python": "3.11.7",
    "sqlite": "3.40",
    "drover": "0.1.0",
    "load_before": 0.1,
}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    # Nobody's environment is made for a test: of the peers only this Python's own.
    own = [
        peer
        for peer in all_peers()
        if not peer.requires and not peer.program and peer.kind == "jobs"
    ]
    return Stage(scale="tiny", scratch=tmp_path, peers=own, tell=lambda _: None)


def measured(rounds: list[Round]) -> Measured:
    return Measured(command="the command", scale="tiny", machine=MACHINE, rounds=rounds)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(page.SUBJECTS))
def test_a_subject_is_measured_and_told(name: str, stage: Stage, tmp_path: Path) -> None:
    """A benchmark that broke would be noticed a release later, on the day of measuring."""
    if name not in page.usual():
        pytest.skip(f"what {name} needs is not installed; see clusters/")
    rounds = page.SUBJECTS[name].measure(stage)
    before = Results(subjects={name: measured(rounds)})
    path = tmp_path / "results.json"
    results.save(before, path)
    text = page.text(results.load(path))

    assert rounds
    assert all("version" in said or "ms" in said for row in rounds for said in row.values()), rounds
    assert f"## {page.SUBJECTS[name].TITLE}\n" in text
    assert not re.search(r"\bnan\b", text)
    assert "Drover 0.1.0, Python 3.11.7" in text


def test_the_page_says_what_the_results_say() -> None:
    """A page that is edited by hand tells what nobody has measured."""
    assert page.FILE.read_text("utf-8") == page.text(results.load())
    assert {*page.SUBJECTS} == {*results.load().subjects}


def test_the_picture_is_drawn_from_the_results() -> None:
    """A picture of other numbers than the table's is worse than none."""
    text = page.PICTURE.read_text("utf-8")

    assert plot.digest(results.load().subjects["growth"].rounds) in text
    assert "jobs per second" in text, "text must stay text"


def test_ratios_are_of_one_round() -> None:
    """On a machine that drifts, numbers of two rounds say nothing about each other."""
    rounds: list[Round] = [
        {"bare": {"per_s": 100.0}, "drover": {"per_s": 50.0}},
        {"bare": {"per_s": 1000.0}, "drover": {"per_s": 900.0}},
        {"bare": {"per_s": 10.0}, "drover": {"failed": "no"}},
        {"bare": {"failed": "no"}, "drover": {"per_s": 10.0}},
    ]

    assert [0.5, 0.9] == ratios(rounds, "drover", "bare", "per_s")


def test_contestants_take_turns(stage: Stage) -> None:
    """Who is always first always meets the machine as the one before has left it."""
    order: list[str] = []

    def go(name: str) -> Answer:
        order.append(name)
        return {"per_s": 1}

    rounds = stage.interleave(2, {name: partial(go, name) for name in ("a", "b", "c")})

    assert ["a", "b", "c", "b", "c", "a"] == order
    assert [["a", "b", "c"]] * 2 == [list(row) for row in rounds]


def test_a_peer_that_fails_stops_nobody(stage: Stage) -> None:
    """After an hour of measuring, one peer's new dependency must not throw all away."""
    peer = Peer(name="soma", title="soma", script="bare.py", keeps="nothing", throughput="nonsense")
    told: list[str] = []
    rounds = throughput.measure(evolve(stage, peers=[peer], tell=told.append))
    text = throughput.section(rounds)

    assert "failed" in rounds[0]["soma"]
    assert "could not be run" in text
    assert any("soma" in line for line in told)


def test_a_contestant_that_breaks_off_is_shown_with_what_it_wrote(stage: Stage) -> None:
    """`left with 1` alone sends the reader to look for a log."""
    with pytest.raises(ContestantError, match="invalid choice"):
        stage.run("bare.py", "nonsense")


def test_what_libraries_print_is_no_answer(stage: Stage, tmp_path: Path) -> None:
    """soma-workflow prints on standard output, where the answer stands."""
    script = tmp_path / "noisy.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(HERE / 'contestants')!r})\n"
        "from speech import answer, took\n"
        "answer('1', throughput=lambda task: print('hello') or took(task.jobs, 2.0))\n"
    )

    assert {"version": "1", "jobs": 4, "seconds": 2.0, "per_s": 2.0} == stage.run(
        str(script), "throughput", jobs=4
    )


def test_a_run_that_fails_or_keeps_no_output_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Speed that is won by losing outcomes or outputs is none."""
    monkeypatch.setenv("DROVER_BACKENDS__LOCAL__IDLE_S", "1")
    with drover.open(tmp_path / "store", engine="inline") as session:
        jobs = [session.submit([word]) for word in ("true", "true", "false")]
        session.wait(jobs, 60)
        good, bare, failed = (session.job(job.id) for job in jobs)
        ours.check(session, [good.id])
        assert isinstance(bare, drover.Job)
        assert bare.stdout.path is not None
        bare.stdout.path.unlink()
        with pytest.raises(AssertionError, match="is not kept"):
            ours.check(session, [bare.id])
        with pytest.raises(AssertionError, match="exit_code=1"):
            ours.check(session, [failed.id])


def test_results_of_two_runs_are_joined_if_they_can_be_compared() -> None:
    """Seven rounds of one machine and three of another are not ten rounds."""
    one = measured([{"bare": {"per_s": 1}}])
    two = evolve(one, rounds=[{"bare": {"per_s": 2}}], note="at night")
    joined = Results(subjects={"x": one}).taking("x", two, add=True).subjects["x"]
    replaced = Results(subjects={"x": one}).taking("x", two).subjects["x"]

    assert [1, 2] == [row["bare"]["per_s"] for row in joined.rounds]
    assert "at night" == joined.note
    assert two == replaced
    with pytest.raises(ValueError, match="cpu differs"):
        one.joined(evolve(two, machine={**MACHINE, "cpu": "another"}))
    with pytest.raises(ValueError, match="sizes differ"):
        one.joined(evolve(two, scale="full"))


def test_growth_is_compared_with_ten_thousand() -> None:
    """The promise is about the cost of one job, not about the sum."""
    rounds: list[Round] = [
        {
            f"{kind} {jobs}": {"per_s": 1000 / cost, "cpu_s": {"client": jobs * cost}}
            for kind in ("submitted", "run")
            for jobs, cost in ((1000, 9.0), (10_000, 1.0), (1_000_000, 1.25))
        }
    ]

    assert [1000, 10_000, 1_000_000] == growth.points(rounds, "run")
    assert "1,000,000 costs 1.25 times the CPU and 1.25 times" in growth.compared(rounds)


def test_peers_are_pinned_and_their_scripts_compile(tmp_path: Path) -> None:
    """A peer measured in whatever version came that day is measured once."""
    for peer in all_peers():
        loose = [row for row in peer.requires if not re.fullmatch(r"[\w.-]+==[\w.]+", row)]
        assert [] == loose, peer.name
        script = HERE / "contestants" / peer.script
        py_compile.compile(str(script), str(tmp_path / "compiled"), doraise=True)


def test_this_users_settings_do_not_count(
    tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has told Drover to use one cpu would publish the speed of one cpu."""
    monkeypatch.setenv("DROVER_NONSENSE", "1")
    drover_ps = [str(Path(sys.executable).with_name("drover")), "--home", str(tmp_path / "s"), "ps"]
    said = startup.timed(drover_ps, tmp_path, 0)

    assert said["ms"] > 0
    assert 5 == stage.run("ours.py", "submission", jobs=5)["jobs"]


def test_the_results_hold_no_words_of_a_machine() -> None:
    """What is published names kinds of machines, no folders and no hosts."""
    text = json.dumps([one.command for one in results.load().subjects.values()])

    assert "/tmp" not in text
    assert "--scratch" not in text

"""Where attempts stand is known, whether it is in memory or on the disk alone."""

import json
import sys
import tempfile
import tracemalloc
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from drover.commandline import Place, Places

MANY = 20_000
MODULE = sys.modules[Places.__module__].__file__ or ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def written(folder: Path, key: str, size: int, label: str = "") -> list[tuple[str, str]]:
    """Leave a list as `Batches.make` does, and give its members."""
    members = [(key if not n else f"{key}.{n}", f"/jobs/{key}/{n}") for n in range(size)]
    head = {"version": 1, "label": label, "members": members}
    (folder / f"{key}.tasks").write_text(json.dumps(head) + "\n")
    return members


def add(places: Places, folder: Path, key: str, size: int) -> list[str]:
    members = written(folder, key, size)
    places.add(key, "", members)
    return [token for token, _ in members]


def rest(places: Places) -> None:
    """Let a whole span pass, in which nobody asks."""
    places.let_go()
    places.let_go()


@pytest.mark.parametrize("size", [1, 3])
def test_what_was_let_go_is_read_again(folder: Path, size: int) -> None:
    """A purge, and a search for what was lost, come hours after the end."""
    places = Places(folder)
    tokens = add(places, folder, "t-1", size)
    before = places.find(tokens)

    rest(places)

    assert before == places.find(tokens)
    assert size == len(before)


def test_what_is_asked_about_stays_in_memory(folder: Path) -> None:
    """A look at 50,000 jobs reads no list."""
    places = Places(folder)
    tokens = add(places, folder, "t-1", 3)
    (folder / "t-1.tasks").unlink()

    for _ in range(3):
        places.let_go()
        assert places.get(tokens[2]) is not None

    assert set(tokens) == set(places.find(tokens))


def test_an_array_of_which_the_first_is_forgotten_is_read_again(folder: Path) -> None:
    """Its list bears the name of the first."""
    places = Places(folder)
    tokens = add(places, folder, "t-1", 3)
    places.forget([tokens[0], tokens[2]])

    rest(places)

    assert [tokens[1]] == list(places.find(tokens))


def test_what_was_let_go_is_forgotten_as_well(folder: Path) -> None:
    """A list of which nobody has asked for a month is deleted with its jobs."""
    places = Places(folder)
    single, several = add(places, folder, "t-1", 1), add(places, folder, "t-2", 3)
    rest(places)

    places.forget([*single, several[1]])
    rest(places)
    places.forget([several[0], several[2]])

    assert [] == list(folder.iterdir())


def test_a_list_that_was_lost_since_harms_no_other(folder: Path) -> None:
    """Somebody cleaned up by hand."""
    places = Places(folder)
    lost, there = add(places, folder, "t-1", 2), add(places, folder, "t-2", 2)
    rest(places)
    (folder / "t-1.tasks").unlink()

    assert set(there) == set(places.find([*lost, *there]))
    places.forget(lost)


def test_a_search_for_what_is_unknown_brings_nothing_into_memory(folder: Path) -> None:
    """What a crash left without a list is searched for, among a hundred thousand that have one."""
    places = Places(folder)
    tokens = add(places, folder, "t-1", 3)
    rest(places)

    assert {} == places.find(["t-2", "t-3"])
    (folder / "t-1.tasks").unlink()
    assert {} == places.find(tokens)


@contextmanager
def at_most(size: int) -> Generator[None]:
    """See that the module takes no more than so many bytes of memory, and keeps them."""
    tracemalloc.start()
    try:
        yield
        taken = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    own = taken.filter_traces([tracemalloc.Filter(inclusive=True, filename_pattern=MODULE)])
    assert sum(trace.size for trace in own.traces) < size


def parts(count: int, size: int) -> Iterator[list[tuple[str, str]]]:
    """Give the members of submissions of a size."""
    members = [(f"t-{n}", f"/jobs/t-{n}/1") for n in range(count)]
    return (members[start : start + size] for start in range(0, count, size))


@pytest.mark.parametrize("size", [1, 100])
def test_memory_is_that_of_what_is_at_work(folder: Path, size: int) -> None:
    """An engine runs for months, and its jobs are purged late or never."""
    places = Places(folder)
    submitted = list(parts(MANY, size))
    with at_most(MANY * 16):
        for number, part in enumerate(submitted):
            places.add(part[0][0], "", part)
            if number % 4 == 0:
                places.let_go()
        rest(places)


@pytest.mark.parametrize("is_let_go", [False, True])
def test_memory_is_given_back_by_what_is_forgotten(folder: Path, *, is_let_go: bool) -> None:
    """Where nothing is at work, nobody looks."""
    places = Places(folder)
    submitted = [written(folder, f"t-{key}", 10) for key in range(500)]

    with at_most(500 * 10 * 4):
        for part in submitted:
            places.add(part[0][0], "", part)
            if is_let_go:
                rest(places)
            places.forget([token for token, _ in part])


def test_memory_is_small_after_a_restart(folder: Path) -> None:
    """What earlier engines ran is on the disk."""
    count = 1000
    for key in range(count):
        written(folder, f"t-{key}", 1)
    places = Places(folder)
    with at_most(count * 16):
        assert {} == places.find(["unknown"])


class Remembering(RuleBasedStateMachine):
    """Whatever is let go, and whoever starts anew: what is known is what was not forgotten."""

    @initialize()
    def begin(self) -> None:
        self.home = tempfile.TemporaryDirectory()
        self.folder = Path(self.home.name)
        self.places = Places(self.folder)
        self.expected: dict[str, Place] = {}
        self.tokens: list[str] = ["never"]

    @rule(size=st.integers(1, 4))
    def submit(self, size: int) -> None:
        key = f"t-{len(self.tokens)}"
        members = written(self.folder, key, size)
        self.places.add(key, "", members)
        for index, (token, path) in enumerate(members):
            self.expected[token] = Place(key=key, index=index, size=size, path=path)
            self.tokens.append(token)

    @rule()
    def let_go(self) -> None:
        self.places.let_go()

    @rule()
    def start_anew(self) -> None:
        self.places = Places(self.folder)

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        tokens = data.draw(st.lists(st.sampled_from(self.tokens)))
        wanted = {token: self.expected[token] for token in tokens if token in self.expected}
        assert wanted == self.places.find(tokens)

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        tokens = data.draw(st.lists(st.sampled_from(self.tokens), max_size=4))
        self.places.forget(tokens)
        for token in tokens:
            self.expected.pop(token, None)

    @invariant()
    def a_list_stays_as_long_as_a_member(self) -> None:
        if not hasattr(self, "home"):
            return
        keys = {place.key for place in self.expected.values()}
        assert keys == {path.stem for path in self.folder.glob("*.tasks")}

    def teardown(self) -> None:
        if hasattr(self, "home"):
            self.home.cleanup()


test_what_is_known_is_what_was_not_forgotten = Remembering.TestCase

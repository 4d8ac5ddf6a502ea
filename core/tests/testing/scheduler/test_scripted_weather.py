"""Chance is decided by a seed."""

from typing import Any

import pytest
from attrs import fields

from drover.errors import UnreachableError
from drover.testing.scheduler import ScriptedContext, SlurmScheduler, Weather

TIMES = {"late_s", "slow_s", "lag_s", "bad_bytes"}
CHANCES = [one.name for one in fields(Weather) if one.name not in TIMES]
STORM = Weather(
    fail=0.1, lose_request=0.1, lose_answer=0.1, accept_late=0.1, be_slow=0.1, lag_s=20.0,
    say_nothing=0.1, cut=0.1, noise=0.2, bad_bytes=0.5, drop_row=0.2, repeat_row=0.2,
    strange_word=0.2,
)  # fmt: skip


def talk(weather: Weather, tmp_path: Any, seed: int = 7) -> list[Any]:
    """Submit and list for a while; gives what came of it, when, and what is so in the end."""
    slurm = SlurmScheduler(seed=seed, user="ann", uid=1000)
    context = ScriptedContext.on(slurm, tmp_path / "home", caller={})
    slurm.weather = weather
    heard: list[Any] = []
    for number in range(30):
        for argv in (["sbatch", "-J", f"j{number}"], ["squeue", "-h", "-t", "all", "-o", "%i %T"]):
            try:
                done = context.run(argv, input=b"#!/bin/sh\n")
                heard.append((done.returncode, done.stdout, done.stderr))
            except UnreachableError as error:
                heard.append(str(error))
        slurm.advance(5.0)
    took_s = slurm.clock.monotonic()
    slurm.advance(60.0)
    return [*heard, took_s, [(job.job_id, job.name) for job in slurm.jobs]]


def test_a_seed_replays(tmp_path: Any) -> None:
    """A failure that was found must be found again."""
    assert talk(STORM, tmp_path) == talk(STORM, tmp_path)
    assert talk(STORM, tmp_path) != talk(STORM, tmp_path, seed=8)


def test_nothing_goes_wrong_in_fair_weather(tmp_path: Any) -> None:
    """Weather is to be asked for."""
    *heard, _, jobs = talk(Weather(), tmp_path)

    assert [0] * 60 == [reply[0] for reply in heard]
    assert 30 == len(jobs)


@pytest.mark.parametrize("name", CHANCES)
def test_each_kind_of_weather_shows(tmp_path: Any, name: str) -> None:
    """A probability that changes nothing is a lie."""
    assert talk(Weather(), tmp_path) != talk(Weather(**{name: 0.5}), tmp_path)


def test_listings_lag_in_lagging_weather(tmp_path: Any) -> None:
    """They show fewer jobs than there are."""
    *heard, _, jobs = talk(Weather(lag_s=60.0), tmp_path)

    assert 30 == len(jobs)
    assert any(reply[1].count("\n") < number for number, reply in enumerate(heard[1::2]))


def test_bad_bytes_come_with_noise(tmp_path: Any) -> None:
    """They are shown as escapes, as the real context decodes them."""
    *heard, _, _ = talk(Weather(noise=1.0, bad_bytes=1.0), tmp_path)

    assert all("\\xff" in reply[1] and "\\xff" in reply[2] for reply in heard)

"""How long one job waits for Drover, and somebody for its end, beside bare `subprocess`."""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import quantiles
from typing import Final

from peers import all_peers
from stage import Answer, Round, Scale, Size, Stage, middle, values
from table import number, table

TITLE: Final = "Latency"
SIZES: Final[dict[Scale, Size]] = {
    "full": Size(jobs=100, rounds=3),
    "quick": Size(jobs=40, rounds=1),
    "tiny": Size(jobs=5, rounds=1),
}


def measure(stage: Stage) -> list[Round]:
    size = SIZES[stage.scale]
    contestants: dict[str, Callable[[], Answer]] = {
        "bare": partial(stage.run, "bare.py", "latency", jobs=size.jobs),
        "drover": partial(stage.run, "ours.py", "latency", jobs=size.jobs),
    }
    for peer in stage.peers:
        if peer.latency:
            contestants[peer.name] = partial(_of_peer, stage, peer.name, size.jobs)
    rounds = stage.interleave(size.rounds, contestants)
    return [{name: _summed_up(said) for name, said in row.items()} for row in rounds]


def _of_peer(stage: Stage, name: str, jobs: int) -> Answer:
    (peer,) = (peer for peer in stage.peers if peer.name == name)
    return stage.run_peer(peer, "latency", jobs)


def _summed_up(said: Answer) -> Answer:
    if "failed" in said:
        return said
    out: Answer = {"version": said["version"], "jobs": said["jobs"]}
    for what in ("start", "end"):
        cuts = quantiles(said[f"{what}_ms"], n=20, method="inclusive")
        out |= {f"{what}_p50_ms": round(cuts[9], 3), f"{what}_p95_ms": round(cuts[18], 3)}
    return out


def section(rounds: Sequence[Round]) -> str:
    titles = {"bare": "bare `subprocess`", "drover": "**Drover**, waiting in another process"}
    titles |= {peer.name: f"{peer.title}, in its own process" for peer in all_peers()}
    keys = ("end_p50_ms", "end_p95_ms", "start_p50_ms", "start_p95_ms")
    rows = [
        (title, *(number(middle(values(rounds, name, key))) for key in keys))
        for name, title in titles.items()
        if values(rounds, name, keys[0])
    ]
    rows.append(("wanted of Drover", "3, better 1", "", "10", ""))
    jobs = rounds[0]["drover"]["jobs"] * len(rounds)
    heading = ("ms", "end known, median", "95 %", "started, median", "95 %")
    return f"""\
From a process's end to the return of `wait()`, and from submission to a process's start, on a
machine that is idle but for {number(jobs)} such jobs, one after the other. The job is `date`, which
tells the time; its own start, about 1 ms, is in every number of the right half. Engine and agent
are up.

{table(heading, rows)}
"""

"""Many short jobs: how fast, beside a bare loop that starts and reaps the same processes."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from peers import all_peers
from stage import Answer, Round, Scale, Size, Stage, middle, ratios, values
from table import number, ratio, table

TITLE: Final = "Many short jobs"
SIZES: Final[dict[Scale, Size]] = {
    "full": Size(jobs=2000, rounds=7),
    "quick": Size(jobs=500, rounds=3),
    "tiny": Size(jobs=20, rounds=1),
}


def measure(stage: Stage) -> list[Round]:
    size = SIZES[stage.scale]
    contestants: dict[str, Callable[[], Answer]] = {
        "bare": partial(stage.run, "bare.py", "throughput", jobs=size.jobs),
        "drover": partial(stage.run, "ours.py", "throughput", jobs=size.jobs),
    }
    for peer in stage.peers:
        contestants[peer.name] = partial(stage.run_peer, peer, peer.throughput, size.jobs)
    return stage.interleave(size.rounds, contestants)


def section(rounds: Sequence[Round]) -> str:
    jobs = rounds[0]["drover"]["jobs"]
    titles = {
        "bare": ("bare `posix_spawn` and wait loop", "nothing"),
        "drover": ("**Drover**", "output files, outcome durable in the store"),
        **{peer.name: (peer.title, peer.keeps) for peer in all_peers()},
    }
    rows: list[Sequence[str]] = []
    for name, (title, keeps) in titles.items():
        speeds = values(rounds, name, "per_s")
        to_bare = ratios(rounds, name, "bare", "per_s")
        if speeds:
            version = next(row[name]["version"] for row in rounds if "version" in row.get(name, {}))
            of = "" if name == "bare" else f" {version}"
            rows.append((f"{title}{of}", number(middle(speeds)), ratio(to_bare), keeps))
        elif any(name in row for row in rounds):
            why = next(row[name]["failed"] for row in rounds if name in row)
            rows.append((title, "-", "-", f"could not be run: {why}"))
    used = [row["drover"]["cpu_s"] for row in rounds]
    per_job = {name: middle([row[name] for row in used]) * 1e6 / jobs for name in sorted(used[0])}
    told = ", ".join(f"{name} {number(value)}" for name, value in per_job.items())
    return f"""\
{number(jobs)} times `/bin/true`, two at a time, from before the first submission to the knowledge
of the last end. Wanted of Drover: at least 0.6 of the bare loop, better 0.8. Slower peers are given
fewer jobs; all have their workers up before the clock starts.

{table(("", "jobs/s", "of the bare loop", "what is kept of a job"), rows)}

Microseconds of CPU that Drover uses per job, by process, without the job's own: {told}. How Python
was built counts: with Debian's, made with profile-guided optimisation, they are a sixth fewer than
with one compiled without, and 0.04 more of a bare loop is reached.
"""

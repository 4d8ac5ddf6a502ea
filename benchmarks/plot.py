"""The picture of growth, drawn by matplotlib from the results alone."""

import hashlib
import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import growth
from stage import Round

INK: Final = {"submitted": "#9467bd", "run": "#1f77b4", "client": "#9467bd", "engine": "#1f77b4"}
INK_OF_AGENT: Final = "#2ca02c"


def digest(rounds: Sequence[Round]) -> str:
    """Name what a picture was drawn from; it stands in the picture."""
    text = json.dumps(rounds, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def draw(rounds: Sequence[Round], path: Path) -> None:
    """Draw jobs per second and peak memory against the number of jobs.

    The same results give the same bytes: no date, no random ids, and text stays text.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    # Typed as Any: only the environment of the benchmarks has it.
    matplotlib: Any = import_module("matplotlib")
    matplotlib.use("svg")
    plots: Any = import_module("matplotlib.pyplot")
    with plots.rc_context({"svg.hashsalt": "drover", "svg.fonttype": "none", "font.size": 11}):
        figure, (speeds, memory) = plots.subplots(2, 1, figsize=(7.5, 7.5), sharex=True)
        _speeds(speeds, rounds)
        _memory(memory, rounds)
        figure.tight_layout()
        figure.savefig(path, metadata={"Date": None, "Description": digest(rounds)})
        plots.close(figure)


def _speeds(axes: Any, rounds: Sequence[Round]) -> None:
    for kind, title in (("submitted", "submitted"), ("run", "submitted and run")):
        sizes = growth.points(rounds, kind)
        numbers = [growth.speed(rounds, kind, jobs) for jobs in sizes]
        axes.plot(sizes, numbers, marker="o", color=INK[kind], label=title)
    axes.set(xscale="log", yscale="log", ylabel="jobs per second", title="Speed")
    _dress(axes)


def _memory(axes: Any, rounds: Sequence[Round]) -> None:
    sizes = growth.points(rounds, "submitted")
    client = [growth.peaks(rounds, "submitted", jobs)["client"] for jobs in sizes]
    axes.plot(sizes, client, marker="o", color=INK["client"], label="client that submits")
    sizes = growth.points(rounds, "run")
    for name, ink in (("engine", INK["engine"]), ("agent", INK_OF_AGENT)):
        numbers = [growth.peaks(rounds, "run", jobs)[name] for jobs in sizes]
        axes.plot(sizes, numbers, marker="o", color=ink, label=name)
    axes.set(xscale="log", yscale="log", xlabel="jobs", ylabel="MiB", title="Peak memory")
    _dress(axes)


def _dress(axes: Any) -> None:
    ticker: Any = import_module("matplotlib.ticker")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
        axis.set_minor_formatter(ticker.NullFormatter())
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.grid(visible=True, color="#dddddd")
    axes.legend(frameon=False)

"""Measure how fast Drover is and how much it takes, beside peers and the machine itself.

`python benchmarks/run.py` measures everything that needs no peer and prints it. With `--write` the
results are kept and `docs/reference/performance.md` is written anew.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import machine
import page
import plot
import results
from peers import all_peers
from stage import Scale, Stage


def main(words: Sequence[str]) -> int:
    """Do what the command line says; give the process's exit code."""
    parser = arguments()
    options = parser.parse_args(words)
    if options.page:
        write()
        return 0
    # Before the first measurement, or an hour is spent for nothing.
    if options.write and find_spec("matplotlib") is None:
        parser.error("--write draws with matplotlib: pip install -c constraints.txt matplotlib")
    command = told(options)
    scratch = Path(tempfile.mkdtemp(prefix="drover-bench-", dir=options.scratch))
    kept = results.load()
    try:
        for name in options.only or page.usual():
            measured = measure(name, options, scratch, command)
            kept = kept.taking(name, measured, add=options.add)
            print(f"\n{page.SUBJECTS[name].section(measured.rounds)}", flush=True)
            if options.write:
                results.save(kept)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        say("many files were removed: on ext4, wait five minutes before the next run")
    if options.write:
        write()
    return 0


def told(options: argparse.Namespace) -> str:
    """Write the command as others can type it: without this machine's folders."""
    words = [f"--{name}" for name in ("quick", "peers", "million") if getattr(options, name)]
    words += [f"--only {name}" for name in options.only or ()]
    words += [f"--peer {name}" for name in options.peer or ()]
    return " ".join(["python", "benchmarks/run.py", *words])


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: is all in order?")
    parser.add_argument(
        "--only", action="append", choices=list(page.SUBJECTS), help="may be repeated"
    )
    parser.add_argument("--peers", action="store_true", help="measure peers too")
    parser.add_argument(
        "--peer",
        action="append",
        choices=[peer.name for peer in all_peers()],
        help="only this one; may be repeated",
    )
    parser.add_argument("--million", action="store_true", help="run 1,000,000 jobs, too (growth)")
    parser.add_argument("--write", action="store_true", help="keep the results, write the page")
    parser.add_argument("--add", action="store_true", help="add rounds to those that are kept")
    parser.add_argument("--note", default="", help="what a reader has to know of this run")
    parser.add_argument("--page", action="store_true", help="write the page, measure nothing")
    parser.add_argument(
        "--scratch",
        type=Path,
        help="on which disk; files should not have been removed there lately",
    )
    return parser


def measure(
    name: str, options: argparse.Namespace, scratch: Path, command: str
) -> results.Measured:
    """Measure one subject."""
    scale: Scale = "quick" if options.quick else "full"
    chosen = [
        peer
        for peer in all_peers()
        if peer.name in (options.peer or ()) or (options.peers and not options.peer)
    ]
    stage = Stage(
        scale=scale,
        scratch=scratch,
        peers=[peer for peer in chosen if peer.kind == "jobs"],
        stores=[peer for peer in chosen if peer.kind == "store"],
        million=options.million,
        tell=say,
    )
    say(f"{name}:")
    where = machine.describe(scratch)
    rounds = page.SUBJECTS[name].measure(stage)
    return results.Measured(
        command=command, scale=scale, machine=where, rounds=rounds, note=options.note
    )


def say(line: str) -> None:
    """Tell how far it is, beside what is printed as the result."""
    print(line, file=sys.stderr, flush=True)


def write() -> None:
    """Write the page and its picture."""
    # From what is kept, not from what was measured: digits are left off on the way.
    kept = results.load()
    page.FILE.write_text(page.text(kept), "utf-8")
    if "growth" in kept.subjects:
        plot.draw(kept.subjects["growth"].rounds, page.PICTURE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Where contestants are run: each in a process and a folder of its own, one after the other."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal

from attrs import field, frozen
from peers import Peer, PeerMissingError

CONTESTANTS: Final = Path(__file__).parent / "contestants"
LIMIT_S: Final = 3600.0
"""For one contestant; more than the largest needs."""

Answer = dict[str, Any]
Round = dict[str, Answer]
"""What each contestant said, by name."""
Scale = Literal["full", "quick", "tiny"]


class ContestantError(Exception):
    """Say that a contestant broke off, with the last of what it wrote."""


@frozen(kw_only=True)
class Size:
    """How much is measured."""

    jobs: int
    rounds: int


@frozen(kw_only=True)
class Stage:
    """What a measurement needs."""

    scale: Scale
    scratch: Path
    """Kept until the end: on ext4 files are made slowly for minutes after many were removed."""
    peers: Sequence[Peer] = ()
    stores: Sequence[Peer] = ()
    million: bool = False
    slots: int = 2
    tell: Callable[[str], None] = field(default=print)

    def folder(self, name: str) -> Path:
        """Make a fresh folder."""
        number = sum(1 for _ in self.scratch.iterdir())
        made = self.scratch / f"{number:04}-{name}"
        made.mkdir()
        return made

    def run(
        self,
        script: str,
        subject: str,
        *,
        jobs: int = 1,
        seconds: float = 1.0,
        folder: Path | None = None,
        python: str = sys.executable,
    ) -> Answer:
        """Let a contestant do its work.

        Raises:
            ContestantError: It did not.
        """
        place = folder or self.folder(f"{Path(script).stem}-{subject}")
        argv = [python, str(CONTESTANTS / script), subject, "--jobs", str(jobs)]
        argv += ["--slots", str(self.slots), "--seconds", str(seconds), "--folder", str(place)]
        with (place / "log").open("ab") as log:
            try:
                done = subprocess.run(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=place,
                    env={**set_apart(place), "PATH": _path_with(python)},
                    timeout=LIMIT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as exc:
                raise ContestantError(f"{script} {subject}: not in {LIMIT_S:g} s") from exc
        if done.returncode:
            last = (place / "log").read_text("utf-8", "replace")[-1500:]
            raise ContestantError(f"{script} {subject} left with {done.returncode}:\n{last}")
        said: Answer = json.loads(done.stdout)
        return said

    def run_peer(self, peer: Peer, subject: str, jobs: int) -> Answer:
        """Let a peer do its share. One that cannot does not stop the others."""
        try:
            share = max(self.slots, round(jobs * peer.share))
            return self.run(peer.script, subject, jobs=share, python=peer.python())
        except (ContestantError, PeerMissingError) as exc:
            lines = [line for line in str(exc).splitlines() if line.strip()]
            self.tell(f"  {peer.name}: {lines[0]} {lines[-1]}")
            return {"failed": lines[-1]}

    def interleave(
        self, times: int, contestants: Mapping[str, Callable[[], Answer]]
    ) -> list[Round]:
        """Let each contestant do its work once per round, another one first each time.

        A machine that is shared drifts by tens of percent within minutes: only what was measured
        in one round is compared.
        """
        names = list(contestants)
        rounds: list[Round] = []
        for number in range(times):
            first = number % len(names)
            said = {name: contestants[name]() for name in (*names[first:], *names[:first])}
            rounds.append({name: said[name] for name in names})
            self.tell(f"  round {number + 1} of {times}")
        return rounds


def set_apart(folder: Path) -> dict[str, str]:
    """Give the variables under which nothing of this user's own settings counts.

    Modules are kept compiled, as an installed program has them.
    """
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DROVER_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    return {**ours, "XDG_CONFIG_HOME": str(folder)}


def _path_with(python: str) -> str:
    """Put an environment's programs first: libraries start some of their own."""
    return f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"


def values(rounds: Sequence[Round], name: str, key: str) -> list[float]:
    """List one number of one contestant, round by round."""
    return [row[name][key] for row in rounds if key in row.get(name, {})]


def ratios(rounds: Sequence[Round], name: str, to: str, key: str) -> list[float]:
    """Compare two contestants round by round."""
    return [
        row[name][key] / row[to][key]
        for row in rounds
        if key in row.get(name, {}) and key in row.get(to, {})
    ]


def middle(numbers: Sequence[float]) -> float:
    """Give the median; of nothing, not a number."""
    return median(numbers) if numbers else float("nan")

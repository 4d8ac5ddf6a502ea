"""What the demo runs: kinds of real commands over the standard library's own files."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from drover.models import (
    Array,
    Condition,
    Dependency,
    JobSpec,
    Reason,
    Resources,
    Retry,
)
from drover.states import State

if TYPE_CHECKING:
    from drover.models import JobRecord

FILES: Final = 80
"""Files to work on; four kinds have one job for each."""
# The special jobs go first, so that the view shows them among the many.
_FIRST: Final = Resources(priority=10)
_WALL_TIME_S: Final = 1.0
_LONG_S: Final = 600

# Python without its site-packages: starts in a quarter of the time.
PYTHON: Final = (sys.executable, "-I", "-S")
STEPS: Final = '''"""The demo's own commands; the first word says which."""
import gzip, os, pathlib, py_compile, sys

files = pathlib.Path("files.txt").read_text(encoding="utf-8").splitlines()
out = pathlib.Path("out")


def compress(source, index):
    (out / f"{index}.gz").write_bytes(gzip.compress(pathlib.Path(source).read_bytes()))


def compile_(source, index):
    py_compile.compile(source, cfile=str(out / f"{index}.pyc"), doraise=True)


def verify():
    for index, source in enumerate(files):
        packed = gzip.decompress((out / f"{index}.gz").read_bytes())
        if packed != pathlib.Path(source).read_bytes():
            sys.exit(f"{source} was not packed truly")
    print(len(files))


def total():
    print(sum(pathlib.Path(source).read_bytes().count(b"\\n") for source in files))


def second_time():
    marker = out / "tried"
    if not marker.exists():
        marker.touch()
        sys.exit("the first time fails")


word = sys.argv[1]
if word in ("compress", "compile"):
    index = int(os.environ["DROVER_ARRAY_INDEX"])
    {"compress": compress, "compile": compile_}[word](files[index], index)
else:
    {"verify": verify, "total": total, "second_time": second_time}[word]()
'''
"""The text of `steps.py`, which the demo writes into its folder."""


@frozen(kw_only=True)
class Expected:
    """How every job of a kind has to end."""

    state: State = State.SUCCEEDED
    reason: Reason = Reason.EXITED
    exit_code: int | None = None
    attempt: int = 1
    text: str = "exit code 0"

    def met_by(self, record: JobRecord) -> bool:
        """Tell whether a job ended as it had to."""
        outcome = record.outcome
        return (
            outcome is not None
            and record.state is self.state
            and outcome.reason is self.reason
            and (self.exit_code is None or outcome.exit_code == self.exit_code)
            and record.counted_attempt == self.attempt
        )


@frozen(kw_only=True)
class Kind:
    """Jobs that do the same and have to end the same."""

    name: str
    title: str
    make: Callable[[Mapping[str, Sequence[str]]], list[JobSpec]]
    """Given the ids of the kinds before, by name."""
    expected: Expected = field(factory=lambda: Expected(exit_code=0))


def chosen_files(count: int = FILES) -> list[Path]:
    """Pick files of the running Python's standard library, the same ones every time."""
    folder = Path(sysconfig.get_path("stdlib"))
    modules = sorted(path for path in folder.glob("*.py") if path.stat().st_size)
    return modules[:: max(1, len(modules) // count)][:count]


def kinds(files: Sequence[Path], work: Path) -> list[Kind]:
    """Arrange the demo's jobs, those first on which others wait."""
    return [*_many(files, work), *_special(work)]


def _spec(work: Path, *argv: str, **fields: Any) -> JobSpec:
    return JobSpec(argv=argv, cwd=str(work), **fields)


def _step(work: Path, word: str, **fields: Any) -> JobSpec:
    return _spec(work, *PYTHON, "steps.py", word, **{"name": word, **fields})


def _many(files: Sequence[Path], work: Path) -> list[Kind]:
    hasher = _tool(
        "sha256sum",
        "import hashlib,sys; p=sys.argv[1]; "
        "print(hashlib.sha256(open(p,'rb').read()).hexdigest(), '', p)",
    )
    counter = _tool("wc", "import sys; p=sys.argv[-1]; print(open(p,'rb').read().count(b'\\n'), p)")
    lines = (*counter, "-l")
    array = Array(indices=len(files))

    def each(name: str, words: Sequence[str]) -> list[JobSpec]:
        return [_spec(work, *words, str(path), name=f"{name} {path.name}") for path in files]

    return [
        Kind(
            name="compress",
            title="gzip each file, as one array",
            make=lambda _: [_step(work, "compress", array=array)],
        ),
        Kind(
            name="compile",
            title="compile each file, as one array",
            make=lambda _: [_step(work, "compile", array=array)],
        ),
        Kind(name="hash", title="sha256 of each file", make=lambda _: each("hash", hasher)),
        Kind(name="count", title="lines of each file", make=lambda _: each("count", lines)),
        Kind(
            name="verify",
            title="unpack and compare, after the array",
            make=lambda ids: [_step(work, "verify", after=_after(ids["compress"]))],
        ),
        Kind(
            name="total",
            title="sum up, after every count",
            make=lambda ids: [_step(work, "total", after=_after(ids["count"]))],
        ),
    ]


def _tool(name: str, otherwise: str) -> tuple[str, ...]:
    """Use the system's command, or Python where it is not there."""
    path = shutil.which(name)
    return (path,) if path else (*PYTHON, "-c", otherwise)


def _after(
    ids: Sequence[str], condition: Condition = Condition.SUCCEEDED
) -> tuple[Dependency, ...]:
    return tuple(Dependency(job=word, condition=condition) for word in ids)


def _special(work: Path) -> list[Kind]:
    def sleep(name: str, resources: Resources) -> JobSpec:
        code = f"import time; time.sleep({_LONG_S})"
        return _spec(work, *PYTHON, "-c", code, name=name, resources=resources)

    return [
        *_failing(work),
        Kind(
            name="too long",
            title=f"sleeps, over its wall time of {_WALL_TIME_S:g} s",
            make=lambda _: [sleep("too long", Resources(priority=10, wall_time=_WALL_TIME_S))],
            expected=Expected(state=State.FAILED, reason=Reason.WALL_TIME, text="WALL_TIME"),
        ),
        Kind(
            name="retried",
            title="fails once, then succeeds",
            make=lambda _: [
                _step(
                    work,
                    "second_time",
                    name="retried",
                    resources=_FIRST,
                    retry=Retry(attempts=2, backoff_s=0.2),
                )
            ],
            expected=Expected(exit_code=0, attempt=2, text="exit code 0 at the second attempt"),
        ),
        Kind(
            name="cancelled",
            title="sleeps, cancelled while it runs",
            make=lambda _: [sleep("cancelled", _FIRST)],
            expected=Expected(state=State.CANCELLED, reason=Reason.CANCELLED, text="CANCELLED"),
        ),
    ]


def _failing(work: Path) -> list[Kind]:
    def code(text: str, **fields: Any) -> list[JobSpec]:
        return [_spec(work, *PYTHON, "-c", text, **fields)]

    return [
        Kind(
            name="failing",
            title="exits with 3",
            make=lambda _: code("raise SystemExit(3)", name="failing", resources=_FIRST),
            expected=Expected(state=State.FAILED, exit_code=3, text="exit code 3"),
        ),
        Kind(
            name="killed",
            title="sends itself KILL",
            make=lambda _: code(
                "import os; os.kill(os.getpid(), 9)", name="killed", resources=_FIRST
            ),
            expected=Expected(state=State.FAILED, reason=Reason.SIGNALLED, text="signal 9"),
        ),
        Kind(
            name="cleanup",
            title="runs because `failing` failed",
            make=lambda ids: code(
                "print('clean')", name="cleanup", after=_after(ids["failing"], Condition.FAILED)
            ),
        ),
        Kind(
            name="behind",
            title="cannot run because `failing` failed",
            make=lambda ids: code("", name="behind", after=_after(ids["failing"])),
            expected=Expected(
                state=State.FAILED, reason=Reason.DEPENDENCY_FAILED, text="DEPENDENCY_FAILED"
            ),
        ),
    ]

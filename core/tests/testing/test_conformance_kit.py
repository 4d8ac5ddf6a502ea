"""The kit catches backends that lie, and lets honest declarations pass.

Each case is the template's backend with one honest thing taken out of it.
"""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent, indent

import pytest

pytestmark = pytest.mark.slow
pytest.importorskip("drover_template", reason="the mutants are made of plugins/_template")

FILE = """
from attrs import evolve

import pytest
from drover.commandline import claims
from drover.hookspecs import hookimpl
from drover.models import *
from drover.testing import BackendConformance, installed
from drover_template import TemplateBackend
from drover_template._folder import Folder


class Mutant(TemplateBackend):
{body}

@pytest.fixture(scope="module", autouse=True)
def _installed():
    with installed("mutant", Mutant):
        yield


class TestMutant(BackendConformance):
    backend_name = "mutant"
    timeout_s = 5.0
"""

SHELL = '''
@hookimpl
def drover_submit(self, attempts):
    """Hand the words to a shell, as so many do."""
    return super().drover_submit([
        evolve(a, spec=evolve(a.spec, argv=("/bin/sh", "-c", " ".join(a.spec.argv))))
        for a in attempts
    ])
'''
CODES = '''
@hookimpl
def drover_observe(self, attempts):
    """Take 137 for signal 9."""
    seen = super().drover_observe(attempts)
    return evolve(seen, observations=tuple(
        evolve(row, end=evolve(row.end, exit_code=None, signal=row.end.exit_code - 128))
        if row.end and (row.end.exit_code or 0) > 128 else row
        for row in seen.observations
    ))
'''
SUCCESS = '''
@hookimpl
def drover_observe(self, attempts):
    """Take whatever is gone for a success."""
    seen = super().drover_observe(attempts)
    return evolve(seen, observations=tuple(
        evolve(row, end=evolve(row.end, exit_code=0, signal=None, source=Source.SERVER))
        if row.end else row
        for row in seen.observations
    ))
'''
NUMBERS = '''
seen = {}
def _folder(self, attempt):
    """Find a job by its native id alone."""
    folder = super()._folder(attempt)
    if attempt.native_id is None:
        return folder
    path, token = self.seen.setdefault(attempt.native_id, (folder.path, attempt.token))
    return Folder(path=path, token=token)
@hookimpl
def drover_observe(self, attempts):
    rows = [
        evolve(row, token=attempt.token)
        for attempt in attempts
        for row in super(Mutant, self).drover_observe([attempt]).observations
    ]
    return Observed(observations=tuple(rows))
'''
TWICE = '''
def _submit(self, attempt, folder):
    """Start it again for every submission, and forget the claim."""
    for path in folder.path.glob("claim.*"):
        path.unlink()
    (folder.path / "spawned.json").unlink(missing_ok=True)
    return super()._submit(attempt, folder)
'''
PRETEND = '''
def _end(self, order, folder):
    """Say that it was signalled, and do nothing."""
    return Verdict.SIGNALLED
'''
ENVIRONMENT = '''
@hookimpl
def drover_submit(self, attempts):
    """Let a variable of its own leak into the job."""
    return super().drover_submit([
        evolve(a, variables={**a.variables, "LEAKED": "1"}) for a in attempts
    ])
'''
SILENT = '''
@hookimpl
def drover_plan(self, spec):
    """Judge nothing."""
    return Plan(fields=(FieldPlan(field="argv", support=Support.HONOURED),))
'''
LATE = '''
def _obey(self, order, folder):
    """Say that it is done, whatever it is and whether or not it is there."""
    return Verdict.SIGNALLED
'''
DECLARED_BAD = '''
@hookimpl
def drover_capabilities(self):
    """Declare a failure that is one, and one that is none."""
    bad = frozenset({{"test_usage", "test_no_output"}})
    return evolve(super().drover_capabilities(), known_bad=bad)
@hookimpl
def drover_observe(self, attempts):
    seen = super().drover_observe(attempts)
    return evolve(seen, observations=tuple(
        evolve(row, end=evolve(row.end, usage=None)) if row.end else row
        for row in seen.observations
    ))
'''


def run_kit(folder: Path, body: str, *words: str) -> tuple[int, str]:
    """Run chosen checks of the kit on a mutant, in a process of its own."""
    file = folder / "test_mutant.py"
    file.write_text(
        FILE.format(body=indent(dedent(body.replace("{{", "{").replace("}}", "}")), "    "))
    )
    argv = [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", file, *words]
    done = subprocess.run(
        argv, capture_output=True, text=True, cwd=folder, check=False, timeout=120
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("body", "check"),
    [
        (SHELL, "test_argv_bytes"),
        (CODES, "test_exit_code[137]"),
        (SUCCESS, "test_killed_from_outside"),
        (NUMBERS, "test_identity"),
        (TWICE, "test_claim_repeated_submission"),
        (PRETEND, "test_cancel_running"),
        (ENVIRONMENT, "test_environment_exact"),
        (SILENT, "test_plan_covers_every_field"),
        (LATE, "test_unknown_attempt"),
    ],
    ids=lambda value: value if value.startswith("test_") else "",
)
def test_a_liar_is_caught(tmp_path: Path, body: str, check: str) -> None:
    """A kit that passes everybody proves nothing."""
    code, told = run_kit(tmp_path, body, "-k", check.replace("[", " and ").replace("]", ""))

    assert code == 1, told
    assert "1 failed" in told, told
    assert f"::{check}" in told, told


def test_a_failure_tells_the_jobs_story(tmp_path: Path) -> None:
    """Who sees a red check wants to know what happened, not only that it did."""
    _, told = run_kit(tmp_path, CODES, "-k", "test_exit_code and 137")

    assert "SubmitIntended" in told, told
    assert "(None, 9) == (137, None)" in told, told


def test_declared_failures_must_fail(tmp_path: Path) -> None:
    """A declared failure that passes is an error, so that the list cannot rot."""
    code, told = run_kit(tmp_path, DECLARED_BAD, "-k", "test_usage or test_no_output")

    assert code == 1, told
    assert "1 failed" in told, told
    assert "1 xfailed" in told, told
    assert "XPASS(strict)" in told, told


def test_a_class_without_a_backend_says_so(tmp_path: Path) -> None:
    """The one thing that must be set is named where it is missing."""
    file = tmp_path / "test_empty.py"
    file.write_text(
        "from drover.testing import BackendConformance\nclass TestX(BackendConformance): ...\n"
    )
    argv = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", file]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert "set backend_name in TestX" in done.stdout, done.stdout

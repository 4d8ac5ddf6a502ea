"""Programs that were written for drmaa-python run as they are."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
EXPECTED = {
    "polls_status.py": ["bad done True 3 rule bad", "good done True 0 rule good"],
    "monitors_in_a_thread.py": [str(list(range(12)))],
    "first_steps.py": sorted(
        ["version 1.0", "told True True True", "one True True 0 False", "usage True",
         "said Simon says: hello", "many 15 15", "collected True", "disposed True",
         "not yet True", "suspended True", "ended True False 0", "left"]
    ),
}  # fmt: skip


def run(words: list[str], folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", *words, str(folder)],
        cwd=folder, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    return sorted(done.stdout.splitlines())


@pytest.mark.brief
@pytest.mark.parametrize("program", sorted(EXPECTED))
def test_a_program_runs_unchanged(backend: str, program: str, tmp_path: Path) -> None:
    """It says `import drmaa`, and knows nothing of Drover."""
    assert EXPECTED[program] == run(["-m", "drover.drmaa", str(PROGRAMS / program)], tmp_path)


@pytest.mark.parametrize("program", sorted(EXPECTED))
def test_a_program_runs_with_its_imports_changed(
    backend: str, program: str, tmp_path: Path
) -> None:
    text = (PROGRAMS / program).read_text("utf-8")
    text = text.replace("import drmaa\n", "import drover.drmaa as drmaa\n")
    changed = tmp_path / "changed.py"
    changed.write_text(text.replace("from drmaa.", "from drover.drmaa."), "utf-8")

    assert EXPECTED[program] == run([str(changed)], tmp_path)


def test_every_program_is_run() -> None:
    assert sorted(EXPECTED) == sorted(path.name for path in PROGRAMS.glob("*.py"))


def stand_in(words: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "drover.drmaa", *words],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_script_finds_its_arguments_its_folder_and_one_copy_of_each_class(
    tmp_path: Path,
) -> None:
    (tmp_path / "beside.py").write_text("NAME = 'beside'")
    (tmp_path / "script.py").write_text(
        "import sys, beside, drmaa, drmaa.errors, drmaa.const, drmaa.session, drmaa.version\n"
        "from drmaa import *\n"
        "import drover.drmaa\n"
        "assert drmaa is drover.drmaa and Session is drmaa.session.Session\n"
        "for part in ('const', 'errors', 'session', 'version'):\n"
        "    assert sys.modules['drmaa.' + part] is sys.modules['drover.drmaa.' + part]\n"
        "print(__name__, sys.argv[1:], beside.NAME)\n"
        "sys.exit(7)\n"
    )
    script = stand_in([str(tmp_path / "script.py"), "-m", "x"], Path("/"))
    module = stand_in(["-m", "script", "y"], tmp_path)

    assert (7, "__main__ ['-m', 'x'] beside\n", "") == (
        script.returncode, script.stdout, script.stderr,
    )  # fmt: skip
    assert (7, "__main__ ['y'] beside\n") == (module.returncode, module.stdout)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "SCRIPT"),
        (["-m"], 2, "SCRIPT"),
        (["--help"], 0, "SCRIPT"),
        (["nonesuch.py"], 2, "no"),
    ],
)
def test_what_cannot_be_run(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    done = stand_in(words, tmp_path)

    assert code == done.returncode
    assert said in done.stderr
    assert "Traceback" not in done.stderr

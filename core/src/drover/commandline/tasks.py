"""The task file: what the wrapper is to run, written before the attempt is handed over."""

import re
import secrets
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from drover.commandline import wrapper
from drover.commandline.claims import PRIVATE
from drover.models import Attempt, Chunk, Stream

WRAPPER: Final = Path(wrapper.__file__)
"""The wrapper's program file. It needs Python 3.6 and nothing else."""
_START: Final = (
    "import sys; sys.path.append(sys.argv.pop(1)); import wrapper; "
    "sys.exit(wrapper.main(sys.argv[1:]))"
)


def write_task(
    folder: Path, attempt: Attempt, *, pass_env: Sequence[str] = (), own_session: bool = False
) -> None:
    """Write what the wrapper needs to run *attempt*; whole or not at all, private to the user.

    Args:
        folder: The attempt's folder; made if it is missing.
        attempt: As `drover_submit` is given it, with its environment.
        pass_env: Variables of the node that the command is to see, such as `SLURM_*`; a
            trailing `*` stands for any ending.
        own_session: Give the command a session of its own. Not where the scheduler kills a
            job by its process group.

    Raises:
        OSError: It could not be written.
    """
    spec = attempt.spec
    folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    task = {
        "version": wrapper.VERSION,
        "token": attempt.token,
        "argv": list(spec.argv),
        "cwd": spec.cwd,
        "env": attempt.environment,
        "pass_env": list(pass_env),
        "stdin": expand(spec.stdin, attempt),
        "stdout": expand(spec.stdout, attempt),
        "stderr": expand(spec.stderr, attempt),
        "join_output": spec.join_output,
        "pre_launch": spec.pre_launch,
        "post_launch": spec.post_launch,
        "requeue": spec.requeue,
        "own_session": own_session,
    }
    wrapper.write_whole(str(folder), wrapper.TASK, task)


def expand(path: str | None, attempt: Attempt) -> str | None:
    """Put the job's id for `%j` and its array index for `%a`; `%%` is a percent sign."""
    if path is None:
        return None
    index = "" if attempt.array_index is None else str(attempt.array_index)
    words = {"%": "%", "j": attempt.job_id, "a": index}
    return re.sub("%([%ja])", lambda found: words[found[1]], path)


def wrapper_argv(
    folder: Path,
    native_id: str,
    restart: str = "0",
    *,
    program: Path = WRAPPER,
    python: str = sys.executable,
) -> tuple[str, ...]:
    """Give the argv that runs the attempt in *folder*.

    Args:
        folder: The attempt's folder, as the node sees it.
        native_id: The native id, or variables of the scheduler in braces: `{SLURM_JOB_ID}`.
        restart: How often it was run before, or `{SLURM_RESTART_COUNT}`.
        program: The wrapper's file, as the node sees it.
        python: Python 3.6 or newer on the node.

    Returns:
        An argv whose Python looks at no user's settings and no site packages.
    """
    return (*wrapper_start(program, python), str(folder), native_id, restart)


def wrapper_start(program: Path, python: str = sys.executable) -> tuple[str, ...]:
    """Give the words of a wrapper's argv that come before what it is to run.

    It is started as a module, so that Python keeps it compiled: of a script it compiles every
    line at every start, which is a sixth of all that a short job takes.
    """
    return (python, "-I", "-S", "-c", _START, str(program.parent))


def install_wrapper(folder: Path) -> Path:
    """Copy the wrapper to where compute nodes can read it; whole or not at all.

    Returns:
        Its path. A copy of the same content is left alone, a running one is never changed.
    """
    target = folder / WRAPPER.name
    content = WRAPPER.read_bytes()
    if target.is_file() and target.read_bytes() == content:
        return target
    folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    # Else whichever node is first makes it, open to whom its umask says.
    (folder / "__pycache__").mkdir(mode=PRIVATE, exist_ok=True)
    draft = folder / f".{WRAPPER.name}-{secrets.token_hex(8)}"
    shutil.copyfile(WRAPPER, draft)
    draft.replace(target)
    return target


def output_path(folder: Path, attempt: Attempt, stream: Stream) -> Path:
    """Say in which file the wrapper keeps an output of the attempt."""
    spec = attempt.spec
    if spec.join_output:
        stream = Stream.STDOUT
    path = expand(spec.stdout if stream is Stream.STDOUT else spec.stderr, attempt)
    if path is None:
        return folder / f"{stream}.{attempt.restart}"
    return Path(spec.cwd or ".") / path


def read_chunk(path: Path, offset: int, size: int) -> Chunk | None:
    """Read a piece of a file; `None` if it is not there.

    Args:
        path: The file.
        offset: First byte, from 0.
        size: Most bytes to read.
    """
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            end = file.tell()
            file.seek(offset)
            data = file.read(min(size, max(0, end - offset)))
    except FileNotFoundError:
        return None
    return Chunk(data=data, offset=offset, size=end, path=str(path))

"""The files of a job's streams, from patterns like `slurm-%j.out`."""

import re
from typing import Final

from drover.testing.scheduler.slurm._job import Job

OUTPUT: Final = ("slurm-%j.out", "slurm-%A_%a.out")
"""Where output goes that nobody asked for: of a job, and of a task of an array."""
NO_TASK: Final = "4294967294"
"""What stands for `%a` where there is no task."""


def expand(pattern: str, job: Job) -> str:
    """Fill in a file name pattern. Source: sbatch(1), "filename pattern"."""
    if "\\" in pattern:
        return pattern.replace("\\", "")
    node = job.nodes[0] if job.nodes else ""
    task = "" if job.array is None or job.array.task is None else str(job.array.task)
    letters = {
        "%": "%", "A": str(job.base_id), "a": task or NO_TASK, "J": str(job.job_id),
        "j": str(job.job_id), "N": node, "n": "0", "s": "batch", "t": "0", "u": job.user,
        "x": job.name,
    }  # fmt: skip

    def value(match: re.Match[str]) -> str:
        width, letter = match.groups()
        if letter not in letters:
            return match[0]
        text = letters[letter]
        return text.zfill(min(int(width), 10)) if width and text.isdigit() else text

    return re.sub(r"%(\d*)([A-Za-z%])", value, pattern)


def stream_path(job: Job, name: str, *, filled: bool = True) -> str:
    """Give the path of the file of `input`, `output` or `error`.

    Args:
        job: Whose.
        name: Which stream.
        filled: Whether a pattern that was asked for is filled in, as `scontrol` does and
            `squeue` does not.
    """
    pattern = job.options.get(name)
    if pattern is None and name == "error":
        return stream_path(job, "output", filled=filled)
    if pattern is None:
        pattern = "/dev/null" if name == "input" else OUTPUT[job.array is not None]
        filled = True
    path = expand(pattern, job) if filled else pattern
    return path if path.startswith("/") else f"{job.work_dir}/{path}"

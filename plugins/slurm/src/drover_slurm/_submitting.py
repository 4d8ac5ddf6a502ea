"""Hand jobs over with sbatch, and tell its three answers apart.

The words are those of slurm_errno.c and sbatch.c, 22.05 to 24.11.
"""

import re
from collections.abc import Sequence
from typing import Final

from drover.commandline import Batch, Command, Submission
from drover.hookspecs import Completed
from drover.models import Answer, JobSpec

NAME_LENGTH: Final = 200
"""Accounting keeps 255 bytes of a name: this much of the label, then `@` and the key."""

_ACCEPTED: Final = re.compile(r"\s*(\d+)(?:;[^;\s]+)?\s*", re.ASCII)
"""Alone on its line: a site's sbatch may print more before and after it."""
_FULL: Final = re.compile(
    r"MaxSubmit|SubmitJobs|Resource temporarily unavailable|job queue full|"
    r"temporarily unable to accept|Job count|MaxJobCount|Rate limit|too many|"
    r"Job dependency problem",
    re.IGNORECASE,
)
"""A limit that time heals; or a predecessor that is forgotten already, which is found out."""
_IN_DOUBT: Final = re.compile(
    r"Socket timed out|send failure|receive failure|shutdown failure|Zero Bytes|"
    r"Unexpected message|communication|Connection (?:reset|timed)|No error|"
    r"Unspecified error|Slurm backup controller|interrupted",
    re.IGNORECASE,
)
"""The controller may have taken it."""
_USAGE: Final = re.compile('Try "sbatch --help"')
"""It does not know its own options, and has asked nobody."""
_UNSENT: Final = re.compile(
    r"connect failure|Protocol authentication|authentication error|munge|"
    r"Unable to contact slurm controller \(connect|resolve|Failed to read the configuration",
    re.IGNORECASE,
)
"""Nobody has heard it."""


def job_name(label: str, key: str) -> str:
    """Name a job at Slurm: what people know it by, and the key by which we find it again."""
    plain = "".join(letter if letter.isprintable() and letter != "|" else "_" for letter in label)
    short = plain.encode("utf-8", "replace")[:NAME_LENGTH].decode("utf-8", "ignore")
    return f"{short}@{key}"


def command(
    options: Sequence[str], spec: JobSpec, batch: Batch | None, script: bytes, timeout_s: float
) -> Command:
    """Build the sbatch of a submission; without *batch* as `plan` shows it."""
    key = batch.key if batch is not None else "KEY"
    label = batch.label if batch is not None else spec.label
    argv = [
        "sbatch", "--parsable", "--export=ALL", "--open-mode=append",
        f"--job-name={job_name(label, key)}",
        f"--comment={key}",
        f"--output={_pattern(str(batch.log) if batch is not None else 'LOG')}",
    ]  # fmt: skip
    if spec.cwd is not None:
        argv.append(f"--chdir={spec.cwd}")
    if batch is not None and batch.is_array:
        argv.append(f"--array=0-{len(batch.tokens) - 1}")
    elif batch is None and spec.array is not None:
        argv.append(f"--array=0-{len(spec.array.indices) - 1}")
    argv += options
    return Command(argv=tuple(argv), input=script, timeout_s=timeout_s)


def _pattern(path: str) -> str:
    """Write a path so that sbatch takes it as it is.

    `%` begins a replacement and is doubled; but a backslash anywhere turns all replacements off.

    Source: sbatch(1), "filename pattern"; tried with Slurm 22.05.
    """
    return path.replace("\\", "\\\\") if "\\" in path else path.replace("%", "%%")


def read(reply: Completed) -> Submission:
    """Read what sbatch answered. What cannot be read is no refusal."""
    said = reply.stderr.strip()
    ids = {match[1] for line in reply.stdout.splitlines() if (match := _ACCEPTED.fullmatch(line))}
    if len(ids) == 1:
        # Also with an exit code: it was accepted before something else went wrong.
        return Submission(answer=Answer.ACCEPTED, native_id=ids.pop(), message=said)
    message = _message(said) or f"sbatch ended with {reply.returncode} and said nothing"
    if reply.returncode <= 0 or _IN_DOUBT.search(said) or not said:
        return Submission(answer=Answer.UNKNOWN, message=message)
    if _FULL.search(said) or _UNSENT.search(said):
        return Submission(answer=Answer.REFUSED, message=message, retryable=True)
    if "error" not in said.lower() and not _USAGE.search(said):
        return Submission(answer=Answer.UNKNOWN, message=message)
    return Submission(answer=Answer.REFUSED, message=message)


def _message(said: str) -> str:
    lines = [re.sub(r"^sbatch: (?:error: |fatal: )?", "", line) for line in said.splitlines()]
    return "; ".join(line for line in lines if line)

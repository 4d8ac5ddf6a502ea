"""What is executed for a specification, and how the agent is told."""

import os
from typing import Any, Final

from drover.models import Attempt, JobSpec, Stream
from drover_local._config import LocalConfig
from drover_local._output import expand, stream_path, working_dir

# Without a script after it, the command takes the shell's place and its end is the job's end.
_BEFORE: Final = 'before=$1; shift; . "$before"; exec "$@"'
# With one, the shell waits. It is not to die of a TERM that is meant for the command. A code
# above 128 is how the shell tells a signal: it ends itself by that signal then, without a core.
_AFTER: Final = (
    'before=$1; after=$2; shift 2; if [ -n "$before" ]; then . "$before"; fi; '
    'trap : TERM INT HUP; "$@"; code=$?; ( . "$after" ); '
    'if [ "$code" -gt 128 ]; then ulimit -c 0; number=$((code - 128)); '
    'trap - TERM INT HUP; kill -"$number" $$ 2>/dev/null; fi; '
    'exit "$code"'
)
OPTIONS: Final = ("affinity", "kill_leftovers")


def full_argv(spec: JobSpec) -> tuple[str, ...]:
    """Make the argv that is executed: launcher and scripts around the command.

    The shell text is constant; paths and words of the user reach it as arguments only.
    """
    argv = spec.argv
    if spec.launcher is not None:
        argv = (spec.launcher, "-n", str(spec.resources.tasks), *argv)
    before, after = _script(spec, spec.pre_launch), _script(spec, spec.post_launch)
    if after:
        return ("/bin/sh", "-c", _AFTER, "drover", before, after, *argv)
    if before:
        return ("/bin/sh", "-c", _BEFORE, "drover", before, *argv)
    return argv


def _script(spec: JobSpec, path: str | None) -> str:
    # With its folder, or `.` would search PATH for it.
    return os.path.join(working_dir(spec), path) if path else ""


def describe(attempt: Attempt, config: LocalConfig, output: str, name: str) -> dict[str, Any]:
    """Write an attempt as the agent reads it; what has its default is left out."""
    spec, resources = attempt.spec, attempt.spec.resources
    what: dict[str, Any] = {
        "token": attempt.token,
        "native_id": native_id(attempt),
        "argv": full_argv(spec),
        "cwd": working_dir(spec),
        "base": attempt.base_digest if attempt.base_environment else "",
        "variables": dict(attempt.variables),
        "stdout": stream_path(output, attempt, Stream.STDOUT),
        "age": attempt.age,
        "cpus": resources.total_cpus,
        "grace_s": config.grace_s,
    }
    stderr = stream_path(output, attempt, Stream.STDERR)
    if stderr is not None:
        what["stderr"] = stderr
    if spec.stdin is not None:
        what["stdin"] = expand(spec.stdin, attempt)
    if resources.total_gpus:
        what["gpus"] = resources.total_gpus
    if resources.memory is not None:
        what["memory"] = resources.memory
    if resources.wall_time is not None:
        what["wall_time"] = resources.wall_time
    if resources.priority:
        what["priority"] = resources.priority
    if resources.exclusive:
        what["exclusive"] = True
    options = spec.native.get(name, {})
    if options.get("affinity"):
        what["affinity"] = True
    if options.get("kill_leftovers", config.kill_leftovers):
        what["kill_leftovers"] = True
    return what


def native_id(attempt: Attempt) -> str:
    """Name an attempt to the agent: job and attempt, known before it runs."""
    return f"{attempt.job_id}/{attempt.number}"

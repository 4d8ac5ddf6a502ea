"""`sbatch`: read options, directives and the script, and hand a job in."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import evolve

from drover.testing.scheduler._calls import Call, Reply, decoded, encoded, said
from drover.testing.scheduler._options import OptionError, Parsed
from drover.testing.scheduler.slurm._controller import Controller
from drover.testing.scheduler.slurm._grammar import SBATCH
from drover.testing.scheduler.slurm._job import Job
from drover.testing.scheduler.slurm._memory import whole_array
from drover.testing.scheduler.slurm._submission import (
    RefusedError,
    check_fit,
    check_limits,
    indices,
    wished,
)

# Options that sbatch also takes from its environment, where the name is not the obvious one.
_VARIABLES: Final = {
    "array": "SBATCH_ARRAY_INX",
    "mem": "SBATCH_MEM_PER_NODE",
    "time": "SBATCH_TIMELIMIT",
    "verbose": "SBATCH_DEBUG",
    "switches": "SBATCH_REQ_SWITCH",
}
# Source: sbatch(1), "INPUT ENVIRONMENT VARIABLES"; the others cannot be set that way.
_FROM_ENVIRONMENT: Final = (
    "account", "acctg-freq", "array", "batch", "constraint", "container", "core-spec",
    "cpus-per-gpu", "delay-boot", "distribution", "error", "exclusive", "export", "get-user-env",
    "gpu-bind", "gpu-freq", "gpus", "gpus-per-node", "gpus-per-task", "gres", "gres-flags", "hint",
    "ignore-pbs", "input", "job-name", "mem-bind", "mem-per-cpu", "mem-per-gpu", "mem", "network",
    "no-kill", "no-requeue", "open-mode", "output", "overcommit", "partition", "power", "profile",
    "qos", "requeue", "reservation", "signal", "spread-job", "thread-spec", "threads-per-core",
    "time", "use-min-nodes", "wait", "wckey",
)  # fmt: skip
_EXCLUSIVE: Final = (("requeue", "no-requeue"), ("mem", "mem-per-cpu"))


def sbatch(controller: Controller, call: Call) -> Reply:
    """Run `sbatch`."""
    try:
        line = SBATCH.parse(call.words)
        if line.has("version"):
            return said(f"slurm-wlm {controller.site.version}\n")
        return _submit(controller, call, line)
    except OptionError as error:
        hint = 'Try "sbatch --help" for more information'
        return said(errors=f"sbatch: {error}\n{hint}\n", code=255)
    except RefusedError as error:
        return said(errors=error.errors, code=error.code)


def _submit(controller: Controller, call: Call, line: Parsed) -> Reply:
    script, name, command = _script(line, call)
    options = _all_options(line, script, call.environment)
    site = controller.site
    if options.get("clusters", site.cluster) not in (site.cluster, "all"):
        raise _no_cluster(options["clusters"])
    job = Job(
        serial=0,
        job_id=0,
        submit_at=call.at,
        name=options.get("job-name", name),
        script=script,
        arguments=() if line.has("wrap") else line.rest[1:],
        command=command,
        submit_line=" ".join(call.argv),
        environment=exported(options, call),
        **wished(controller, call, options),
    )
    tasks, throttle = indices(options["array"], controller) if "array" in options else ((), 0)
    check_limits(controller, job, len(tasks) or 1)
    if "test-only" in options:
        return said(errors=f"sbatch: Job {controller.memory.next_id} to start at now\n")
    memory = controller.memory
    job = evolve(job, serial=memory.new_serial(), job_id=memory.new_id())
    check_fit(controller, job, call.at)
    if tasks:
        job = evolve(job, array=whole_array(job.job_id, tasks, throttle))
    controller.accept(job)
    return _answer(site.cluster, job, options)


def _no_cluster(name: str) -> RefusedError:
    return RefusedError(
        f"sbatch: error: No cluster '{name}' known by database.\n"
        f"sbatch: error: '{name}' can't be reached now, or it is an invalid entry for --cluster.  "
        "Use 'sacctmgr list clusters' to see available clusters.\n"
    )


def _answer(cluster: str, job: Job, options: Mapping[str, str]) -> Reply:
    if "parsable" in options:
        return said(f"{job.job_id}{f';{cluster}' if 'clusters' in options else ''}\n")
    if "quiet" in options:
        return said()
    on = f" on cluster {cluster}" if "clusters" in options else ""
    return said(f"Submitted batch job {job.job_id}{on}\n")


# --- the script ----------------------------------------------------------------------------------


def _script(line: Parsed, call: Call) -> tuple[bytes, str, str]:
    """Give the script, the name that it lends to the job, and its path."""
    if line.has("wrap"):
        if line.rest:
            raise RefusedError("sbatch: error: Script arguments not permitted with --wrap option\n")
        head = b"#!/bin/sh\n# This script was created by sbatch --wrap.\n\n"
        return head + encoded(line.get("wrap")) + b"\n", "wrap", ""
    if not line.rest:
        script = call.read_input()
        _check_script(script)
        return script, "sbatch", ""
    path = Path(call.cwd) / line.rest[0]
    try:
        script = path.read_bytes()
    except OSError as error:
        told = f"sbatch: error: Unable to open file {line.rest[0]}\n"
        raise RefusedError(told) from error
    _check_script(script)
    return script, path.name, str(path)


def _check_script(script: bytes) -> None:
    if not script:
        raise RefusedError("sbatch: error: Batch script is empty!\n")
    if not script.strip():
        raise RefusedError("sbatch: error: Batch script contains only whitespace!\n")
    if not script.startswith(b"#!"):
        raise RefusedError(
            "sbatch: error: This does not look like a batch script.  The first\n"
            "sbatch: error: line must start with #! followed by the path to an interpreter.\n"
            "sbatch: error: For instance: #!/bin/sh\n"
        )
    if b"\0" in script:
        raise RefusedError(
            "sbatch: error: The Slurm controller does not allow scripts that\n"
            "sbatch: error: contain a NULL character '\\0'.\n"
        )
    if b"\r\n" in script:
        raise RefusedError(
            "sbatch: error: Batch script contains DOS line breaks (\\r\\n)\n"
            "sbatch: error: instead of expected UNIX line breaks (\\n).\n"
        )


def _directives(script: bytes) -> list[str]:
    """Collect the words of the `#SBATCH` lines in front of the first command."""
    words: list[str] = []
    for raw in script.split(b"\n"):
        line = decoded(raw)
        if re.match(r"#SBATCH\s", line):
            words += shlex.split(line.removeprefix("#SBATCH"), comments=True)
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    return words


def _all_options(line: Parsed, script: bytes, environment: Mapping[str, str]) -> dict[str, str]:
    """Put options together: the command line beats the environment beats the script."""
    options = dict(SBATCH.parse(_directives(script)).values)
    for name in _FROM_ENVIRONMENT:
        variable = _VARIABLES.get(name, f"SBATCH_{name.upper().replace('-', '_')}")
        if variable in environment:
            options[name] = environment[variable]
    options.update(line.values)
    given = [name for name, _ in line.options]
    # Of two that exclude each other the later one counts.
    for one, other in _EXCLUSIVE:
        if one in options and other in options:
            later = max((one, other), key=lambda name: _last(given, name))
            options.pop(other if later == one else one)
    return options


def _last(names: list[str], name: str) -> int:
    return max((place for place, one in enumerate(names) if one == name), default=-1)


def _login(call: Call) -> dict[str, str]:
    """Give what a fresh login of the user has: what is loaded where nothing is exported."""
    home = call.environment.get("HOME", "/")
    names = {"HOME": home, "LOGNAME": call.user, "USER": call.user, "SHELL": "/bin/sh"}
    return {**names, "PATH": "/usr/local/bin:/usr/bin:/bin"}


def exported(options: Mapping[str, str], call: Call) -> dict[str, str]:
    """Give the part of the caller's environment that the job gets."""
    text = options.get("export", "ALL")
    # SLURM_* goes along whatever is asked for: an inherited SLURM_CPU_BIND too.
    own = {name: value for name, value in call.environment.items() if name.startswith("SLURM_")}
    if text == "ALL":
        own = dict(call.environment)
    elif text == "NONE":
        own = {**_login(call), **own, "SLURM_GET_USER_ENV": "1"}
    else:
        for part in text.split(","):
            name, equals, value = part.partition("=")
            if part == "ALL":
                own = {**own, **call.environment}
            elif equals:
                own.setdefault(name, value)
            elif name in call.environment:
                own[name] = call.environment[name]
    if "export" in options:
        own["SLURM_EXPORT_ENV"] = text
    return own

"""Jobs that run for real: their scripts become child processes of the scheduler's."""

import shutil
import tempfile
from pathlib import Path
from typing import IO, Final

from drover.testing.scheduler._processes import Processes, write_program
from drover.testing.scheduler.slurm._controller import Controller
from drover.testing.scheduler.slurm._job import Job, Usage
from drover.testing.scheduler.slurm._patterns import OUTPUT, expand
from drover.testing.scheduler.slurm._submission import gpus_on_node
from drover.testing.scheduler.slurm._text import fold_hosts

NO_OUTPUT: Final = 53
"""The signal that Slurm reports where output could not be opened. Source: measured, 0:53."""
BAD_INTERPRETER: Final = 2 << 8
NOT_EXECUTABLE: Final = 13 << 8


class Runner:
    """Executes submitted scripts as slurmd would, but all on this machine."""

    def __init__(self, controller: Controller) -> None:
        self.controller: Final = controller
        self.processes: Final = Processes()
        self._spool: Path | None = None
        self._running: Final[dict[int, Job]] = {}

    @property
    def spool(self) -> Path:
        """Give the folder for scripts."""
        if self._spool is None:
            self._spool = Path(tempfile.mkdtemp(prefix="drover-slurmd-"))
        return self._spool

    def start(self, job: Job) -> int:
        """Start its script; 0, or the wait status of a start that failed."""
        folder = self.spool / f"job{job.job_id:05}-{job.serial}-{job.restarts}"
        program = write_program(folder, "slurm_script", job.script)
        cwd = job.work_dir if Path(job.work_dir).is_dir() else tempfile.gettempdir()
        streams: list[IO[bytes]] = []
        try:
            streams = self._streams(job, cwd)
        except OSError:
            return NO_OUTPUT
        try:
            self.processes.start(
                job.serial,
                [str(program), *job.arguments],
                environment={**job.environment, **variables(job, self.controller)},
                cwd=cwd,
                stdin=streams[0],
                stdout=streams[1],
                stderr=streams[-1],
            )
        except OSError as error:
            return BAD_INTERPRETER if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        finally:
            for stream in streams:
                stream.close()
        self._running[job.serial] = job
        return 0

    def _streams(self, job: Job, cwd: str) -> list[IO[bytes]]:
        mode = "ab" if job.options.get("open-mode") == "append" else "wb"
        options = job.options
        streams: list[IO[bytes]] = []
        try:
            source = expand(options.get("input", "/dev/null"), job)
            streams.append((Path(cwd) / source).open("rb"))
            output = expand(options.get("output", OUTPUT[job.array is not None]), job)
            streams.append((Path(cwd) / output).open(mode))
            if "error" in options and (other := expand(options["error"], job)) != output:
                streams.append((Path(cwd) / other).open(mode))
        except OSError:
            for stream in streams:
                stream.close()
            raise
        return streams

    def signal(self, job: Job, number: int, *, group: bool) -> None:
        """Send a signal to its script, or to everything that it started."""
        self.processes.signal(job.serial, number, group=group)

    def runs(self, job: Job) -> bool:
        """Tell whether its script is there."""
        return job.serial in self._running

    def look(self) -> None:
        """Take in the scripts that have ended."""
        for ended in self.processes.reap():
            job = self._running.pop(ended.key)
            usage = Usage(
                user_cpu_s=ended.user_cpu_s,
                system_cpu_s=ended.system_cpu_s,
                max_rss_kb=ended.max_rss_kb,
            )
            self.controller.process_ended(job, ended.status, usage)

    def close(self) -> None:
        """Kill what still runs, and delete the scripts."""
        self.processes.close()
        if self._spool is not None:
            shutil.rmtree(self._spool, ignore_errors=True)


def variables(job: Job, controller: Controller) -> dict[str, str]:
    """Give what Slurm sets in the environment of a batch script."""
    site, node = controller.site, job.nodes[0] if job.nodes else ""
    per_node = -(-job.cpus // max(1, len(job.nodes)))
    many = f"(x{len(job.nodes)})" if len(job.nodes) > 1 else ""
    found = {
        "ENVIRONMENT": "BATCH",
        "HOSTNAME": node,
        "SLURMD_NODENAME": node,
        "SLURM_CLUSTER_NAME": site.cluster,
        "SLURM_CPUS_ON_NODE": str(per_node),
        "SLURM_GTIDS": "0",
        "SLURM_JOBID": str(job.job_id),
        "SLURM_JOB_ACCOUNT": job.account,
        "SLURM_JOB_CPUS_PER_NODE": f"{per_node}{many}",
        "SLURM_JOB_GID": str(job.gid),
        "SLURM_JOB_ID": str(job.job_id),
        "SLURM_JOB_NAME": job.name,
        "SLURM_JOB_NODELIST": fold_hosts(job.nodes),
        "SLURM_JOB_NUM_NODES": str(len(job.nodes)),
        "SLURM_JOB_PARTITION": job.partition,
        "SLURM_JOB_QOS": job.options.get("qos", "normal"),
        "SLURM_JOB_UID": str(job.uid),
        "SLURM_JOB_USER": job.user,
        "SLURM_LOCALID": "0",
        "SLURM_NNODES": str(len(job.nodes)),
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": fold_hosts(job.nodes),
        "SLURM_NODE_ALIASES": "(null)",
        "SLURM_PRIO_PROCESS": "0",
        "SLURM_PROCID": "0",
        "SLURM_SUBMIT_DIR": job.submit_dir,
        "SLURM_SUBMIT_HOST": site.host,
        "SLURM_TASKS_PER_NODE": f"{-(-job.tasks // max(1, len(job.nodes)))}{many}",
        "SLURM_TOPOLOGY_ADDR": node,
        "SLURM_TOPOLOGY_ADDR_PATTERN": "node",
        "TMPDIR": job.environment.get("TMPDIR", tempfile.gettempdir()),
    }
    if job.restarts:
        found["SLURM_RESTART_COUNT"] = str(job.restarts)
    return {**found, **_asked_for(job), **_gpus(job), **_array(job)}


def _asked_for(job: Job) -> dict[str, str]:
    """Give the variables that are there only where an option was given."""
    names = {
        "ntasks": ("SLURM_NTASKS", "SLURM_NPROCS"),
        "ntasks-per-node": ("SLURM_NTASKS_PER_NODE",),
        "cpus-per-task": ("SLURM_CPUS_PER_TASK",),
        "gpus": ("SLURM_GPUS",),
        "gpus-per-node": ("SLURM_GPUS_PER_NODE",),
        "gpus-per-task": ("SLURM_GPUS_PER_TASK",),
        "dependency": ("SLURM_JOB_DEPENDENCY",),
        "reservation": ("SLURM_JOB_RESERVATION",),
    }
    found = {
        name: job.options[option]
        for option, set_ in names.items()
        if option in job.options
        for name in set_
    }
    found["SLURM_MEM_PER_CPU" if job.memory_per_cpu else "SLURM_MEM_PER_NODE"] = str(job.memory_mb)
    return found


def _gpus(job: Job) -> dict[str, str]:
    count = gpus_on_node(job)
    if not count:
        return {}
    devices = ",".join(map(str, range(count)))
    return {
        "CUDA_VISIBLE_DEVICES": devices,
        "GPU_DEVICE_ORDINAL": devices,
        "ROCR_VISIBLE_DEVICES": devices,
        "SLURM_GPUS_ON_NODE": str(count),
        "SLURM_JOB_GPUS": devices,
    }


def _array(job: Job) -> dict[str, str]:
    array = job.array
    if array is None:
        return {}
    return {
        "SLURM_ARRAY_JOB_ID": str(array.job_id),
        "SLURM_ARRAY_TASK_ID": str(array.task),
        "SLURM_ARRAY_TASK_COUNT": str(array.count),
        "SLURM_ARRAY_TASK_MIN": str(array.lowest),
        "SLURM_ARRAY_TASK_MAX": str(array.highest),
        "SLURM_ARRAY_TASK_STEP": str(array.step),
    }

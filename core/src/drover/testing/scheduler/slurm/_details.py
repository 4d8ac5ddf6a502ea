"""`scontrol show`: all that the controller knows of a job, a partition, a node, itself."""

from drover.testing.scheduler.slurm._fields import FIELDS, Shown
from drover.testing.scheduler.slurm._job import Job
from drover.testing.scheduler.slurm._patterns import stream_path
from drover.testing.scheduler.slurm._planning import uses_nodes
from drover.testing.scheduler.slurm._site import Partition, SlurmSite
from drover.testing.scheduler.slurm._text import fold_hosts, length_text, size_text

UNKNOWN = "Unknown"


def job_lines(row: Shown) -> list[str]:
    """Write a job as `scontrol show job` does, a line each. Source: seen on 22.05.8."""
    job = row.job
    option = job.options.get
    return [
        _identity(row),
        f"UserId={job.user}({job.uid}) GroupId={job.group}({job.gid}) MCS_label=N/A",
        (
            f"Priority={job.priority} Nice={option('nice') or 0} Account={FIELDS['account'](row)} "
            f"QOS={FIELDS['qos'](row)}" + (f" WCKey=*{option('wckey')}" if option("wckey") else "")
        ),
        (
            f"JobState={job.shown} Reason={job.reason.replace(' ', '_')} "
            f"Dependency={FIELDS['dependency'](row)}"
        ),
        (
            f"Requeue={int(job.requeue)} Restarts={job.restarts} BatchFlag=1 Reboot=0 "
            f"ExitCode={job.exit_status >> 8}:{job.exit_status & 0x7F}"
        ),
        (
            f"RunTime={length_text(job.ran_by(row.now), padded=True)} "
            f"TimeLimit={_limit(job.time_limit_s)} TimeMin=N/A"
        ),
        f"SubmitTime={row.clock(job.submit_at)} EligibleTime={row.clock(_eligible(job), UNKNOWN)}",
        f"AccrueTime={row.clock(_eligible(job), UNKNOWN)}",
        (
            f"StartTime={row.clock(row.expected_start, UNKNOWN)} "
            f"EndTime={row.clock(row.expected_end, UNKNOWN)} Deadline=N/A"
        ),
        (
            f"SuspendTime={row.clock(job.stopped_at, 'None')} SecsPreSuspend={int(job.stopped_s)} "
            f"LastSchedEval={row.clock(job.eligible_at or job.submit_at)} Scheduler=Main"
        ),
        f"Partition={job.partition} AllocNode:Sid={row.site.host}:1",
        f"ReqNodeList={option('nodelist') or '(null)'} ExcNodeList={option('exclude') or '(null)'}",
        f"NodeList={row.nodes}",
        *([f"BatchHost={job.nodes[0]}"] if job.nodes else []),
        *_resources(row),
        f"Command={FIELDS['command'](row)}",
        f"WorkDir={job.work_dir}",
        *([f"Comment={job.comment} "] if job.comment else []),
        f"StdErr={stream_path(job, 'error')}",
        f"StdIn={stream_path(job, 'input')}",
        f"StdOut={stream_path(job, 'output')}",
        "Power=",
        *_mail(job),
    ]


def _identity(row: Shown) -> str:
    job = row.job
    array = ""
    if job.array is not None:
        array = f"ArrayJobId={job.base_id} ArrayTaskId={row.task_text} "
        if job.array.throttle and job.waiting:
            array += f"ArrayTaskThrottle={job.array.throttle} "
    return f"JobId={job.job_id} {array}JobName={job.name}"


def _eligible(job: Job) -> float | None:
    return job.begin_at if job.eligible_at is None and job.begin_at else job.eligible_at


def _limit(seconds: float | None) -> str:
    return length_text(seconds, padded=seconds is not None)


def _resources(row: Shown) -> list[str]:
    job = row.job
    option = job.options.get
    kind = "CPU" if job.memory_per_cpu else "Node"
    memory = f"MinMemory{kind}={size_text(job.memory_mb)}"
    lines = [
        (
            f"NumNodes={_node_count(job)} NumCPUs={job.cpus} NumTasks={job.tasks} "
            f"CPUs/Task={option('cpus-per-task') or 1} ReqB:S:C:T=0:0:*:*"
        ),
        f"TRES={FIELDS['tres-alloc'](row)}",
        f"Socks/Node=* NtasksPerN:B:S:C={option('ntasks-per-node') or 0}:0:*:* CoreSpec=*",
        f"MinCPUsNode={job.cpus_per_node} {memory} MinTmpDiskNode={option('tmp') or 0}",
        f"Features={option('constraint') or '(null)'} DelayBoot=00:00:00",
    ]
    if option("reservation"):
        lines.append(f"Reservation={option('reservation')}")
    shared, licenses = FIELDS["oversubscribe"](row), option("licenses") or "(null)"
    return [*lines, f"OverSubscribe={shared} Contiguous=0 Licenses={licenses} Network=(null)"]


def _node_count(job: Job) -> str:
    """Give the nodes it has, or while it waits how many it may get."""
    asked = job.options.get("nodes", "")
    if job.nodes or not asked:
        return str(len(job.nodes) or job.node_count)
    return asked if "-" in asked else f"{asked}-{asked}"


def _mail(job: Job) -> list[str]:
    kinds = job.options.get("mail-type", "").upper()
    if not kinds or kinds == "NONE":
        return []
    return [f"MailUser={job.options.get('mail-user', job.user)} MailType={kinds}"]


def partition_lines(partition: Partition, site: SlurmSite) -> list[str]:
    """Write a partition as `scontrol show partition` does."""
    default = "YES" if partition is site.partitions[0] else "NO"
    count, cpus = len(site.nodes), len(site.nodes) * site.cpus
    memory = size_text(count * site.memory_mb)
    gres = "".join(f",gres/{name}={amount * count}" for name, amount in site.gres.items())
    standard = "NONE" if partition.default_time_s is None else _limit(partition.default_time_s)
    return [
        f"PartitionName={partition.name}",
        "AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL",
        f"AllocNodes=ALL Default={default} QoS=N/A",
        f"DefaultTime={standard} DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=NO",
        (
            f"MaxNodes=UNLIMITED MaxTime={_limit(partition.max_time_s)} MinNodes=0 LLN=NO "
            "MaxCPUsPerNode=UNLIMITED"
        ),
        f"Nodes={fold_hosts(site.nodes)}",
        (
            f"PriorityJobFactor=1 PriorityTier={partition.tier} RootOnly=NO ReqResv=NO "
            "OverSubscribe=NO"
        ),
        "OverTimeLimit=NONE PreemptMode=OFF",
        (
            f"State={'UP' if partition.is_up else 'DOWN'} TotalCPUs={cpus} TotalNodes={count} "
            "SelectTypeParameters=NONE"
        ),
        "JobDefaults=(null)",
        "DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED",
        f"TRES=cpu={cpus},mem={memory},node={count},billing={cpus}{gres}",
    ]


def node_state(node: str, jobs: list[Job], site: SlurmSite) -> tuple[str, int]:
    """Give the state of a node, and how many of its CPUs are taken."""
    here = [job for job in jobs if node in job.nodes and uses_nodes(job)]
    taken = min(site.cpus, sum(-(-job.cpus // len(job.nodes)) for job in here))
    if any("exclusive" in job.options for job in here):
        taken = site.cpus
    return ("idle" if not taken else "allocated" if taken == site.cpus else "mixed"), taken


def node_lines(node: str, jobs: list[Job], site: SlurmSite) -> list[str]:
    """Write a node as `scontrol show node` does."""
    state, taken = node_state(node, jobs, site)
    features = ",".join(sorted(site.features)) or "(null)"
    return [
        f"NodeName={node} Arch=x86_64 CoresPerSocket=1 ",
        f"CPUAlloc={taken} CPUEfctv={site.cpus} CPUTot={site.cpus} CPULoad=0.00",
        f"AvailableFeatures={features}",
        f"ActiveFeatures={features}",
        f"Gres={','.join(f'{name}:{count}' for name, count in site.gres.items()) or '(null)'}",
        f"NodeAddr={node} NodeHostName={node} Version={site.version}",
        "OS=Linux ",
        (
            f"RealMemory={site.memory_mb} AllocMem=0 FreeMem={site.memory_mb} Sockets={site.cpus} "
            "Boards=1"
        ),
        f"State={state.upper()} ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A",
        f"Partitions={','.join(one.name for one in site.partitions)} ",
    ]


def config_lines(site: SlurmSite) -> list[str]:
    """Write the settings as `scontrol show config` does: those that clients ask for."""
    kind = "accounting_storage/slurmdbd" if site.accounting else "accounting_storage/none"
    flags = "job_comment" if site.stores_comment else "(null)"
    settings = {
        "AccountingStorageType": kind,
        "AccountingStoreFlags": flags,
        "ClusterName": site.cluster,
        "DefMemPerCPU": str(site.memory_per_cpu_mb),
        "EnforcePartLimits": "NO",
        "JobRequeue": str(int(site.default_requeue)),
        "KillWait": f"{site.kill_wait_s:.0f} sec",
        "MaxArraySize": str(site.max_array_size),
        "MaxJobCount": str(site.max_job_count),
        "MessageTimeout": f"{site.message_timeout_s:.0f} sec",
        "MinJobAge": f"{site.min_job_age_s:.0f} sec",
        "SLURM_VERSION": site.version,
        "TCPTimeout": f"{site.tcp_timeout_s:.0f} sec",
        **site.extra,
    }
    return [f"{name:<24}= {settings[name]}" for name in sorted(settings)]

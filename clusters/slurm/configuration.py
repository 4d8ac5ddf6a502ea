"""The text of every configuration file, from the settings. Pure, but for the host's name.

Source: slurm.conf(5), slurmdbd.conf(5), cgroup.conf(5), gres.conf(5); tried with Slurm 22.05.8.
"""

import getpass
import socket
from pathlib import Path

from clusters.slurm.settings import Settings

# Stock settings look once in three seconds; these start a job in half a second.
SCHEDULER = "batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1"
DATABASE = "slurm"
# Links to the null device; jobs are told the numbers.
GPUS = ("gpu0", "gpu1")


def files(folder: Path, settings: Settings) -> dict[str, str]:
    """Give the text of each file in FOLDER/etc."""
    database = {"slurmdbd.conf": _slurmdbd_conf(folder, settings)} if settings.accounting else {}
    return {
        "slurm.conf": _slurm_conf(folder, settings),
        "cgroup.conf": _cgroup_conf(settings),
        "gres.conf": _gres_conf(folder),
        "mail": _mail(folder),
        **database,
    }


def _slurm_conf(folder: Path, settings: Settings) -> str:
    """Write slurm.conf; `--set` has the last word."""
    lines = {
        "ClusterName": "drover",
        # Both names: slurmctld looks whether it is to run on this host.
        "SlurmctldHost": "localhost(127.0.0.1)",
        "SlurmctldPort": str(settings.port),
        "SlurmUser": getpass.getuser(),
        "SlurmdUser": getpass.getuser(),
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder}/run/munge.sock",
        "CredType": "cred/munge",
        "StateSaveLocation": f"{folder}/state/slurmctld",
        "SlurmdSpoolDir": f"{folder}/spool/%n",
        "SlurmctldPidFile": f"{folder}/run/slurmctld.pid",
        "SlurmdPidFile": f"{folder}/run/%n.pid",
        "SlurmctldLogFile": f"{folder}/log/slurmctld.log",
        "SlurmdLogFile": f"{folder}/log/%n.log",
        "MailProg": f"{folder}/etc/mail",
        "ProctrackType": "proctrack/cgroup" if settings.cgroups else "proctrack/linuxproc",
        "TaskPlugin": "task/cgroup" if settings.cgroups else "task/none",
        "SwitchType": "switch/none",
        "MpiDefault": "none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_CPU_Memory",
        "DefMemPerCPU": "100",
        # Nodes may claim more processors than the machine has.
        "SlurmdParameters": "config_overrides",
        # A node that was away is as good as new when it is back.
        "ReturnToService": "2",
        "SchedulerType": "sched/backfill",
        "SchedulerParameters": SCHEDULER,
        "PreemptType": "preempt/partition_prio",
        "PreemptMode": "REQUEUE",
        "GresTypes": "gpu",
        "Licenses": "matlab:2",
        "MaxJobCount": "100000",
        "MaxArraySize": "10001",
        "MinJobAge": str(settings.min_job_age),
        "KillWait": "5",
        "InactiveLimit": "0",
        "SlurmdTimeout": "60",
        "TCPTimeout": "2",
        **_accounting(folder, settings),
    }
    if _host_is_loopback():
        # Daemons listen on what the host's name resolves to, not on the addresses above.
        lines["CommunicationParameters"] = "NoCtldInAddrAny,NoInAddrAny"
    lines |= dict(row.split("=", 1) for row in settings.set)
    rows = [f"{key}={value}" for key, value in lines.items()]
    return "\n".join([*rows, *_nodes(settings), *_partitions(), ""])


def _accounting(folder: Path, settings: Settings) -> dict[str, str]:
    if not settings.accounting:
        return {
            "AccountingStorageType": "accounting_storage/none",
            "JobAcctGatherType": "jobacct_gather/none",
        }
    return {
        "AccountingStorageType": "accounting_storage/slurmdbd",
        "AccountingStorageHost": "127.0.0.1",
        "AccountingStoragePort": str(settings.ports["slurmdbd"]),
        "AccountingStoragePass": f"{folder}/run/munge.sock",
        "AccountingStorageEnforce": "limits,qos",
        "AccountingStorageTRES": "gres/gpu",
        "AccountingStoreFlags": "job_comment,job_env,job_script",
        "JobAcctGatherType": "jobacct_gather/linux",
        "JobAcctGatherFrequency": "task=1",
    }


def _nodes(settings: Settings) -> list[str]:
    size = f"CPUs={settings.cpus} RealMemory={settings.memory} Gres=gpu:{len(GPUS)}"
    return [
        f"NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port}"
        f" {size} Feature={('even', 'odd')[number % 2]}"
        for number, (name, port) in enumerate(settings.nodes_and_ports.items(), start=1)
    ]


def _partitions() -> list[str]:
    """One to work in, one with a wall time, two that it preempts, and one that is down."""
    return [
        f"PartitionName={name} Nodes=ALL DefaultTime=60 {words}"
        for name, words in (
            ("batch", "Default=YES PriorityTier=10 PreemptMode=OFF"),
            ("short", "MaxTime=5 PriorityTier=10 PreemptMode=OFF"),
            ("requeued", "PriorityTier=1 PreemptMode=REQUEUE"),
            ("killed", "PriorityTier=1 PreemptMode=CANCEL"),
            ("closed", "State=DOWN PriorityTier=10 PreemptMode=OFF"),
        )
    ]


def _slurmdbd_conf(folder: Path, settings: Settings) -> str:
    """Write slurmdbd.conf: no password anywhere, MariaDB knows who asks through its socket."""
    lines = {
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={folder}/run/munge.sock",
        "DbdHost": "localhost",
        "DbdAddr": "127.0.0.1",
        "DbdPort": str(settings.ports["slurmdbd"]),
        "SlurmUser": getpass.getuser(),
        "PidFile": f"{folder}/run/slurmdbd.pid",
        "LogFile": f"{folder}/log/slurmdbd.log",
        "StorageType": "accounting_storage/mysql",
        "StorageHost": "localhost",
        "StorageUser": getpass.getuser(),
        "StorageLoc": DATABASE,
        "CommitDelay": "1",
    }
    if _host_is_loopback():
        lines["CommunicationParameters"] = "NoInAddrAny"
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def _cgroup_conf(settings: Settings) -> str:
    """Write cgroup.conf.

    The plugin is named also where nothing uses it: slurmd loads one in any case, and the one that
    it finds by itself refuses hybrid hosts and needs systemd on others.
    """
    constrain = "yes" if settings.cgroups else "no"
    return (
        "CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\n"
        f"ConstrainRAMSpace={constrain}\nConstrainSwapSpace={constrain}\n"
    )


def _gres_conf(folder: Path) -> str:
    """Write gres.conf: the cards must be devices, and slurmd never opens them."""
    rows = [f"Name=gpu File={folder}/etc/{name}" for name in GPUS]
    return "\n".join(["AutoDetect=off", *rows, ""])


def _mail(folder: Path) -> str:
    """Write the program that keeps what Slurm would mail."""
    return f'#!/bin/sh\nprintf "%s\\n" "$*" >>{folder}/log/mail.log\n'


def _host_is_loopback() -> bool:
    try:
        return socket.gethostbyname(socket.gethostname()).startswith("127.")
    except OSError:
        return False

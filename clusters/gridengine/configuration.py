"""The text of every file that configures a Grid Engine, from the settings. Pure.

Source: bootstrap(5), sge_conf(5), sched_conf(5), queue_conf(5), sge_pe(5), complex(5),
host_conf(5), project(5); tried with Son of Grid Engine 8.1.9.
"""

from collections.abc import Iterator
from pathlib import Path

from clusters.gridengine.settings import Settings
from clusters.settings import ClusterError

# The only host: every name of this machine is folded into it (host_aliases).
HOST = "localhost"
CELL = "default"
LIBRARY = "/usr/lib/gridengine"
PES = {"smp": "$pe_slots", "mpi": "$fill_up"}
PROJECTS = ("lab", "other")
# What can be asked for with `-l`: two on the host, two in all.
CONSUMABLES = {"gpu": HOST, "matlab": "global"}
SHORT_SLOTS = 8


def common(folder: Path, user: str, names: list[str]) -> dict[str, str]:
    """Give the text of each file in SGE_ROOT/CELL/common."""
    return {
        "bootstrap": _lines(
            {
                "admin_user": user,
                "default_domain": "none",
                "ignore_fqdn": "true",
                "spooling_method": "berkeleydb",
                "spooling_lib": "libspoolb",
                "spooling_params": f"{folder}/spool/db",
                "binary_path": LIBRARY,
                "qmaster_spool_dir": f"{folder}/spool/qmaster",
                "security_mode": "none",
                "listener_threads": "2",
                "worker_threads": "2",
                "scheduler_threads": "1",
            }
        ),
        "act_qmaster": f"{HOST}\n",
        "host_aliases": f"{' '.join([HOST, *names])}\n",
    }


def global_conf(folder: Path, settings: Settings) -> dict[str, str]:
    """Give the lines of sge_conf."""
    flush = "flush_time=00:00:15" if settings.slow else "flush_time=00:00:01"
    # Else accounting is written with the rest.
    at_once = "" if settings.slow else " accounting_flush_time=00:00:00"
    return {
        "execd_spool_dir": f"{folder}/spool/execd",
        "mailer": f"{folder}/etc/mail",
        "xterm": "/bin/true",
        "load_sensor": "none",
        "prolog": "none",
        "epilog": "none",
        "shell_start_mode": "unix_behavior",
        "login_shells": "bash,sh,ksh,csh,tcsh",
        # Debian's 1000 refuses root's jobs.
        "min_uid": "0",
        "min_gid": "0",
        "user_lists": "none",
        "xuser_lists": "none",
        "projects": "none",
        "xprojects": "none",
        "enforce_project": "false",
        "enforce_user": "auto",
        "load_report_time": "00:00:40" if settings.slow else "00:00:02",
        "max_unheard": "00:05:00" if settings.slow else "00:01:00",
        "reschedule_unknown": "00:00:00",
        "loglevel": "log_info",
        "administrator_mail": "none",
        "set_token_cmd": "none",
        "pag_cmd": "none",
        "token_extend_time": "none",
        "shepherd_cmd": "none",
        "qmaster_params": "none",
        "execd_params": "INHERIT_ENV=false,ENABLE_ADDGRP_KILL=TRUE",
        "reporting_params": f"accounting=true reporting=false {flush}{at_once} joblog=false "
        "sharelog=00:00:00",
        "finished_jobs": "100",
        "gid_range": "65400-65500",
        **{f"{name}_command": "builtin" for name in ("qlogin", "rlogin", "rsh")},
        **{f"{name}_daemon": "builtin" for name in ("qlogin", "rlogin", "rsh")},
        "max_aj_instances": "2000",
        "max_aj_tasks": "75000",
        "max_u_jobs": "0",
        "max_jobs": "0",
        "auto_user_oticket": "0",
        "auto_user_fshare": "0",
        "auto_user_default_project": "none",
        "auto_user_delete_time": "86400",
        "delegated_file_staging": "false",
        "reprioritize": "0",
        "jsv_url": "none",
        "jsv_allowed_mod": "ac,h,i,e,o,j,M,N,p,w",
    }


def scheduler(settings: Settings) -> dict[str, str]:
    """Give the lines of sched_conf."""
    # At once, at most once a second.
    flush = "0" if settings.slow else "1"
    return {
        "algorithm": "default",
        "schedule_interval": "0:0:15" if settings.slow else "0:0:1",
        "maxujobs": "0",
        "queue_sort_method": "load",
        "job_load_adjustments": "NONE",
        "load_adjustment_decay_time": "0:7:30",
        "load_formula": "np_load_avg",
        "schedd_job_info": "true",
        "flush_submit_sec": flush,
        "flush_finish_sec": flush,
        "params": "none",
        "reprioritize_interval": "0:0:0",
        "halftime": "168",
        "usage_weight_list": "cpu=1.000000,mem=0.000000,io=0.000000",
        "compensation_factor": "5.000000",
        "weight_user": "0.250000",
        "weight_project": "0.250000",
        "weight_department": "0.250000",
        "weight_job": "0.250000",
        "weight_tickets_functional": "0",
        "weight_tickets_share": "0",
        "share_override_tickets": "TRUE",
        "share_functional_shares": "TRUE",
        "max_functional_jobs_to_schedule": "200",
        "report_pjob_tickets": "TRUE",
        "max_pending_tasks_per_job": "50",
        "halflife_decay_list": "none",
        "policy_hierarchy": "OFS",
        "weight_ticket": "0.500000",
        "weight_waiting_time": "0.278000",
        "weight_deadline": "3600000.000000",
        "weight_urgency": "0.500000",
        "weight_priority": "0.000000",
        "max_reservation": "0",
        "default_duration": "INFINITY",
    }


def configurations(folder: Path, settings: Settings) -> dict[str, str]:
    """Give the texts of sge_conf and sched_conf; `--set` has the last word."""
    rows = {"global": global_conf(folder, settings), "scheduler": scheduler(settings)}
    for key, _, value in (line.partition("=") for line in settings.set):
        owner = next((lines for lines in rows.values() if key in lines), None)
        if owner is None:
            raise ClusterError(f"neither sge_conf nor sched_conf has a line {key!r}")
        owner[key] = value
    return {name: _lines(lines) for name, lines in rows.items()}


def complexes() -> dict[str, str]:
    """Give what can be asked for with `-l` beside what Grid Engine brings."""
    return {
        name: _lines(
            {
                "name": name,
                "shortcut": name,
                "type": "INT",
                "relop": "<=",
                "requestable": "YES",
                "consumable": "YES",
                "default": "0",
                "urgency": "0",
            }
        )
        for name in CONSUMABLES
    }


def objects(folder: Path, settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Give kind, name and text of all that qconf is told of, in the order of need."""
    for name, host in CONSUMABLES.items():
        yield "host", host, _lines(_host(host, f"{name}=2"))
    for name, rule in PES.items():
        yield "pe", name, _lines(_pe(name, rule))
    for name in PROJECTS:
        row = {"name": name, "oticket": "0", "fshare": "0", "acl": "NONE", "xacl": "NONE"}
        yield "project", name, _lines(row)
    for name, more in {
        "all.q": {"slots": str(settings.slots)},
        # Who names no queue comes here only when the first is full.
        "short.q": {"seq_no": "1", "slots": str(SHORT_SLOTS), "h_rt": "00:05:00"},
        "closed.q": {"seq_no": "2", "slots": str(SHORT_SLOTS), "initial_state": "disabled"},
    }.items():
        yield "queue", name, _lines({**_queue(folder, name), **more})


def mail(folder: Path) -> str:
    """Write the program that keeps what Grid Engine would mail."""
    return f'#!/bin/sh\n{{ printf "%s\\n" "$*"; cat; }} >>{folder}/log/mail.log\n'


def _host(name: str, values: str) -> dict[str, str]:
    lists = ("user_lists", "xuser_lists", "projects", "xprojects", "usage_scaling")
    return {
        "hostname": name,
        "load_scaling": "NONE",
        "complex_values": values,
        **dict.fromkeys((*lists, "report_variables"), "NONE"),
    }


def _pe(name: str, rule: str) -> dict[str, str]:
    return {
        "pe_name": name,
        "slots": "9999",
        "user_lists": "NONE",
        "xuser_lists": "NONE",
        "start_proc_args": "NONE",
        "stop_proc_args": "NONE",
        "allocation_rule": rule,
        "control_slaves": "TRUE",
        "job_is_first_task": "TRUE",
        "urgency_slots": "min",
        "accounting_summary": "TRUE",
        "qsort_args": "NONE",
    }


def _queue(folder: Path, name: str) -> dict[str, str]:
    limits = ("rt", "cpu", "fsize", "data", "stack", "core", "rss", "vmem")
    methods = ("starter_method", "suspend_method", "resume_method", "terminate_method")
    lists = ("owner_list", "user_lists", "xuser_lists", "subordinate_list", "complex_values")
    return {
        "qname": name,
        "hostlist": HOST,
        "seq_no": "0",
        # A laptop that is busy with something else takes jobs all the same.
        "load_thresholds": "NONE",
        "suspend_thresholds": "NONE",
        "nsuspend": "1",
        "suspend_interval": "00:05:00",
        "priority": "0",
        "min_cpu_interval": "00:05:00",
        "processors": "UNDEFINED",
        "qtype": "BATCH INTERACTIVE",
        "ckpt_list": "NONE",
        "pe_list": " ".join(PES),
        "rerun": "FALSE",
        "slots": "1",
        "tmpdir": f"{folder}/tmp",  # noqa: S108 - a folder of our own
        "shell": "/bin/sh",
        "prolog": "NONE",
        "epilog": "NONE",
        "shell_start_mode": "unix_behavior",
        **dict.fromkeys(methods, "NONE"),
        "notify": "00:00:60",
        **dict.fromkeys(lists, "NONE"),
        "projects": "NONE",
        "xprojects": "NONE",
        "calendar": "NONE",
        "initial_state": "default",
        **{f"{kind}_{limit}": "INFINITY" for limit in limits for kind in "sh"},
    }


def _lines(lines: dict[str, str]) -> str:
    return "".join(f"{key} {value}\n" for key, value in lines.items())

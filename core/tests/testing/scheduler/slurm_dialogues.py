"""Conversations with Slurm: the same words to a real one and to the scripted one.

A line is a command, with two kinds of words in braces: `{A}` is the id that an earlier line
answered, which began with `A =`; `{dir}` is the folder with the scripts. Other lines:

    until WORD: COMMAND     repeat the command until it prints the word
    file NAME               wait until a job has made the file
    daemon NAME VERB        stop, freeze, wake or start slurmctld, slurmdbd or munged

`record_slurm.py` has them with a real Slurm and keeps the answers under `recorded/`.
"""

from typing import Final

SCRIPTS: Final = {
    "ok.sh": b"#!/bin/sh\nexit 0\n",
    "no.sh": b"echo hi\n",
    "empty.sh": b"",
    "white.sh": b"   \n\n",
    "dos.sh": b"#!/bin/sh\r\necho\r\n",
    "nul.sh": b"#!/bin/sh\necho \0\n",
    "bogus.sh": b"#!/bin/sh\n#SBATCH --bogus\n",
    "directives.sh": b"""#!/bin/sh
#SBATCH --job-name=inside -t 5
#SBATCH --hold

exit 0
#SBATCH -t 9
""",
    "stubborn.sh": b"""#!/bin/sh
trap '' TERM
: >trapped.$SLURM_JOB_ID
while :; do sleep 0.1; done
""",
}
_LIST: Final = "%i|%F|%K|%T|%t|%r|%R|%l|%N|%D|%C|%m|%P|%a|%q|%u|%U|%k|%j"
_KEPT: Final = "JobID,JobName,State,ExitCode,DerivedExitCode,Partition,Account,QOS,User,Comment"

DIALOGUES: Final[dict[str, str]] = {
    "refusals": """
        sbatch --foo
        sbatch --no {dir}/ok.sh
        sbatch -J
        sbatch --job-name
        sbatch -y
        sbatch --hold=3 {dir}/ok.sh
        sbatch {dir}/missing.sh
        sbatch -p nope {dir}/ok.sh
        sbatch --qos nope {dir}/ok.sh
        sbatch --account nope {dir}/ok.sh
        sbatch --reservation nope {dir}/ok.sh
        sbatch --gres nope:1 {dir}/ok.sh
        sbatch --gpus 100 {dir}/ok.sh
        sbatch --gpus x {dir}/ok.sh
        sbatch --licenses matlab:9 {dir}/ok.sh
        sbatch --licenses nope:1 {dir}/ok.sh
        sbatch -C nope {dir}/ok.sh
        sbatch -M nope {dir}/ok.sh
        sbatch -t abc {dir}/ok.sh
        sbatch --begin abc {dir}/ok.sh
        sbatch --mem abc {dir}/ok.sh
        sbatch --mem-per-cpu abc {dir}/ok.sh
        sbatch -n 0 {dir}/ok.sh
        sbatch -n abc {dir}/ok.sh
        sbatch -N 0 {dir}/ok.sh
        sbatch -N abc {dir}/ok.sh
        sbatch -N 5-2 {dir}/ok.sh
        sbatch -c 0 {dir}/ok.sh
        sbatch --open-mode foo {dir}/ok.sh
        sbatch --kill-on-invalid-dep foo {dir}/ok.sh
        sbatch --mail-type foo {dir}/ok.sh
        sbatch --signal foo {dir}/ok.sh
        sbatch --signal USR1@x {dir}/ok.sh
        sbatch --exclusive=foo {dir}/ok.sh
        sbatch -d foo {dir}/ok.sh
        sbatch -d afterok:x {dir}/ok.sh
        sbatch --mem 100G {dir}/ok.sh
        sbatch --array 5-2 {dir}/ok.sh
        sbatch --array x {dir}/ok.sh
        sbatch --array 0-20000 {dir}/ok.sh
        sbatch --wrap true {dir}/ok.sh
        sbatch {dir}/no.sh
        sbatch {dir}/empty.sh
        sbatch {dir}/white.sh
        sbatch {dir}/dos.sh
        sbatch {dir}/nul.sh
        sbatch {dir}/bogus.sh
        sbatch --version
        squeue --foo
        squeue -t foo
        squeue -j x
        squeue -j 999
        squeue -j 999_1
        squeue -h -u nouser
        squeue -h -O bogus
        sacct --foo
        sacct -o bogus
        sacct -n -P -j xx
        sacct -n -P -X -j 999
        sacct -n -P -X -S bogus
        sacct -X -s foo
        scancel
        scancel xx
        scancel --foo 1
        scancel -s FOO 1
        scancel 999
        scancel -v 999
        scancel 999_3
        scancel 999_[1-3]
        scancel -s USR1 999
        scancel -n nope
        scancel -u nouser
        scancel -t FOO 1
        scancel 998 xx
        scontrol --foo
        scontrol bogus
        scontrol show bogus
        scontrol show job 999
        scontrol show job 999_1
        scontrol show job xx
        scontrol hold 999
        scontrol release 999
        scontrol requeue 999
        scontrol suspend 999
        scontrol update jobid=999 name=x
        scontrol show hostnames node[1-3,7],other
        scontrol show hostlist a1,a2,a3
        scontrol --version
        scontrol ping
        sinfo --foo
        sinfo -h -o %!
    """,
    "ends": f"""
        A = sbatch --parsable -o /dev/null -J seven --comment a|b --wrap "exit 7"
        B = sbatch --parsable -o /dev/null --wrap "exit 137"
        C = sbatch --parsable -o /dev/null --wrap "kill -9 $$"
        D = sbatch --parsable -o /dev/null --wrap "exit 0"
        E = sbatch --parsable -o /nonexistent/x --wrap "exit 0"
        F = sbatch --parsable -o /dev/null --chdir /nonexistent {{dir}}/ok.sh
        until COMPLETED: squeue -h -t all -j {{F}} -o %T
        until FAILED: squeue -h -t all -j {{E}} -o %T
        squeue -h -t all -j {{A}} -o {_LIST}
        squeue -h -t all -j {{A}} -O exit_code:8,restartcnt:4,derivedec:4,state:12
        squeue -h -t all -j {{B}} -o %i|%T|%r
        squeue -h -t all -j {{B}} -O exit_code:8
        squeue -h -t all -j {{C}} -o %i|%T|%r
        squeue -h -t all -j {{C}} -O exit_code:8
        squeue -h -t all -j {{D}} -o %i|%T|%r|%N
        squeue -h -t all -j {{E}} -o %i|%T|%r
        squeue -h -j {{A}}
        scontrol show job {{A}}
        scontrol -o show job {{D}}
        until seven|FAILED: sacct -n -P -X -j {{A}} -o JobName,State
        until wrap: sacct -n -P -X -j {{E}} -o JobName
        until ok.sh: sacct -n -P -X -j {{F}} -o JobName
        sacct -n -P -D -j {{A}},{{B}},{{C}},{{D}},{{E}} --format={_KEPT}
        sacct -n -P -X -j {{A}} -o jobid,reqmem,alloctres,nnodes,ncpus,timelimit,workdir
        sacct -n -P -X -j {{A}} -o timelimitraw,uid,group,reqcpus,allocnodes,reqtres
        sacct -n -p -X -j {{A}} -o jobid,state
        sacct -X -j {{A}}
        sacct -n -P -X --name=seven -S now-1minutes -o JobID,State
        scancel {{A}}
        scancel -v {{A}}
        scontrol requeue 999,{{A}}
    """,
    "arrays": """
        A = sbatch --parsable -H -o /dev/null -J held --array=0-9:2%2 {dir}/ok.sh
        squeue -h -o %i|%A|%F|%K|%T|%r|%R
        squeue -h -r -o %i|%A|%F|%K|%T|%r|%R
        squeue -h -j {A}_4 -o %i
        squeue -h -r -j {A}_4 -o %i
        squeue -h -r -j {A}_5 -o %i
        squeue -h -O jobid:6,jobarrayid:20,arrayjobid:6,arraytaskid:20
        scontrol show job {A}
        scontrol show job {A}_4
        scancel {A}_4
        squeue -h -o %i
        scancel {A}_[0-2]
        squeue -h -o %i
        scancel {A}_99
        scancel {A}
        squeue -h -t all -j {A} -o %i|%T
        until {A}_[6,8%2]: sacct -n -P -X -j {A} -o JobID
        sacct -n -P -X -D -j {A} -o JobID,JobIDRaw,State,ExitCode
        B = sbatch --parsable -o /dev/null --array=1-3 --wrap "exit $SLURM_ARRAY_TASK_ID"
        until FAILED: squeue -h -r -t all -j {B}_3 -o %T
        until FAILED: squeue -h -r -t all -j {B}_1 -o %T
        squeue -h -t all -j {B}_2 -o %i|%F|%K|%T|%r
        until FAILED: sacct -n -P -X -j {B}_3 -o State
        until wrap|FAILED: sacct -n -P -X -j {B}_2 -o JobName,State
        sacct -n -P -X -j {B}_2 -o JobID,JobName,State,ExitCode
    """,
    "holds": """
        A = sbatch --parsable -H -o /dev/null -t 90 -N 2 -n 3 --ntasks-per-node=2 {dir}/ok.sh a1
        squeue -h -o %i|%T|%r|%Q|%l|%D|%C|%o|%V
        scontrol show job {A}
        scontrol release {A}
        until COMPLETED: squeue -h -t all -j {A} -o %T
        B = sbatch --parsable -o /dev/null --begin=now+1hour {dir}/ok.sh
        until BeginTime: squeue -h -j {B} -o %r
        scontrol uhold {B}
        squeue -h -j {B} -o %T|%r|%Q
        scontrol release {B}
        scontrol hold {B}
        squeue -h -j {B} -o %T|%r|%Q
        scontrol update jobid={B} name=new comment=told timelimit=5
        squeue -h -j {B} -o %j|%k|%l
        scontrol update jobid={B} bogus=3
        scontrol requeue {B}
        scontrol suspend {B}
        scontrol resume {B}
        scontrol hold {B},999
        scontrol release jobname=nope
        scancel {B}
        squeue -h -t all -j {B} -o %T|%r
        scontrol hold {B}
        C = sbatch --parsable {dir}/directives.sh
        squeue -h -j {C} -o %j|%l|%T
        D = sbatch --parsable -t 7 --job-name outside {dir}/directives.sh
        squeue -h -j {D} -o %j|%l|%T
        squeue -h -n outside -o %j
        squeue -h -n nothing,inside -o %j
        scancel -n inside
        squeue -h -o %j
        scancel --me
        squeue -h -o %j
        squeue
    """,
    "steering": """
        A = sbatch --parsable -o /dev/null --wrap "exec sleep 60"
        until RUNNING: squeue -h -j {A} -o %T
        squeue -h -j {A} -o %i|%T|%r|%R
        scontrol suspend {A}
        squeue -h -j {A} -o %T|%r
        scontrol suspend {A}
        scontrol resume {A}
        scontrol resume {A}
        scontrol hold {A}
        squeue -h -j {A} -o %T|%r|%Q
        scontrol release {A}
        until RUNNING: sacct -n -P -X -j {A} -o State
        scontrol requeue {A}
        until PENDING: squeue -h -j {A} -o %T
        squeue -h -j {A} -o %i|%T|%r
        squeue -h -j {A} -O restartcnt:3
        scontrol requeuehold {A}
        until PENDING: sacct -n -P -X -j {A} -o State
        sacct -n -P -X -j {A} -o JobID,State,ExitCode
        sacct -n -P -X -D -j {A} -o JobID,State,ExitCode
        scancel {A}
        B = sbatch --parsable -o /dev/null --no-requeue --wrap "exec sleep 60"
        until RUNNING: squeue -h -j {B} -o %T
        scontrol requeue {B}
        scancel -s USR1 {B}
        squeue -h -j {B} -o %T
        scancel -s USR1 --batch {B}
        until FAILED: squeue -h -t all -j {B} -o %T
        squeue -h -t all -j {B} -o %T|%r
        squeue -h -t all -j {B} -O exit_code:8
        C = sbatch --parsable -o /dev/null --wrap "exec sleep 60"
        until RUNNING: squeue -h -j {C} -o %T
        scancel {C}
        until CANCELLED: squeue -h -t all -j {C} -o %T
        squeue -h -t all -j {C} -o %T|%r
        squeue -h -t all -j {C} -O exit_code:8
        until CANCELLED by 0: sacct -n -P -X -j {C} -o State
        sacct -n -P -D -j {C} -o JobID,State,ExitCode
        D = sbatch --parsable -o /dev/null {dir}/stubborn.sh
        file trapped.{D}
        scontrol requeuehold {D}
        until PENDING: squeue -h -j {D} -o %T
        squeue -h -j {D} -o %T|%r|%Q
        scancel {D}
        E = sbatch --parsable -o /dev/null {dir}/stubborn.sh
        file trapped.{E}
        scancel {E}
        squeue -h -j {E} -o %T
        until CANCELLED: squeue -h -t all -j {E} -o %T
        squeue -h -t all -j {E} -O exit_code:8
    """,
    "dependencies": """
        A = sbatch --parsable -H -o /dev/null {dir}/ok.sh
        B = sbatch --parsable -o /dev/null -d afterok:{A} {dir}/ok.sh
        C = sbatch --parsable -o /dev/null -d afternotok:{A} --kill-on-invalid-dep=yes {dir}/ok.sh
        D = sbatch --parsable -o /dev/null -d afternotok:{A} {dir}/ok.sh
        until Dependency: squeue -h -j {B} -o %r
        squeue -h -j {B} -o %T|%r|%E
        scontrol release {A}
        until COMPLETED: squeue -h -t all -j {B} -o %T
        until CANCELLED: squeue -h -t all -j {C} -o %T
        until DependencyNeverSatisfied: squeue -h -t all -j {D} -o %r
        squeue -h -j {D} -o %T|%r
        scancel {D}
        E = sbatch --parsable -o /dev/null -d afterok:99999 {dir}/ok.sh
        until COMPLETED: squeue -h -t all -j {E} -o %T
    """,
    "site": """
        sinfo
        sinfo -h -o %P|%a|%l|%D|%t|%N|%c|%m|%G|%C|%L|%s
        sinfo -h -o %R|%A|%F|%T
        sinfo -N -h -p batch
        sinfo -h -p nope
        sinfo -h -O partitionname,nodes,statecompact,cpusstate,gres
        scontrol show partition short
        scontrol show partition closed
        scontrol show partition nope
        A = sbatch --parsable -o /dev/null --exclusive --wrap "exec sleep 30"
        until RUNNING: squeue -h -j {A} -o %T
        sinfo -h -o %P|%D|%t|%C
        sinfo -h -t idle -o %D
        scancel {A}
    """,
    "hung": """
        A = sbatch --parsable -o /dev/null --wrap "exec sleep 300"
        until RUNNING: squeue -h -j {A} -o %T
        until RUNNING: sacct -n -P -X -j {A} -o State
        daemon slurmctld freeze
        sbatch --parsable -o /dev/null -J late2 {dir}/ok.sh
        squeue -h
        squeue -h -j {A}
        scontrol show job {A}
        scontrol ping
        scontrol hold {A}
        scontrol requeue {A}
        scontrol update jobid={A} name=x
        scancel {A}
        scancel -s USR1 --batch {A}
        sinfo -h
        scontrol show config
        scontrol show partition
        sacct -n -X -P -j {A} -o State
        daemon slurmctld wake
        until late2: squeue -h -t all -n late2 -o %j
    """,
    "unauthenticated": """
        A = sbatch --parsable -o /dev/null --wrap "exec sleep 300"
        until RUNNING: squeue -h -j {A} -o %T
        daemon munged stop
        sbatch --parsable -o /dev/null {dir}/ok.sh
        squeue -h
        squeue -h -j {A}
        scontrol show job {A}
        scontrol ping
        scontrol hold {A}
        scontrol requeue {A}
        scontrol update jobid={A} name=x
        scancel {A}
        scancel -s USR1 --batch {A}
        sinfo -h
        sacct -n -X -P -j {A} -o State
        scontrol show config
        scontrol show partition
        daemon munged start
        squeue -h -j {A} -o %T
        scancel {A}
    """,
    "dead": """
        A = sbatch --parsable -o /dev/null --wrap "exec sleep 300"
        until RUNNING: squeue -h -j {A} -o %T
        until RUNNING: sacct -n -P -X -j {A} -o State
        daemon slurmctld stop
        sbatch --parsable -o /dev/null {dir}/ok.sh
        squeue -h
        squeue -h -j {A}
        scontrol show job {A}
        scontrol ping
        scontrol hold {A}
        scontrol requeue {A}
        scontrol update jobid={A} name=x
        scancel {A}
        scancel -s USR1 --batch {A}
        sinfo -h
        scontrol show config
        scontrol show partition
        sacct -n -X -P -j {A} -o State
        daemon slurmctld start
        squeue -h -j {A} -o %T
        daemon slurmdbd stop
        sacct -n -X -P -j {A} -o State
        squeue -h -j {A} -o %T
        daemon slurmdbd start
        scancel {A}
    """,
}

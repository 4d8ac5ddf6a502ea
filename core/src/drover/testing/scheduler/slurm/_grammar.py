"""The options that the commands of Slurm know.

Source: sbatch(1), squeue(1), sacct(1), scancel(1), scontrol(1), sinfo(1) of Slurm 22.05.
"""

from typing import Final

from drover.testing.scheduler._options import Grammar

SBATCH: Final = Grammar(
    "sbatch",
    """
    -A|--account= --acctg-freq= -a|--array= --batch= --bb= --bbf= -b|--begin= -D|--chdir=
    --cluster-constraint= -M|--clusters= --comment= -C|--constraint= --container= --contiguous
    -S|--core-spec= --cores-per-socket= --cpu-freq= --cpus-per-gpu= -c|--cpus-per-task=
    --deadline= --delay-boot= -d|--dependency= -m|--distribution= -e|--error= -x|--exclude=
    --exclusive? --export= --export-file= -B|--extra-node-info= --get-user-env? --gid=
    --gpu-bind= --gpu-freq= -G|--gpus= --gpus-per-node= --gpus-per-socket= --gpus-per-task=
    --gres= --gres-flags= -h|--help --hint= -H|--hold --ignore-pbs -i|--input= -J|--job-name=
    --kill-on-invalid-dep= -L|--licenses= --mail-type= --mail-user= --mcs-label= --mem=
    --mem-bind= --mem-per-cpu= --mem-per-gpu= --mincpus= --network= --nice? -k|--no-kill?
    --no-requeue -F|--nodefile= -w|--nodelist= -N|--nodes= -n|--ntasks= --ntasks-per-core=
    --ntasks-per-gpu= --ntasks-per-node= --ntasks-per-socket= --open-mode= -o|--output=
    -O|--overcommit -s|--oversubscribe --parsable -p|--partition= --power= --prefer= --priority=
    --profile= --propagate? -q|--qos= -Q|--quiet --reboot --requeue --reservation= --signal=
    --sockets-per-node= --spread-job --switches= --test-only --thread-spec= --threads-per-core=
    -t|--time= --time-min= --tmp= --uid= --usage --use-min-nodes -v|--verbose -V|--version
    -W|--wait --wait-all-nodes= --wckey= --wrap=
    """,
    mixed=False,
)

SQUEUE: Final = Grammar(
    "squeue",
    """
    -A|--account= -a|--all -r|--array --array-unique -M|--clusters= --federation -o|--format=
    -O|--Format= --help --hide -i|--iterate= -j|--jobs? --json -L|--licenses= --local -l|--long
    --me -n|--name= --noconvert -w|--nodelist= -h|--noheader -p|--partition= -P|--priority
    -q|--qos= -R|--reservation= --sibling -S|--sort= --start -t|--states= -s|--steps? --usage
    -u|--user= -v|--verbose -V|--version --yaml
    """,
)

SACCT: Final = Grammar(
    "sacct",
    """
    -A|--accounts= -L|--allclusters -X|--allocations -a|--allusers -x|--associations=
    -B|--batch-script -b|--brief -M|--clusters= -c|--completion -C|--constraints= --delimiter=
    -D|--duplicates -E|--endtime= --env-vars --federation -f|--file= -F|--flags= -o|--format=
    -g|--group= --gid= -h|--help -e|--helpformat -j|--jobs= --json --local -l|--long --name=
    -i|--nnodes= -I|--ncpus= --noconvert -N|--nodelist= -n|--noheader -p|--parsable -P|--parsable2
    -r|--partition= -q|--qos= -R|--reason= -S|--starttime= -s|--state= -K|--timelimit-max=
    -k|--timelimit-min= -T|--truncate -u|--user= --uid= --units= --usage --use-local-uid
    -v|--verbose -V|--version -W|--wckeys= --whole-hetjob? --yaml
    """,
)

SCANCEL: Final = Grammar(
    "scancel",
    """
    -A|--account= -b|--batch -M|--clusters= --ctld -f|--full --help -H|--hurry -i|--interactive
    -n|--name= --jobname= --me -w|--nodelist= -p|--partition= -q|--qos= -Q|--quiet
    -R|--reservation= --sibling= -s|--signal= -t|--state= --usage -u|--user= -v|--verbose
    -V|--version --wckey=
    """,
)

SCONTROL: Final = Grammar(
    "scontrol",
    """
    -a|--all -M|--clusters= -d|--details --federation -F|--future -h|--help --hide --local
    -o|--oneliner -Q|--quiet --sibling -u|--uid= -v|--verbose -V|--version
    """,
)

SINFO: Final = Grammar(
    "sinfo",
    """
    -a|--all -M|--clusters= -d|--dead -e|--exact --federation -o|--format= -O|--Format= --help
    --hide -i|--iterate= --json -R|--list-reasons --local -l|--long --noconvert -N|--Node
    -n|--nodes= -h|--noheader -p|--partition= -r|--responding -S|--sort= -t|--states=
    -s|--summarize -T|--reservation --usage -v|--verbose -V|--version --yaml
    """,
)

GRAMMARS: Final = {one.command: one for one in (SBATCH, SQUEUE, SACCT, SCANCEL, SCONTROL, SINFO)}
"""All of them, by the command."""

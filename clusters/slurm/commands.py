"""`up` and `down` for Slurm."""

from clusters.commands import Kind
from clusters.slurm.cluster import Cluster
from clusters.slurm.place import Place
from clusters.slurm.settings import parser

SLURM = Kind(
    name="slurm",
    parser=parser,
    place=Place,
    cluster=lambda folder, told: Cluster(folder, Place(folder).load(told)),
    variables="SLURM",
    about_down="Jobs that run are killed, and requeued or failed as when their nodes fail; queue "
    "and accounts are there after the next `up`, unless wiped.",
)

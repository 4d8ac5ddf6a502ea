"""`up` and `down` for Grid Engine."""

from clusters.commands import Kind
from clusters.gridengine.cluster import Cluster
from clusters.gridengine.place import Place
from clusters.gridengine.settings import parser

GRIDENGINE = Kind(
    name="gridengine",
    parser=parser,
    place=Place,
    cluster=lambda folder, told: Cluster(folder, Place(folder).load(told)),
    variables="SGE_",
    about_down="Jobs that run are cut off as if the power failed; the queue and the accounting "
    "file are there again after the next `up`, unless they are wiped.",
)

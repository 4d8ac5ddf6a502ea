"""`up` and `down` for a Ceph that speaks S3."""

from clusters.commands import Kind
from clusters.s3.cluster import Cluster
from clusters.s3.place import Place
from clusters.s3.settings import parser

S3 = Kind(
    name="s3",
    parser=parser,
    place=Place,
    cluster=lambda folder, told: Cluster(folder, Place(folder).load(told)),
    variables="CEPH_",
    about_down="Buckets and users are there again after the next `up`, unless they are wiped.",
)

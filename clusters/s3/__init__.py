"""A real S3 on one machine: a Ceph of three daemons, radosgw in front."""

"""A real Slurm on one machine, from Debian's packages, for tests and for trying things out."""

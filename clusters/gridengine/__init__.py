"""A real Grid Engine on one machine, from Debian's packages, for tests and trying out."""

"""The names that this machine answers to.

Grid Engine compares the name that a client gives itself with the one that its address has, and
refuses it if they differ. All names of this machine are one to it, whatever /etc/hosts says.
"""

import socket

from clusters.gridengine.configuration import HOST
from clusters.settings import ClusterError

LOOPBACK = ("127.0.0.1", "127.0.1.1")


def of_this_machine() -> list[str]:
    """List all names but the one that all are folded into."""
    me = socket.gethostname()
    try:
        addresses = {str(row[4][0]) for row in socket.getaddrinfo(me, None)}
    except socket.gaierror:
        raise ClusterError(
            f"this machine's name has no address: add a line '127.0.0.1 {me}' to /etc/hosts"
        ) from None
    names = {me, socket.getfqdn(), *_names_of(me)}
    for address in addresses.union(LOOPBACK):
        names.update(_names_of(address))
    return sorted(names - {HOST, *addresses})


def _names_of(host: str) -> list[str]:
    try:
        name, others, _ = socket.gethostbyaddr(host)
    except OSError:
        return []
    return [name, *others]

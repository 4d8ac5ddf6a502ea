"""The durable store: one append-only journal in SQLite, and projections of it."""

from drover._store._agenda import agenda
from drover._store._drafts import Draft
from drover._store._filter import JobFilter
from drover._store._host import (
    SystemClock,
    boot_id,
    file_system,
    host_name,
    is_network,
    process_started,
)
from drover._store._ids import new_id
from drover._store._lease import RENEW_S, TTL_S, LeaseHolder
from drover._store._place import NetworkFileSystemWarning, default_home, make_private
from drover._store._reader import JournalEntry, Reader
from drover._store._store import Store
from drover._store._writer import Writer

__all__ = [
    "RENEW_S",
    "TTL_S",
    "Draft",
    "JobFilter",
    "JournalEntry",
    "LeaseHolder",
    "NetworkFileSystemWarning",
    "Reader",
    "Store",
    "SystemClock",
    "Writer",
    "agenda",
    "boot_id",
    "default_home",
    "file_system",
    "host_name",
    "is_network",
    "make_private",
    "new_id",
    "process_started",
]

"""What a backend for a batch system is built of.

`CommandLineBackend` is the backend, and asks a `Scheduler` for all that differs from one system to
the next: pure functions that build commands and read replies.

Below it, `claims` and `records` are the two files by which a job on a compute node and the engine
understand each other without talking; `wrapper` is the program that runs there; `tasks` hands an
attempt to it, `batches` many at once; `processes` tells one process from the next with the same
number; `files` are whole or absent.
"""

from drover.commandline.backend import CommandLineBackend
from drover.commandline.batches import Batch, Batches, TaskSettings
from drover.commandline.claims import Closed, Entry, EntryKind, Owner, Taking
from drover.commandline.files import read_json, write_json
from drover.commandline.listings import Listing
from drover.commandline.places import Place, Places
from drover.commandline.processes import ProcessId
from drover.commandline.records import (
    StartRecord,
    UnrunRecord,
    read_exit_record,
    read_start_record,
    read_unrun_records,
)
from drover.commandline.scheduler import (
    Known,
    Left,
    Recalled,
    Row,
    Scheduler,
    Submission,
)
from drover.commandline.talking import Command, Talk, converse
from drover.commandline.tasks import (
    WRAPPER,
    install_wrapper,
    output_path,
    read_chunk,
    wrapper_argv,
    wrapper_start,
    write_task,
)
from drover.commandline.wrapper import FORWARDED, KILLER

__all__ = [
    "FORWARDED",
    "KILLER",
    "WRAPPER",
    "Batch",
    "Batches",
    "Closed",
    "Command",
    "CommandLineBackend",
    "Entry",
    "EntryKind",
    "Known",
    "Left",
    "Listing",
    "Owner",
    "Place",
    "Places",
    "ProcessId",
    "Recalled",
    "Row",
    "Scheduler",
    "StartRecord",
    "Submission",
    "Taking",
    "Talk",
    "TaskSettings",
    "UnrunRecord",
    "converse",
    "install_wrapper",
    "output_path",
    "read_chunk",
    "read_exit_record",
    "read_json",
    "read_start_record",
    "read_unrun_records",
    "wrapper_argv",
    "wrapper_start",
    "write_json",
    "write_task",
]

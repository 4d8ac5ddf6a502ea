"""What is seen of one attempt. Only what is known: no row proves nothing."""

from attrs import evolve

from drover.commandline import (
    ProcessId,
    StartRecord,
    read_exit_record,
    read_start_record,
    read_unrun_records,
)
from drover.models import EndReport, Observation, Phase, Reason, Source, Started
from drover_template._folder import Folder, Spawned


def observe(folder: Folder, native_id: str | None, at: float) -> tuple[Observation, ...]:
    """Look at an attempt that goes by *native_id*. Empty: it is not listed here."""
    spawned = folder.spawned()
    if spawned is None or native_id not in (None, spawned.native_id):
        return ()
    alive = spawned.process is not None and spawned.process.is_alive
    row = Observation(
        token=folder.token,
        phase=Phase.QUEUED,
        source=Source.QUEUE,
        at=at,
        native_id=spawned.native_id,
        native_state="spawned",
        submitted_at=spawned.at,
    )
    # Asked after the wrapper's life: what it left behind is there by now, or never will be.
    if folder.start() is None:
        return (row if alive else _unrun(folder, row),)
    record = read_start_record(folder.path)
    command = record.process if record else None
    if alive or (command is not None and command.is_alive):
        return (_running(row, record, command),)
    return _ended(folder, spawned, row)


def _unrun(folder: Folder, row: Observation) -> Observation:
    left = [
        record.why
        for record in read_unrun_records(folder.path)
        if record.owner.native_id == row.native_id
    ]
    word = left[0] if left else "its process is gone"
    return evolve(row, phase=Phase.UNRUN, native_state=word)


def _running(
    row: Observation, record: StartRecord | None, command: ProcessId | None
) -> Observation:
    if record is None:
        return row
    phase = Phase.SUSPENDED if command and command.is_stopped else Phase.RUNNING
    return evolve(row, phase=phase, native_state=phase.value, started_at=record.at)


def _ended(folder: Folder, spawned: Spawned, row: Observation) -> tuple[Observation, ...]:
    """Tell the end on two channels: the wrapper's record, and that its process is gone."""
    row = evolve(row, phase=Phase.ENDED, native_state="gone")
    record = read_exit_record(folder.path, token=folder.token)
    if record is None:
        end = EndReport(
            source=Source.QUEUE,
            at=row.at,
            native_id=spawned.native_id,
            reason=Reason.LOST,
            started=Started.UNKNOWN,
            message="its wrapper was killed, so that nobody saw how the command ended",
        )
        return (evolve(row, end=end),)
    reason = Reason.CANCELLED if folder.is_ending() else None
    gone = evolve(record, source=Source.QUEUE, reason=reason or record.reason)
    if record.started is Started.YES:
        started = read_start_record(folder.path)
        row = evolve(row, started_at=started.at if started else None)
    told = evolve(row, source=Source.EXIT_RECORD, end=record)
    return (told, evolve(row, end=gone))

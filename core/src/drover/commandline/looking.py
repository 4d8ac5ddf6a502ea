"""One look at the attempts of a backend: the queue, what left it, and what wrappers recorded."""

import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from attrs import evolve, field, frozen

from drover.commandline import claims
from drover.commandline.files import see_afresh
from drover.commandline.listings import Listing
from drover.commandline.records import read_exit_record, read_start_record, read_unrun_records
from drover.commandline.scheduler import Known, Left, Row, Scheduler
from drover.commandline.talking import converse
from drover.commandline.wrapper import UNRUN_EXIT
from drover.hookspecs import Context
from drover.models import EndReport, Observation, Phase, Reason, Source, Started

UNREAD_S: Final = 3600.0
"""How long an attempt that is not listed counts as there while its files cannot be read: what is
so after that, nobody will ever read."""


@frozen(kw_only=True)
class Memory:
    """What is kept from one look to the next."""

    left_since: dict[str, float] = field(factory=dict[str, float])
    """By token, since when it has been seen to have left, by the monotonic clock."""
    begun: set[tuple[str, str, int | None]] = field(factory=set[tuple[str, str, int | None]])
    """Token, native id and restart of those that were seen to have their claim."""

    def keep_only(self, tokens: AbstractSet[str]) -> None:
        """Forget what is said of others."""
        for token in self.left_since.keys() - tokens:
            del self.left_since[token]
        self.begun.difference_update([row for row in self.begun if row[0] not in tokens])


class Look:
    """Made once per look."""

    def __init__(
        self,
        context: Context,
        scheduler: Scheduler,
        attempts: Sequence[Known],
        memory: "Memory",
    ) -> None:
        self._context = context
        self._scheduler = scheduler
        self._known = attempts
        self._memory = memory
        self._at = context.clock.time()
        self.listing_s = 0.0
        """How long the listing took."""

    def rows(self) -> tuple[list[Observation], bool]:
        """Look.

        Returns:
            What was seen, and whether what is not in it is not listed anywhere.

        Raises:
            UnreachableError, UnreadableReplyError: Nothing was seen.
        """
        begun = time.monotonic()
        listing = Listing(converse(self._context, self._scheduler.queue(self._known)))
        self.listing_s = time.monotonic() - begun
        seen: list[Observation] = []
        left: list[Left] = []
        ends: dict[str, list[Observation]] = {}
        now = self._context.clock.monotonic()
        for known in self._known:
            row = listing.find(known)
            try:
                if row is not None and (row.phase is not Phase.ENDED or row.is_leaving):
                    seen += self._listed(known, row)
                    continue
                since = self._memory.left_since.get(known.token)
                if since is None:
                    # What follows is concluded from what is not there.
                    see_afresh(known.folder)
                    since = self._memory.left_since[known.token] = now
                told = ends[known.token] = end_by_record(known.folder, known.token, self._at)
                left.append(
                    Left(
                        known=known,
                        row=row,
                        has_begun=bool(told) or _has_begun(known),
                        has_record=_tells_of(told, known, row),
                        waited_s=now - since,
                    )
                )
            except OSError as error:
                since = self._memory.left_since.setdefault(known.token, now)
                if row is not None or now - since < UNREAD_S:
                    seen.append(unreadable(known.token, known.native_id, self._at, str(error)))
        if not left:
            return seen, True
        recalled = converse(self._context, self._scheduler.recall(left))
        remembered = Listing(recalled.rows)
        for entry in left:
            known = entry.known
            row = remembered.find(known) or entry.row
            is_final = known.native_id not in recalled.not_yet
            try:
                seen += self._ended(known, row, ends[known.token], is_final=is_final)
            except OSError as error:
                seen.append(unreadable(known.token, known.native_id, self._at, str(error)))
        return seen, recalled.complete

    def _listed(self, known: Known, row: Row) -> list[Observation]:
        """Tell of a job that has not left the queue."""
        if row.is_leaving:
            told = end_by_record(known.folder, known.token, self._at)
            return [*told, observation(known, self._as_begun(known, row), self._at)]
        self._memory.left_since.pop(known.token, None)
        row = self._as_begun(known, self._as_counted(known, row))
        return [observation(known, row, self._at)]

    @staticmethod
    def _as_counted(known: Known, row: Row) -> Row:
        """Count the restarts of a job whose scheduler does not tell them, by its claims."""
        if row.restart is not None or not known.requeue:
            return row
        starts = [
            entry.owner.restart
            for entry in claims.read(known.folder)
            if entry.owner is not None and entry.owner.native_id == known.native_id
        ]
        if not starts:
            return row
        return evolve(row, restart=starts[-1] + (row.phase is Phase.QUEUED))

    def _as_begun(self, known: Known, row: Row) -> Row:
        """Call nothing running before its claim is taken: until then it may be closed.

        Schedulers call a job running while the node still prepares it, and one that waits to be
        run again by the word of the run that is leaving.
        """
        if row.phase not in (Phase.RUNNING, Phase.SUSPENDED):
            return row
        begun = known.token, known.native_id, row.restart
        if begun in self._memory.begun:
            return row
        for entry in claims.read(known.folder):
            owner = entry.owner
            if (
                owner is not None
                and owner.native_id == known.native_id
                and owner.restart >= (row.restart or 0)
            ):
                self._memory.begun.add(begun)
                return row
        return evolve(row, phase=Phase.QUEUED, started_at=None)

    def _ended(
        self, known: Known, row: Row | None, told: list[Observation], *, is_final: bool
    ) -> list[Observation]:
        if row is None or (told and told[-1].phase is Phase.UNRUN):
            return told
        if row.phase is not Phase.ENDED or row.end is None or not is_final:
            # It is listed, and more will be known soon.
            note = observation(known, evolve(row, phase=Phase.UNKNOWN, end=None), self._at)
            return [*told, note]
        end = evolve(row.end, started=self._started(known, row.end))
        if end.exit_code == UNRUN_EXIT:
            # No command's own: those are masked. Its claim may stand, if that was in doubt.
            never = end.started is Started.NO
            end = evolve(
                end,
                exit_code=None,
                reason=Reason.LAUNCH_FAILED,
                started=Started.NO if never else Started.UNKNOWN,
                message="its wrapper ran nothing, and could not leave word why",
            )
        return [*told, observation(known, evolve(row, end=end), self._at)]

    @staticmethod
    def _started(known: Known, end: EndReport) -> Started:
        """Say whether the command was begun, by the claims: the job has ended, none will come."""
        entries = claims.read(known.folder)
        starts = [entry for entry in entries if entry.kind is not claims.EntryKind.CLOSED]
        if not starts:
            return Started.NO
        mine = any(e.owner is not None and e.owner.native_id == known.native_id for e in starts)
        return end.started if mine else Started.UNKNOWN


def _tells_of(told: Sequence[Observation], known: Known, row: Row | None) -> bool:
    """Say whether a wrapper recorded the end of the run that ended last, not of one before it."""
    restart = known.restart
    if row is not None and row.restart is not None:
        restart = row.restart
    return any(entry.end is not None and (entry.restart or 0) == restart for entry in told)


def _has_begun(known: Known) -> bool:
    """Tell whether somebody has taken the claim."""
    return any(e.kind is not claims.EntryKind.CLOSED for e in claims.read(known.folder))


def observation(known: Known, row: Row, at: float) -> Observation:
    """Tell what a row says of an attempt."""
    return Observation(
        token=known.token,
        phase=row.phase,
        source=row.source,
        at=at,
        native_id=known.native_id,
        native_state=row.word,
        submitted_at=row.submitted_at,
        started_at=row.started_at,
        restart=row.restart,
        hold=row.hold,
        suspended_by=row.suspended_by,
        end=row.end if row.phase is Phase.ENDED else None,
    )


def unreadable(token: str, native_id: str | None, at: float, why: str) -> Observation:
    """Tell that nobody can say anything of an attempt now: what lies on the disk decides.

    It harms that one alone. It is neither called running, which its claim has to say, nor missing.
    """
    return Observation(
        token=token,
        phase=Phase.UNKNOWN,
        source=Source.QUEUE,
        at=at,
        native_id=native_id,
        native_state=f"its files cannot be read: {why}",
    )


def end_by_record(folder: Path, token: str, at: float) -> list[Observation]:
    """Tell what wrappers have recorded of an attempt: a start, an end, that nothing was run."""
    starts = [entry for entry in claims.read(folder) if entry.owner is not None]
    if not starts:
        return [
            Observation(
                token=token,
                phase=Phase.UNRUN,
                source=Source.EXIT_RECORD,
                at=at,
                native_id=record.owner.native_id,
                native_state=record.why,
                restart=record.owner.restart or None,
            )
            for record in read_unrun_records(folder)[-1:]
        ]
    owner = starts[-1].owner
    assert owner is not None
    begun = read_start_record(folder, owner.restart)
    record = read_exit_record(folder, owner.restart, token=token)
    row = Observation(
        token=token,
        phase=Phase.RUNNING,
        source=Source.EXIT_RECORD,
        at=at,
        native_id=owner.native_id,
        native_state="",
        started_at=begun.at if begun else None,
        restart=owner.restart,
    )
    if record is None:
        return [row] if begun is not None else []
    is_unstarted = record.started is Started.NO or record.reason is Reason.LAUNCH_FAILED
    return [
        evolve(
            row,
            phase=Phase.ENDED,
            end=record,
            started_at=None if is_unstarted else row.started_at,
        )
    ]

"""What the agent says to each frame of an engine."""

import os
import time
from collections import OrderedDict
from typing import Any, Final

from drover_local._closed import ClosedTokens
from drover_local._desk import Connection, Desk
from drover_local._frames import Frame
from drover_local._job import CANCEL, ENDED, QUEUED, TERMINATE, UNRUN, Job
from drover_local._runner import Runner

# Tokens whose ends are durable already, kept against a submission that was sent long ago by an
# engine thread that hung. More than an engine can have under way.
_RECENT: Final = 8192
DONE, SIGNALLED, TOO_LATE, REFUSED = "done", "signalled", "too_late", "refused"


class Answers:
    """Carry out frames. Each method named like a frame's `op` answers it."""

    desk: Desk

    def __init__(self, runner: Runner, closed: ClosedTokens, keeper: int) -> None:
        self._runner = runner
        self._closed = closed
        self._keeper = keeper
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._sequence = 0
        self._began = time.time()
        self.idle_s = 15.0

    def answer(self, connection: Connection, frame: Frame) -> Frame | None:
        """Do what a frame asks.

        Returns:
            The reply, `None` where none is expected.
        """
        op = frame["op"]
        if op == "status":
            return self._status()
        if op == "hello":
            return self._hello(connection, frame)
        if not connection.is_engine or connection.epoch < self._runner.ledger.epoch:
            return {"stale": self._runner.ledger.epoch}
        if op == "submit":
            return self._submit(connection, frame)
        if op == "acknowledge":
            self._acknowledge(frame["tokens"])
            return None
        if op == "control":
            return self._control(frame["orders"])
        return self._answer_tokens(op, frame["tokens"])

    def _answer_tokens(self, op: str, tokens: list[str]) -> Frame:
        if op == "observe":
            return self._observe(tokens)
        if op == "find":
            return self._find(tokens)
        if op == "close":
            return self._close(tokens)
        if op == "forget":
            self._closed.forget(tokens)
            return {}
        raise ValueError(f"no operation {op!r}")

    def _hello(self, connection: Connection, frame: Frame) -> Frame:
        epoch, ledger = int(frame["epoch"]), self._runner.ledger
        if epoch < ledger.epoch:
            return {"stale": ledger.epoch}
        ledger.epoch = max(ledger.epoch, epoch)
        connection.epoch = epoch
        self._runner.slots.resize(frame["config"])
        self.idle_s = float(frame["config"]["idle_s"])
        self.desk.welcome(connection)
        rows = [job.row() for job in self._runner.jobs.values() if job.phase == ENDED]
        return {"pid": os.getpid(), "rows": rows}

    def _status(self) -> Frame:
        runner = self._runner
        return {
            "pid": os.getpid(),
            "keeper": self._keeper,
            "keeper_alive": os.getppid() == self._keeper,
            "since": self._began,
            "epoch": runner.ledger.epoch,
            "engine": self.desk.engine is not None,
            "queued": len(runner.queue),
            "running": runner.running,
            "known": len(runner.jobs),
            "cpus": [runner.slots.free_cpus, runner.slots.cpus],
            "memory": [runner.slots.free_memory, runner.slots.memory],
            "gpus": [len(runner.slots.free_gpus), len(runner.slots.gpus)],
            "trouble": runner.trouble,
        }

    def _submit(self, connection: Connection, frame: Frame) -> Frame:
        for digest, variables in frame.get("bases", {}).items():
            connection.bases[digest] = {
                os.fsencode(name): os.fsencode(value) for name, value in variables.items()
            }
        missing = {what["base"] for what in frame["jobs"] if what["base"]} - set(connection.bases)
        if missing:
            # Sent over an earlier connection. Nothing is done until they are here.
            return {"missing": sorted(missing)}
        runner = self._runner
        refused: dict[str, str] = {}
        rows: list[list[Any]] = []
        done: list[str] = []
        for what in frame["jobs"]:
            token = what["token"]
            known = runner.jobs.get(token)
            if known is not None:
                if known.phase != QUEUED:
                    rows.append(known.row())
            elif token in self._closed:
                refused[token] = "its token was closed"
            elif token in self._recent:
                done.append(token)
            else:
                self._sequence += 1
                job = Job(what, self._sequence)
                job.environment = connection.bases[what["base"]] if what["base"] else {}
                job.held = what.get("held", False)
                runner.prepare(job)
                runner.jobs[token] = job
                runner.queue.add(job)
        return {"at": time.time(), "refused": refused, "done": done, "rows": rows}

    def _acknowledge(self, tokens: list[str]) -> None:
        for token in tokens:
            self._runner.forget(token)
            self._recent[token] = None
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def _observe(self, tokens: list[str]) -> Frame:
        rows: list[list[Any]] = []
        unknown: list[str] = []
        complete = True
        for token in tokens:
            job = self._runner.jobs.get(token)
            if job is not None:
                rows.append(job.row())
            elif token in self._recent:
                # Its end is durable: the question was on its way already.
                complete = False
            else:
                unknown.append(token)
        # What is not in the ledger was never spawned; closed, it never will be.
        try:
            self._closed.add(unknown)
        except OSError:
            return {"rows": rows, "complete": False}
        now = time.time()
        rows += [[token, UNRUN, now, "", None, 0, None, None] for token in unknown]
        return {"rows": rows, "complete": complete}

    def _find(self, tokens: list[str]) -> Frame:
        jobs = self._runner.jobs
        return {"found": {token: jobs[token].native_id for token in tokens if token in jobs}}

    def _close(self, tokens: list[str]) -> Frame:
        jobs = self._runner.jobs
        taken = {
            token: jobs[token].native_id
            for token in tokens
            if token in jobs and jobs[token].phase != QUEUED
        }
        taken.update({token: "" for token in tokens if token in self._recent})
        try:
            self._shut([token for token in tokens if token not in taken])
        except OSError as exc:
            return {"taken": taken, "unknown": str(exc)}
        return {"taken": taken}

    def _shut(self, tokens: list[str]) -> None:
        """Close tokens that have not started, for good."""
        self._closed.add(tokens)
        for token in tokens:
            job = self._runner.jobs.pop(token, None)
            if job is not None:
                self._runner.queue.remove(job)

    def _control(self, orders: list[Frame]) -> Frame:
        cancelled = [
            order["token"] for order in orders if order["verb"] in {"cancel", "terminate", "kill"}
        ]
        unrun = [token for token in cancelled if self._is_unrun(token)]
        try:
            self._shut(unrun)
        except OSError:
            return {"verdicts": []}
        shut = set(unrun)
        verdicts: list[list[Any]] = []
        for order in orders:
            token = order["token"]
            job = self._runner.jobs.get(token)
            if token in shut:
                verdict, message = DONE, "it had not started"
            elif job is None or job.phase == ENDED or (job.reaped and not job.stopping):
                verdict, message = TOO_LATE, "it has ended"
            elif job.phase == QUEUED:
                verdict, message = self._order_queued(job, order["verb"])
            else:
                verdict, message = self._order_running(job, order)
            verdicts.append([token, order["request_id"], verdict, message])
        return {"verdicts": verdicts}

    def _is_unrun(self, token: str) -> bool:
        job = self._runner.jobs.get(token)
        return job.phase == QUEUED if job is not None else token not in self._recent

    def _order_queued(self, job: Job, verb: str) -> tuple[str, str]:
        if verb not in {"hold", "release"}:
            return REFUSED, "it has not started"
        job.held = verb == "hold"
        self._runner.start_due()
        return DONE, ""

    def _order_running(self, job: Job, order: Frame) -> tuple[str, str]:
        stopper = self._runner.stopper
        verb = order["verb"]
        if verb == "cancel":
            grace = order.get("grace_s")
            stopper.begin(job, CANCEL, job.grace_s if grace is None else float(grace))
        elif verb == "terminate":
            stopper.begin(job, TERMINATE, None)
        elif verb == "kill":
            stopper.begin(job, CANCEL, 0.0)
        elif verb == "suspend":
            self._runner.suspend(job)
        elif verb == "resume":
            self._runner.resume(job)
            return DONE, ""
        elif verb == "signal":
            return DONE, f"{stopper.signal(job, int(order['signal']))} processes signalled"
        else:
            return REFUSED, "it runs already; suspend it, or cancel it"
        return SIGNALLED, ""

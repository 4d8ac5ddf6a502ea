"""What drover asks of plugins.

Every hook's docstring answers seven questions: *When* is it called, *How often*, in which
*Thread*, may it *Block*, which *Answers* count, what does *None* mean, and what becomes of an
*Exception*.

A backend is what the factory in the entry-point group `drover.backends` returns: an object
whose methods carry `hookimpl` and these names. The factory gets one argument, a `Context`, and
must be cheap: no connection, no thread, no process. Those begin in `drover_start`.

The engine calls a backend on two lanes, each one thread: *control* (start, submit, find,
observe, control, close, forget, stop) and *data* (stage_in, stage_out). A call that outlives its
deadline is given up: its answer counts as unknown, and the lane gets a new thread, so a hook may
find a slower predecessor still running. Client processes make a backend object of their own and
call only `drover_capabilities`, `drover_plan`, `drover_read_output` and `drover_diagnose`, without
`drover_start`.

Implementations may name a subset of the arguments. Wrappers (`hookimpl(wrapper=True)`) from the
group `drover.plugins` stand around every backend's hooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from drover.events import Event
    from drover.models import (
        Attempt,
        Capabilities,
        Chunk,
        CloseAnswer,
        Diagnosis,
        Found,
        JobRecord,
        JobSpec,
        Observation,
        Observed,
        Order,
        OrderAnswer,
        Outcome,
        Plan,
        StageAnswer,
        Stream,
        SubmitAnswer,
    )

PROJECT: Final = "drover"
hookspec: Final = pluggy.HookspecMarker(PROJECT)
hookimpl: Final = pluggy.HookimplMarker(PROJECT)


class Clock(Protocol):
    """Tell the time. The engine's clock; virtual in simulations."""

    def time(self) -> float:
        """Give seconds since 1970 UTC; it may jump."""
        ...

    def monotonic(self) -> float:
        """Give seconds that only grow and go on through a process's end, not a reboot."""
        ...


class Completed(Protocol):
    """What an executed command came to."""

    @property
    def argv(self) -> tuple[str, ...]:
        """What was executed."""
        ...

    @property
    def returncode(self) -> int:
        """Its exit code; negative: the signal that ended it."""
        ...

    @property
    def stdout(self) -> str:
        """Decoded as UTF-8, bytes that are not kept as backslash escapes."""
        ...

    @property
    def stderr(self) -> str:
        """Decoded likewise."""
        ...


class Context(Protocol):
    """What a backend is given to work with."""

    @property
    def name(self) -> str:
        """The instance's name, as users write it in `backend=`."""
        ...

    @property
    def home(self) -> Path:
        """The store's folder, private to the user. A backend keeps its own files in
        `home / "backends" / name`, which it makes with mode 0700.
        """
        ...

    @property
    def store_id(self) -> str:
        """Unique on earth; tokens begin with it."""
        ...

    @property
    def epoch(self) -> int:
        """The engine's epoch, larger for every engine of the store; 0 in a client process."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """The table `[backends.NAME]` of the configuration, without `plugin`; `[plugins.NAME]`
        for what comes from the group `drover.plugins`.
        """
        ...

    @property
    def around(self) -> str:
        """For a wrapper: the backend that it stands around. Else empty."""
        ...

    @property
    def clock(self) -> Clock:
        """Tells the time; it is virtual in simulations."""
        ...

    def run(self, argv: Sequence[str], *, input: bytes = b"", timeout_s: float = 30.0) -> Completed:
        """Execute a command without a shell, in a clean environment (`LC_ALL=C`, UTC).

        Raises:
            UnreachableError: It is not there, or did not end in time and was killed.
        """
        ...

    def attempt_dir(self, attempt: Attempt) -> Path:
        """Give the attempt's own folder, made with mode 0700 if it is not there yet."""
        ...

    def report(
        self, observations: Sequence[Observation], on_durable: Callable[[], None] | None = None
    ) -> None:
        """Tell the engine what was seen. From any thread, at any time after `drover_start`.

        Args:
            observations: In the order in which things happened.
            on_durable: Called once the store holds them, from the engine's thread; it must
                not block. Not called if the engine dies first: report again to the next one.
        """
        ...


class BackendHooks:
    """What a backend may implement. Only `drover_capabilities`, `drover_plan`, `drover_submit`,
    `drover_control` and, unless it pushes, `drover_observe` are needed by every one.
    """

    @hookspec(firstresult=True)
    def drover_capabilities(self) -> Capabilities | None:
        """Say what the backend can do.

        When: once after the backend object was made.
        How often: once per object; the answer is kept.
        Thread: any.
        Block: no; it asks nobody.
        Answers: the first.
        None: as if it had none but cancel.
        Exception: the backend counts as broken.
        """

    @hookspec(firstresult=True)
    def drover_plan(self, spec: JobSpec) -> Plan | None:
        """Say per field what would become of it, and show the exact command and script.

        When: before every submission, and for `drover plan`.
        How often: at least once per distinct specification; it changes nothing.
        Thread: any, of a client process.
        Block: briefly; it must not need the outside system to judge fields.
        Answers: the first.
        None: every field that is set counts as refused.
        Exception: the submission fails with PluginError; an InvalidSpecError or
            UnsupportedFieldError reaches the user as it is.
        """

    @hookspec(firstresult=True)
    def drover_start(self) -> bool | None:
        """Connect: start threads, processes, sessions. Adopt what an earlier engine left.

        When: before the first other call of an engine to this object.
        How often: once; again after an exception, with a growing delay.
        Thread: the control lane.
        Block: up to its deadline.
        Answers: the first.
        None: started.
        Exception: the backend counts as unreachable; its jobs stay as they are.
        """

    @hookspec(firstresult=True)
    def drover_stop(self) -> bool | None:
        """Let go: close connections. Jobs go on without the engine.

        When: the engine leaves.
        How often: once, and not at all if the engine is killed.
        Thread: the control lane.
        Block: a few seconds.
        Answers: the first.
        None: stopped.
        Exception: logged.
        """

    @hookspec(firstresult=True)
    def drover_submit(self, attempts: Sequence[Attempt]) -> Sequence[SubmitAnswer] | None:
        """Hand attempts over. Their intent is durable already.

        When: attempts are due and the backend's window has room. Where
            `claim` is SERVER_KEY: also again with the same tokens when an answer got lost.
        How often: in batches of at most `max_batch`.
        Thread: the control lane.
        Block: up to its deadline.
        Answers: the first; one SubmitAnswer per token. A token without one is unknown.
        None: all unknown.
        Exception: all unknown, unless it is UnreachableError raised before anything was
            sent, which the backend says by answering REFUSED with `retryable=True`.
        """

    @hookspec(firstresult=True)
    def drover_find(self, tokens: Sequence[str]) -> Sequence[Found] | None:
        """Search the backend for tokens whose submission got no answer.

        When: after an unknown answer, and after the engine was restarted.
        How often: repeatedly, with a growing delay, until the attempt is found or closed.
        Thread: the control lane.
        Block: up to its deadline.
        Answers: the first. A token that is not in it is not found, which proves nothing.
        None: the search is impossible.
        Exception: says nothing; searched again later.
        """

    @hookspec(firstresult=True)
    def drover_observe(self, attempts: Sequence[Attempt]) -> Observed | None:
        """Look at placed attempts, all in as few queries as possible.

        When: periodically while attempts are placed, and for backends with `push` once
            after `drover_start`.
        How often: every `poll_s` while things change, down to `idle_poll_s`.
        Thread: the control lane.
        Block: up to its deadline.
        Answers: the first.
        None: the query failed; it says nothing about any job.
        Exception: as None. Three in a row are shown by `drover doctor`.
        """

    @hookspec(firstresult=True)
    def drover_control(self, orders: Sequence[Order]) -> Sequence[OrderAnswer] | None:
        """Carry out requests: cancel, hold, suspend, signal...

        When: somebody asked and the attempt is placed.
        How often: once per request; again if the answer was unknown.
        Thread: the control lane.
        Block: up to its deadline; it must not wait for a grace to pass.
        Answers: the first; one OrderAnswer per request. One without is asked again.
        None: all unknown, asked again.
        Exception: as None.
        """

    @hookspec(firstresult=True)
    def drover_close(self, tokens: Sequence[str]) -> Sequence[CloseAnswer] | None:
        """Shut tokens for good: what bears one of them must never start any more.

        When: the engine gives an attempt up; only where `claim` is SERVER_KEY.
        How often: until it is answered. Closing twice gives the same answer.
        Thread: the control lane.
        Block: up to its deadline.
        Answers: the first. CLOSED is a promise that outlives any crash.
        None: all unknown, asked again.
        Exception: as None.
        """

    @hookspec(firstresult=True)
    def drover_read_output(
        self, attempt: Attempt, stream: Stream, offset: int, size: int
    ) -> Chunk | None:
        """Read a piece of a job's output. Reading consumes nothing.

        When: a user reads or follows output.
        How often: as often as asked, also while the job runs and after its end.
        Thread: any, of any process.
        Block: up to a network's delay.
        Answers: the first. At most *size* bytes from *offset*; empty data at the end.
        None: there is no output (yet).
        Exception: reaches the reader as PluginError, a DroverError as it is.
        """

    @hookspec(firstresult=True)
    def drover_stage_in(self, attempts: Sequence[Attempt]) -> Sequence[StageAnswer] | None:
        """Bring the inputs of attempts to where they will run.

        When: before the submission of an attempt with `inputs`; only with `stage_in`.
        How often: once per attempt; again after the engine was restarted, so it must be
            safe to repeat.
        Thread: the data lane.
        Block: up to its deadline.
        Answers: the first; one StageAnswer per attempt. One without has failed.
        None: all failed.
        Exception: all failed (STAGING_FAILED).
        """

    @hookspec(firstresult=True)
    def drover_stage_out(self, attempts: Sequence[Attempt]) -> Sequence[StageAnswer] | None:
        """Bring the outputs of attempts back.

        When: after the end of an attempt that ran, if it has `outputs`; only with `stage_out`.
        How often: as `drover_stage_in`.
        Thread: the data lane.
        Block: up to its deadline.
        Answers: the first; one StageAnswer per attempt. One without has failed.
        None: all failed.
        Exception: all failed; the exit code is kept.
        """

    @hookspec(firstresult=True)
    def drover_forget(self, attempts: Sequence[Attempt]) -> bool | None:
        """Delete what the backend keeps of ended attempts: output, records.

        When: a job is purged or has expired. All its attempts are given, of all but the last no
        native id and no restart.
        How often: once; again if the answer got lost, so it must be safe to repeat.
        Thread: the control lane, or a client process where no engine works.
        Block: up to its deadline.
        Answers: the first.
        None: done.
        Exception: logged; the job is forgotten all the same.
        """

    @hookspec(firstresult=True)
    def drover_diagnose(self) -> Sequence[Diagnosis] | None:
        """Find out what is wrong, in words that a user can act on.

        When: `drover doctor`, `drover backends`.
        How often: when asked.
        Thread: any, of a client process.
        Block: up to a few seconds; every outside call needs a timeout.
        Answers: the first.
        None: nothing to say.
        Exception: shown as an error of this backend.
        """


class LifecycleHooks:
    """What an observer or a policy may implement, from the group `drover.plugins`."""

    @hookspec
    def drover_job_prepare(self, spec: JobSpec, backend: str) -> JobSpec | None:
        """Change a specification before it is stored.

        When: in `submit` and `submit_many`, before the plan is made.
        How often: once per specification.
        Thread: the caller's.
        Block: no.
        Answers: all, one plugin after the other, each given what the one before returned.
        None: unchanged.
        Exception: the submission fails with PluginError.
        """

    @hookspec(firstresult=True)
    def drover_job_should_retry(self, job: JobRecord, outcome: Outcome) -> float | None:
        """Decide whether an attempt that failed is followed by another.

        When: an attempt ended without success, before its end is recorded.
        How often: once per attempt, unless the engine is killed just then.
        Thread: the engine's.
        Block: no.
        Answers: the first: seconds to wait before the next attempt, negative for no retry.
        None: the specification's own `retry` decides.
        Exception: as None, and reported.
        """

    @hookspec
    def drover_job_transition(self, job: JobRecord, event: Event) -> None:
        """Be told of a fact that is now durable.

        When: after the commit that holds it. What clients write themselves (Submitted,
            ControlAsked, RetryAsked, Approved, Resolved) stands in the journal and is not told.
        How often: once per fact, in order per job; a fact can be missed if the engine dies.
        Thread: the engine's.
        Block: no; every job waits meanwhile.
        Answers: none count.
        None: the only answer.
        Exception: reported; nobody else is harmed.
        """

    @hookspec
    def drover_job_ended(self, job: JobRecord) -> None:
        """Be told that a job has come to an end that `wait()` returns.

        When: after the commit that holds it, after `drover_job_transition`.
        How often: once per end; missed if the engine dies just then.
        Thread: the engine's.
        Block: no.
        Answers: none count.
        None: the only answer.
        Exception: reported; nobody else is harmed.
        """

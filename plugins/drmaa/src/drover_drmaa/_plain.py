"""Any DRMAA library: what the specification has, and nothing beside it."""

import shlex
import signal
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from attrs import evolve

from drover.commandline import (
    Batch,
    Command,
    Known,
    Left,
    Recalled,
    Row,
    Submission,
    Talk,
    TaskSettings,
)
from drover.drmaa.vocabulary import NATIVE_SPECIFICATION, SEEN_AS, VERB_OF, JobState
from drover.errors import UnreachableError
from drover.models import (
    Capabilities,
    Claim,
    Diagnosis,
    EndReport,
    FieldPlan,
    JobSpec,
    Order,
    OrderAnswer,
    Phase,
    Plan,
    Reason,
    Source,
    Support,
    Usage,
    Verb,
    Verdict,
    fields_set,
)
from drover_drmaa import _asking, _control, _doctor, _options, _submitting, _template
from drover_drmaa._config import DrmaaConfig
from drover_drmaa._ends import figure
from drover_drmaa._plan import LAUNCHERS, REFUSED

ACTION_OF: Final[Mapping[Verb, str]] = {verb: action for action, verb in VERB_OF.items()}
VERBS: Final = frozenset({*ACTION_OF, Verb.TERMINATE, Verb.KILL, Verb.SIGNAL})
_ASKED_BY: Final = "resources."
_INVALID_JOB: Final = 18
_NO_USAGE: Final = 24
_TOO_LATE: Final = frozenset({_INVALID_JOB})
_INCONSISTENT: Final = frozenset({3, 19, 20, 21, 22})
_COMMUNICATION: Final = frozenset({1, 2, 5, 16})
"""Nobody has heard it, or nobody can say."""


class PlainDrmaa:
    """What every DRMAA library has. It executes nothing itself."""

    element_id = "{JOB_ID}"
    element_index = "0"
    element_pattern = "{id}.{number}"
    restart = "0"

    def __init__(self, name: str, config: DrmaaConfig) -> None:
        self._name = name
        self._config = config
        self.native_id = config.job_id
        self.settings = TaskSettings(
            pass_env=("JOB_ID", "JOB_NAME", "NSLOTS", "PE_HOSTFILE", "SGE_*", "SLURM_*", "PBS_*",
                      "LSB_*", "TMPDIR", "CUDA_VISIBLE_DEVICES"),
            shared_signals=(signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU, signal.SIGTERM),
            listens=True,
            launchers=LAUNCHERS,
        )  # fmt: skip
        self._patience = _control.Patience()

    @property
    def capabilities(self) -> Capabilities:
        """Say what it can do."""
        config = self._config
        return Capabilities(
            claim=Claim.DIRECTORY,
            verbs=VERBS,
            stage_in=True,
            stage_out=True,
            usage=True,
            exit_record=True,
            poll_s=config.poll_s,
            idle_poll_s=config.idle_poll_s,
            missing_grace_s=config.missing_grace_s,
            settle_s=config.settle_s,
            unknown_after_s=config.unknown_after_s,
            cancel_grace_s=_control.GRACE_S,
            environment=tuple(name.rstrip("*") for name in self.settings.pass_env),
            call_s={"drover_submit": 300.0, "drover_observe": 300.0, "drover_control": 300.0},
        )

    @property
    def most_elements(self) -> int:
        """Say that every job is handed over by itself: its number in an array is not known."""
        return 1

    def start(self) -> Talk[None]:
        """Open the session."""
        yield _doctor.hello_command()

    def plan(self, spec: JobSpec, script: bytes) -> Plan:
        """Judge a specification."""
        native = spec.native.get(self._name, {})
        bad = _options.native_problem(self._name, native, self._config)
        made: dict[str, Any] = {}
        if not bad:
            spec = self.as_specified(spec)
            made = self._template(spec, None, script)
        return Plan(
            backend=self._name,
            fields=tuple(self._judge(field, spec, bad) for field in fields_set(spec)),
            command=_template.shown(made, 1),
            script=script.decode("utf-8", "backslashreplace"),
        )

    def as_specified(self, spec: JobSpec) -> JobSpec:
        """Put what attributes say into the fields for it."""
        return _template.as_specified(self._name, spec)

    def _judge(self, field: str, spec: JobSpec, bad: str) -> FieldPlan:
        why = REFUSED.get(field, "")
        native = spec.native.get(self._name, {})
        if field == "native":
            why = bad or _template.host_problem(native)
        elif field == "launcher" and spec.launcher not in LAUNCHERS:
            why = f"launcher {spec.launcher!r} is not known here"
        elif field == "requeue":
            why = "DRMAA does not tell that a job was run again"
        elif field.startswith(_ASKED_BY) and field != "resources.wall_time":
            why = "DRMAA has no word for it; give native option nativeSpecification or jobCategory"
        if why:
            return FieldPlan(field=field, support=Support.REFUSED, note=why)
        if field in ("resources.wall_time", "inputs", "outputs"):
            return FieldPlan(field=field, support=Support.EMULATED, note="drover does it itself")
        return FieldPlan(field=field, support=Support.HONOURED)

    def options(self, spec: JobSpec) -> tuple[str, ...]:
        """Give what makes jobs alike; each is handed over by itself all the same."""
        return (str(spec.native.get(self._name, {}).get("nativeSpecification", "")),)

    def _template(self, spec: JobSpec, batch: Batch | None, script: bytes) -> dict[str, Any]:
        native = spec.native.get(self._name, {})
        made = _template.template(self._name, spec, batch, script, ())
        words = [shlex.join(native.get("options", ())), native.get("nativeSpecification", "")]
        if any(words):
            made[NATIVE_SPECIFICATION] = " ".join(filter(None, words))
        return {**made, **_template.plain_limits(native)}

    def submit(self, batch: Batch, script: bytes) -> Talk[Submission]:
        """Hand one job over."""
        made = self._template(batch.spec, batch, script)
        reply = yield _template.submit_command(made, 1, self._config.submit_timeout_s)
        told = _submitting.read(reply)
        if told.native_id is None:
            return told
        return evolve(told, native_id=_submitting.answer_of(reply)["ids"][0])

    def queue(self, known: Sequence[Known]) -> Talk[Sequence[Row]]:
        """Ask for the state of each job: DRMAA has no listing."""
        ids = sorted({entry.native_id for entry in known if entry.native_id})
        if not ids:
            return []
        reply = yield self._ask("status", ids)
        told = _asking.answers(reply.stdout, "status")
        rows = [row for native_id in ids if (row := _row(native_id, told.get(native_id)))]
        deaf = self._patience.deaf(rows, known)
        if deaf:
            yield self._ask("control", deaf, action=ACTION_OF[Verb.CANCEL])
        return rows

    def _ask(self, what: str, ids: Sequence[str], **more: str) -> Command:
        return _asking.about(what, ids, self._config.command_timeout_s, **more)

    def recall(self, left: Sequence[Left]) -> Talk[Recalled]:
        """Ask how jobs ended. It can be asked once: what gets lost is told by exit records."""
        ids = [entry.known.native_id for entry in left]
        reply = yield self._ask("reap", ids)
        told = _asking.answers(reply.stdout, "ended")
        rows: list[Row] = []
        for entry in left:
            answer = told.get(entry.known.native_id, {})
            if "error" not in answer:
                rows.append(_ended(entry, answer))
            elif answer.get("code") == _NO_USAGE:
                rows.append(_ended(entry, {"deleted": True, "usage": {}}))
        return Recalled(rows=rows)

    def search(self, keys: Mapping[str, str]) -> Talk[Mapping[str, str]]:
        """Find nothing: DRMAA knows no names. Claims tell what has begun."""
        del keys
        yield from ()
        return {}

    def control(
        self, orders: Sequence[Order], known: Mapping[str, Known]
    ) -> Talk[Sequence[OrderAnswer]]:
        """Carry out requests by DRMAA's own actions, and by what the wrapper is told by file."""
        rows = yield from self.queue(list(known.values()))
        by_id = {row.native_id: row for row in rows}
        self._patience.begin(orders)
        answers: list[OrderAnswer] = []
        for order in orders:
            entry = known[order.attempt.token]
            row = by_id.get(entry.native_id)
            answer = _control.at_once(order, row)
            if answer is not None:
                answers.append(answer)
                continue
            assert row is not None
            action = ACTION_OF.get(order.request.verb, ACTION_OF[Verb.CANCEL])
            # What is stopped is ended by DRMAA: how, nobody tells, but it is ended.
            is_stopped = row.phase is Phase.SUSPENDED
            number = None if is_stopped else _control.signal_of(order, row)
            told: Any = ""
            if number is not None:
                words = [(entry, number, _control.why_of(order))]
                yield _control.told(words, self._config.command_timeout_s)
            else:
                reply = yield self._ask("control", [entry.native_id], action=action)
                told = _asking.answers(reply.stdout, "done").get(entry.native_id)
            done = _verdict(order, told)
            if done is not None:
                answers.append(done)
        return answers

    def diagnose(self) -> Talk[Sequence[Diagnosis]]:
        """Find out what is wrong."""
        return (yield from _doctor.talk(self._config))


def _code(told: object) -> object:
    """Give the number of an error, `None` if it is none."""
    return cast("Mapping[str, object]", told).get("code") if isinstance(told, Mapping) else None


def _row(native_id: str, word: Any) -> Row | None:
    if not isinstance(word, str):
        if _code(word) == _INVALID_JOB:
            return None
        raise UnreachableError("drmaa", f"it does not tell the state of job {native_id}: {word}")
    seen = SEEN_AS[word]
    return Row(
        native_id=native_id,
        key="",
        phase=seen.phase,
        source=Source.QUEUE,
        word=word,
        hold=seen.hold,
        suspended_by=seen.suspended_by,
    )


def _ended(entry: Left, told: Mapping[str, Any]) -> Row:
    usage = told.get("usage", {})
    number = str(told.get("signal", ""))
    is_signal = bool(told.get("signalled")) and number in signal.Signals.__members__
    exited = bool(told.get("exited"))
    reason, why = None, ""
    if told.get("deleted") or (told.get("aborted") and entry.has_begun):
        reason, why = Reason.CANCELLED, "it was ended from outside, by DRMAA's word"
    elif told.get("aborted"):
        reason, why = Reason.LAUNCH_FAILED, "it was never begun, by DRMAA's word"
    return Row(
        native_id=entry.known.native_id,
        key="",
        phase=Phase.ENDED,
        source=Source.QUEUE,
        word=JobState.DONE if exited else JobState.FAILED,
        end=EndReport(
            source=Source.QUEUE,
            at=figure(usage, "end_time") or 0.0,
            exit_code=int(told.get("code", 0)) if exited else None,
            signal=int(signal.Signals[number]) if is_signal else None,
            core_dumped=bool(told.get("core")),
            reason=reason,
            native_id=entry.known.native_id,
            usage=Usage(
                cpu_user_s=figure(usage, "ru_utime"),
                cpu_system_s=figure(usage, "ru_stime"),
                wall_s=figure(usage, "ru_wallclock"),
            ),
            message=why,
        ),
    )


def _verdict(order: Order, told: Any) -> OrderAnswer | None:
    if not isinstance(told, Mapping):
        ends = order.request.verb.ends_job
        return _control.answer(order, Verdict.SIGNALLED if ends else Verdict.DONE, "")
    failure = cast("Mapping[str, object]", told)
    code, text = _code(failure), str(failure.get("text", ""))
    if code in _COMMUNICATION:
        return None
    verdict = Verdict.TOO_LATE if code in _TOO_LATE else Verdict.REFUSED
    return _control.answer(order, verdict, text)

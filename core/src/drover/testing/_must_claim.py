"""Checks that every backend must pass: identity, search, and the claim. Without an engine."""

import time

import pytest
from attrs import evolve

from drover.commandline import claims
from drover.models import (
    Answer,
    Attempt,
    Capabilities,
    Claim,
    Closing,
    Phase,
    Started,
    SubmitAnswer,
    Verb,
    Verdict,
)
from drover.testing._checks import POLL_S, Checks
from drover.testing._harness import BackendHarness
from drover.testing._witness import shell

_SETTLED = frozenset({Verdict.DONE, Verdict.TOO_LATE, Verdict.REFUSED})


class ClaimChecks(Checks):
    """The hooks themselves, called as an engine calls them whose memory failed."""

    @property
    def harness(self) -> BackendHarness:
        """Give the backend without an engine."""
        return self.stage.harness

    def marked(self, stem: str, *command: str, **fields: object) -> tuple[Attempt, str]:
        """Make an attempt whose starts are marked."""
        name = self.unique(stem)
        return self.harness.attempt(self.stage.witness.argv(name, command), **fields), name

    def accept(self, attempt: Attempt) -> SubmitAnswer:
        """Submit an attempt that must be accepted."""
        (answer,) = self.harness.submit(attempt)
        assert answer.answer is Answer.ACCEPTED, answer
        assert answer.native_id, answer
        return answer

    def phase(self, attempt: Attempt, phase: Phase) -> None:
        """Wait until the attempt is seen in a phase."""
        self.harness.until(attempt, phase, self.timeout_s)

    def command_runs(self, attempt: Attempt, name: str) -> None:
        """Wait until the attempt is seen running, and its command is: a claim comes before it."""
        self.phase(attempt, Phase.RUNNING)
        end = time.monotonic() + self.timeout_s
        while self.native_state(name) != "alive":
            assert time.monotonic() < end, f"{name} does not run, and is told to"
            time.sleep(POLL_S)

    def end_attempt(self, attempt: Attempt) -> None:
        """Kill an attempt and wait for its end."""
        self.harness.control(attempt, Verb.CANCEL, grace_s=0.2)
        self.phase(attempt, Phase.ENDED)

    def test_capabilities(self) -> None:
        """What is declared must make sense."""
        declared = self.capabilities

        assert isinstance(declared, Capabilities)
        assert Verb.CANCEL in declared.verbs
        assert declared.max_batch >= 1
        assert declared.push or declared.poll_s > 0
        checks = {name for name in dir(self) if name.startswith("test_")}
        assert declared.known_bad <= checks, "known_bad names a check that is not there"

    def test_submission_is_answered(self) -> None:
        """Every token gets its own answer, in one batch."""
        attempts = [self.marked("batch", *shell(f"exit {code}"))[0] for code in (0, 4)]
        answers = {answer.token: answer for answer in self.harness.submit(*attempts)}

        assert set(answers) == {attempt.token for attempt in attempts}
        assert len({answer.native_id for answer in answers.values()}) == 2
        for attempt, code in zip(attempts, (0, 4), strict=True):
            row = self.harness.until(attempt, Phase.ENDED, self.timeout_s)
            assert row.end is not None
            ends = [seen.end for seen in self.harness.seen(attempt) if seen.end]
            assert code in [end.exit_code for end in ends], ends

    def test_find(self) -> None:
        """What was accepted is found by its token, and nothing else is."""
        self.need(self.capabilities.find, "find")
        attempt, _ = self.marked("find", "/bin/sleep", "600")
        answer = self.accept(attempt)
        self.phase(attempt, Phase.RUNNING)

        found = self.harness.find("no-such-token", attempt.token)
        assert [(row.token, row.native_id) for row in found] == [(attempt.token, answer.native_id)]
        self.end_attempt(attempt)

    def test_unknown_attempt(self) -> None:
        """Of what a backend has never heard it tells no end, and harms nobody."""
        stranger = evolve(self.marked("stranger", "true")[0], native_id="no-such-id")
        bystander, name = self.marked("bystander", "/bin/sleep", "600")
        self.accept(bystander)
        self.command_runs(bystander, name)

        told = self.harness.seen(stranger)
        assert not [row for row in told if row.end and row.end.started is Started.YES], told
        assert not [row for row in told if row.phase is Phase.RUNNING], told
        answer = self.harness.control(stranger, Verb.CANCEL)
        assert answer is not None
        assert answer.verdict in _SETTLED, answer
        assert self.native_state(name) == "alive"
        self.end_attempt(bystander)

    def test_identity(self) -> None:
        """A native id is not an identity: it may have been handed out again."""
        owner, name = self.marked("owner", "/bin/sleep", "600")
        self.accept(owner)
        self.command_runs(owner, name)
        mine = self.harness.placed(owner)
        other = evolve(mine, job_id=f"{mine.job_id}x", token=f"{mine.token}x")

        told = self.harness.seen(other)
        assert not [row for row in told if row.phase in (Phase.RUNNING, Phase.QUEUED)], told
        self.harness.control(other, Verb.KILL)
        self.harness.control(other, Verb.CANCEL, grace_s=0.0)
        assert self.native_state(name) == "alive"
        assert self.harness.seen(owner)[-1].phase is Phase.RUNNING
        self.end_attempt(owner)
        assert self.native_state(name) == "gone"

    def test_claim_repeated_submission(self) -> None:
        """The same token, submitted again after its answer got lost, runs once."""
        self.need(self.capabilities.claim is not Claim.NONE, "a claim")
        attempt, name = self.marked("repeat", *shell("exit 5"))
        for _ in range(3):
            self.harness.submit(attempt)
        self.phase(attempt, Phase.ENDED)
        self.harness.submit(attempt)
        probe, probe_name = self.marked("probe", *shell("true"))
        self.accept(probe)
        # What was submitted later has ended, so that a second run would have begun.
        self.phase(probe, Phase.ENDED)

        assert len(self.stage.witness.starts(probe_name)) == 1
        assert len(self.stage.witness.starts(name)) == 1

    def test_claim_closed_token(self) -> None:
        """What bears a closed token never starts, even if it is submitted afterwards."""
        attempt, name = self.marked("closed", *shell("true"))
        self.close(attempt)
        answers = self.harness.submit(attempt)
        probe, _ = self.marked("probe", *shell("true"))
        self.accept(probe)
        self.phase(probe, Phase.ENDED)
        if self.capabilities.claim is Claim.DIRECTORY and answers[0].answer is Answer.ACCEPTED:
            self.phase(attempt, Phase.UNRUN)

        assert self.stage.witness.starts(name) == []

    def close(self, attempt: Attempt) -> None:
        """Close an attempt that was never submitted, by whichever claim the backend has."""
        match self.capabilities.claim:
            case Claim.SERVER_KEY:
                for _ in range(2):
                    (answer,) = self.harness.close(attempt.token)
                    assert answer.closing is Closing.CLOSED, answer
            case Claim.DIRECTORY:
                folder = self.harness.context.attempt_dir(attempt)
                assert claims.close(folder, "check").closing is Closing.CLOSED
            case Claim.NONE:
                pytest.skip(f"{self.backend_name} does not declare a claim")

    def test_claim_closing_a_running_one(self) -> None:
        """A token that runs cannot be closed, and the answer names who has it."""
        self.need(self.capabilities.claim is not Claim.NONE, "a claim")
        attempt, name = self.marked("taken", "/bin/sleep", "600")
        answer = self.accept(attempt)
        self.command_runs(attempt, name)

        if self.capabilities.claim is Claim.SERVER_KEY:
            (closed,) = self.harness.close(attempt.token)
            told = (closed.closing, closed.native_id)
        else:
            by = claims.close(self.harness.context.attempt_dir(attempt), "check")
            told = (by.closing, by.owner.native_id if by.owner else None)
        assert told == (Closing.TAKEN, answer.native_id)
        assert self.native_state(name) == "alive"
        self.end_attempt(attempt)

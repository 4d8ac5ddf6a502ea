"""What a seed decides: the kind of backend, the weather, the dangers and what clients do."""

import random
from collections.abc import Mapping
from typing import Any, Final

from attrs import evolve, field, fields, frozen

from drover.models import (
    Array,
    Capabilities,
    Claim,
    Condition,
    JobSpec,
    Resources,
    Retry,
    Transfer,
    Verb,
)
from drover.testing._driver import NAME
from drover.testing._simulated import Faults, default_capabilities
from drover.testing.simulation._danger import Danger
from drover.testing.simulation._lane import CALL_S, Slowness

ROUGH: Final = Faults(
    lag_s=5.0,
    refuse=0.5,
    lose_answer=0.4,
    lose_request=0.4,
    accept_late=0.7,
    late_s=60.0,
    drop_row=0.2,
    repeat_row=0.2,
    stale_row=0.2,
    unknown_word=0.2,
    foreign_row=0.5,
    drop_record=0.3,
    unreachable=0.2,
    crash=0.1,
    no_answer=0.1,
)
"""The worst weather. A row that is dropped one time in five is not dropped for a whole grace."""

BATCH: Final = "batch system"
KINDS: Final[Mapping[str, tuple[Claim, bool]]] = {
    "server with keys": (Claim.SERVER_KEY, False),
    "server that pushes": (Claim.SERVER_KEY, True),
    BATCH: (Claim.DIRECTORY, False),
    "no claim": (Claim.NONE, False),
}
"""Each with its claim, and whether it pushes."""

_HOOKS: Final = (
    "drover_start", "drover_submit", "drover_find", "drover_observe", "drover_control",
    "drover_close", "drover_stage_in", "drover_stage_out", "drover_forget",
)  # fmt: skip
ASKED: Final = (
    Verb.CANCEL, Verb.CANCEL, Verb.CANCEL, Verb.KILL, Verb.TERMINATE, Verb.HOLD, Verb.RELEASE,
    Verb.SUSPEND, Verb.RESUME, Verb.RETRY, Verb.RETRY,
)  # fmt: skip


@frozen(kw_only=True)
class Submit:
    """A client hands in jobs."""

    spec: JobSpec
    key: str | None = None
    waits_for: Condition | None = None
    """After a job that is there already, if one is."""


@frozen(kw_only=True)
class Ask:
    """A client asks something of a job that is there, whatever it is."""

    verb: Verb


@frozen(kw_only=True)
class Requeue:
    """The scheduler loses a node, and runs a job again that allows it."""


@frozen(kw_only=True)
class Forget:
    """The outside system loses every memory of a job."""


@frozen(kw_only=True)
class Weather:
    """Things go wrong from now on, or nothing."""

    is_rough: bool


Action = Submit | Ask | Requeue | Forget | Weather


@frozen(kw_only=True)
class Setting:
    """Everything that is known before the run begins."""

    kind: str
    claim: Claim
    capabilities: Capabilities
    slots: int | None
    keep_ended_s: float
    rough: Faults
    danger: Danger
    slowness: Slowness
    idle_s: float
    world_seed: int
    plan: tuple[tuple[float, Action], ...] = field(repr=False)
    """What happens when, in seconds from the beginning."""

    @classmethod
    def drawn(cls, chance: random.Random) -> "Setting":
        """Draw one."""
        kind = chance.choice([*KINDS, BATCH])  # It has most to go wrong.
        claim, push = KINDS[kind]
        capabilities = evolve(
            default_capabilities(claim),
            push=push,
            window=chance.choice((None, None, 1, 2)),
            max_batch=chance.choice((1, 2, 1000)),
            unknown_after_s=chance.choice((3.0, 20.0)),
            call_s=dict.fromkeys(_HOOKS, CALL_S),
        )
        # One that pushes is asked for nothing: what it forgets nobody would ever learn.
        forgets = not push and chance.random() < 0.2
        return cls(
            kind=kind,
            claim=claim,
            capabilities=capabilities,
            slots=chance.choice((None, None, 1, 2)),
            keep_ended_s=chance.uniform(30.0, 90.0) if forgets else float("inf"),
            rough=_weather(chance),
            danger=Danger.drawn(chance),
            slowness=Slowness(
                slow=chance.choice((0.0, 0.0, 0.2)), hang=chance.choice((0.0, 0.1, 0.4))
            ),
            idle_s=chance.uniform(0.0, 10.0),
            world_seed=chance.getrandbits(32),
            plan=_plan(chance, claim, push=push),
        )


def _weather(chance: random.Random) -> Faults:
    """Let each fault be there or not, at half its worst or in full."""
    levels: dict[str, float] = {}
    for entry in fields(Faults):
        worst = float(getattr(ROUGH, entry.name))
        steady = entry.name in ("lag_s", "late_s", "accept_late")
        levels[entry.name] = worst if steady else worst * chance.choice((0.0, 0.0, 0.5, 1.0))
    return Faults(**levels)


def _plan(chance: random.Random, claim: Claim, *, push: bool) -> tuple[tuple[float, Action], ...]:
    span = chance.choice((5.0, 30.0, 60.0))
    actions: list[Action] = []
    for number in range(chance.choice((1, 2, 3, 4, 6))):
        submit = _submit(chance, claim, number)
        actions.append(submit)
        if submit.key is not None and chance.random() < 0.7:
            actions.append(submit)
    actions += [Ask(verb=chance.choice(ASKED)) for _ in range(chance.choice((0, 1, 2, 4)))]
    actions += [Weather(is_rough=chance.random() < 0.7) for _ in range(chance.choice((0, 1, 2)))]
    if claim is Claim.DIRECTORY:
        actions += [Requeue()] * chance.choice((0, 1, 2))
    if claim is not Claim.SERVER_KEY and not push and chance.random() < 0.1:
        actions.append(Forget())
    timed = [(chance.uniform(0.0, span), action) for action in actions]
    first = (0.0, Weather(is_rough=chance.random() < 0.7))
    return (first, *sorted(timed, key=lambda entry: entry[0]))


def _submit(chance: random.Random, claim: Claim, number: int) -> Submit:
    now_and_then = chance.random() < 0.3
    options: dict[str, Any] = {
        "exit_code": chance.choice((0, 0, 0, 3)),
        "run_s": chance.choice((0.0, chance.uniform(0.0, 10.0), chance.uniform(0.0, 40.0))),
        "queue_s": chance.choice((0.0, chance.uniform(0.0, 5.0), chance.uniform(0.0, 20.0))),
        "stubborn": chance.random() < 0.3,
    }
    array = chance.random() < 0.15
    spec = JobSpec(
        argv=("x",),
        inherit_env=False,
        native={NAME: options},
        retry=Retry(attempts=chance.choice((1, 1, 2, 3)), backoff_s=chance.choice((0.0, 5.0))),
        hold=chance.random() < 0.1,
        requeue=claim is not Claim.SERVER_KEY and chance.random() < 0.4,
        resources=Resources(priority=chance.choice((0, 0, 5))),
        inputs=[Transfer(source="a", target="b")] if chance.random() < 0.1 else (),
        outputs=[Transfer(source="c", target="d")] if chance.random() < 0.1 else (),
        array=Array(indices=3, max_running=chance.choice((None, 1, 2))) if array else None,
    )
    return Submit(
        spec=spec,
        key=f"key-{number}" if chance.random() < 0.2 else None,
        waits_for=chance.choice(list(Condition)) if now_and_then else None,
    )


__all__ = ["ASKED", "KINDS", "Action", "Ask", "Forget", "Requeue", "Setting", "Submit", "Weather"]

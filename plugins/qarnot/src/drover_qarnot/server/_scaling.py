"""Policies by which pools grow and shrink."""

import math
from typing import Any, Final, cast

from attrs import asdict, frozen

from drover_qarnot.server._errors import ApiError, invalid

Json = dict[str, Any]
MOST: Final = 10**6
_NUMBERS: Final = frozenset(
    {
        "minTotalSlots", "maxTotalSlots", "minIdleSlots", "minIdleTimeSeconds", "resizePeriod",
        "rampResizeFactor", "slotsCount", "slotsPerNode", "scalingFactor",
    }
)  # fmt: skip
POLICY_IDLE_S: Final = 90.0
"""Of a policy that does not say how long slots may be idle, as in the real service."""


@frozen(kw_only=True)
class Bounds:
    """Between what, and how fast, a pool grows and shrinks."""

    least: int
    most: int
    idle: int
    """Slots that stay free for tasks to come."""
    idle_s: float
    """How long slots that nobody needs are kept."""
    period_s: float = 0.0
    ramp: float = 1.0
    """What part of *most* may be added in a period."""


@frozen(kw_only=True)
class Size:
    """How large a pool is, and what that was decided by."""

    slots: int
    period_at: float = 0.0
    """When the period began in which the pool last grew."""
    grown: int = 0
    """Slots added in it."""
    idle_at: float | None = None
    """Since when there are slots that nobody needs."""

    def write(self) -> Json:
        """Write it as the database has it."""
        return asdict(self)


def bounds_of_elastic(given: Json) -> Bounds:
    """Read the older of the two forms, with the SDK's own defaults."""
    return Bounds(
        least=_whole(given, "minTotalSlots", 0),
        most=_whole(given, "maxTotalSlots", 1),
        idle=_whole(given, "minIdleSlots", 0),
        idle_s=float(given.get("minIdleTimeSeconds") or 0.0),
        period_s=float(given.get("resizePeriod") or 0.0),
        ramp=min(1.0, float(given.get("rampResizeFactor") or 1.0)),
    )


def bounds_of_policy(given: Json) -> Bounds:
    """Read a policy that follows the queue of tasks."""
    idle_s = given.get("minIdleTimeSeconds")
    return Bounds(
        least=_whole(given, "minTotalSlots", 0),
        most=_whole(given, "maxTotalSlots", 1),
        idle=_whole(given, "minIdleSlots", 0),
        idle_s=POLICY_IDLE_S if idle_s is None else float(idle_s),
    )


def _whole(given: Json, name: str, default: int) -> int:
    value = given.get(name)
    return default if value is None else max(0, int(value))


def resized(known: Json | None, bounds: Bounds, queued: int, now: float) -> Size:
    """Decide how large a pool is now.

    Args:
        known: What was decided before; `None`: nothing.
        bounds: What its user says.
        queued: Instances of its tasks that have not ended, whether they run or wait.
        now: Seconds since 1970.
    """
    before = Size(**known) if known else Size(slots=bounds.least)
    slots = max(bounds.least, min(bounds.most, before.slots))
    needed = max(bounds.least, min(bounds.most, queued + bounds.idle))
    period_at, grown = before.period_at, before.grown
    if now - period_at >= bounds.period_s:
        period_at, grown = now, 0
    if needed > slots:
        more = min(needed - slots, max(1, math.ceil(bounds.ramp * bounds.most)) - grown)
        if more <= 0:
            return Size(slots=slots, period_at=before.period_at, grown=before.grown)
        return Size(slots=slots + more, period_at=period_at, grown=grown + more)
    idle_at = (before.idle_at or now) if needed < slots else None
    if idle_at is not None and now - idle_at >= bounds.idle_s:
        slots, idle_at = needed, None
    return Size(slots=slots, period_at=before.period_at, grown=before.grown, idle_at=idle_at)


def check_sizes(field: str, given: Json | None) -> None:
    """Refuse numbers of slots and seconds that are none.

    Raises:
        ApiError: 400.
    """
    for name in sorted(_NUMBERS & set(given or ())):
        value: object = (given or {})[name]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and 0 <= cast("float", value) <= MOST):
            raise invalid(field, f"{name} is a number, 0 to {MOST}")


def check_scaling(scaling: Json | None) -> None:
    """Refuse policies of a kind that nobody knows: the SDK could not read them back.

    Raises:
        ApiError: 400.
    """
    names = list[str]()
    given: object = (scaling or {}).get("policies") or []
    if not isinstance(given, list):
        raise invalid("policies", "a list is needed")
    for index, entry in enumerate(cast("list[object]", given)):
        policy = cast("Json", entry) if isinstance(entry, dict) else {}
        if policy.get("type") not in {"Fixed", "ManagedTasksQueue"}:
            why = "The input was not valid."
            raise ApiError(400, why, {f"policies[{index}]": [why]})
        check_sizes("policies", policy)
        names += [str(policy["name"])] if policy.get("name") else []
    if len(set(names)) < len(names):
        raise invalid("policies", "names are unique")

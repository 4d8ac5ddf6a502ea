"""Policies by which pools grow and shrink."""

from typing import Any, cast

from drover_qarnot.server._errors import ApiError, invalid

Json = dict[str, Any]


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
        names += [str(policy["name"])] if policy.get("name") else []
    if len(set(names)) < len(names):
        raise invalid("policies", "names are unique")

"""Options that overrule what a profile says: its constants, and its rules for the network."""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from drover_qarnot._official import official

ACCESS: Final = ("ReadOnly", "ReadWrite")
PROTOCOLS: Final = ("tcp", "udp")
_CONSTANT: Final[Mapping[str, str]] = {"value": "text", "export": "flag", "access": "access"}
_RULE: Final[Mapping[str, str]] = {
    "inbound": "flag", "proto": "protocol", "name": "text", "application_type": "text",
    "port": "port", "to": "text", "public_host": "text", "public_port": "port",
    "forwarder": "text", "priority": "text", "description": "text",
    "to_qbox": "flag", "to_payload": "flag",
}  # fmt: skip
_MEANINGS: Final[Mapping[str, str]] = {
    "text": "a text",
    "flag": "true or false",
    "port": "a port, or ports, such as 22 or '8000-8010'",
    "access": f"one of {', '.join(ACCESS)}",
    "protocol": f"one of {', '.join(PROTOCOLS)}",
}
_PORT: Final = re.compile(r"\d{1,5}(-\d{1,5})?")


def forced_problem(options: Mapping[str, Any]) -> str:
    """Say what is wrong with the first bad constant or rule; "" if all are good."""
    for name, given in options.get("forced_constants", {}).items():
        table = _constant(given)
        why = _table_problem(table, _CONSTANT)
        if not why and "value" not in table:
            why = "it has no 'value'"
        if why:
            return f"forced constant {name!r}: {why}"
    for number, rule in enumerate(options.get("forced_network_rules", ()), start=1):
        if not isinstance(rule, Mapping):
            return f"forced network rule {number} is a mapping with {', '.join(_RULE)}"
        found = cast("Mapping[str, Any]", rule)
        why = _table_problem(found, _RULE)
        missing = next((key for key in ("inbound", "proto") if key not in found), None)
        if not why and missing:
            why = f"it has no {missing!r}"
        if why:
            return f"forced network rule {number}: {why}"
    return ""


def _constant(given: object) -> Mapping[str, Any]:
    """Write a constant of which only the value was given in full."""
    return cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else {"value": given}


def _table_problem(table: Mapping[str, Any], known: Mapping[str, str]) -> str:
    for key, value in table.items():
        if key not in known:
            return f"no key {key!r}; there are {', '.join(known)}"
        if not _fits(value, known[key]):
            return f"{key!r} is {_MEANINGS[known[key]]}, not {value!r}"
    return ""


def _fits(value: object, kind: str) -> bool:
    if kind == "flag":
        return isinstance(value, bool)
    if kind == "port":
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return (is_number or isinstance(value, str)) and bool(_PORT.fullmatch(str(value)))
    words = {"access": ACCESS, "protocol": PROTOCOLS}.get(kind)
    return isinstance(value, str) and "\0" not in value and (words is None or value in words)


def apply_forced(task: Any, options: Mapping[str, Any]) -> None:
    """Ask a task that is not submitted yet for what is forced, by the official package's names."""
    words, rules = official("forced_constant"), official("forced_network_rule")

    constants: dict[str, Any] = {}
    for name, given in options.get("forced_constants", {}).items():
        table = _constant(given)
        access = table.get("access")
        constants[name] = words.ForcedConstant(
            table["value"],
            table.get("export"),
            None if access is None else words.ForcedConstantAccess(access),
        )
    task.forced_constants = constants
    task.forced_network_rules = [
        rules.ForcedNetworkRule(**{
            key: str(value) if _RULE[key] == "port" else value for key, value in rule.items()
        })
        for rule in options.get("forced_network_rules", ())
    ]  # fmt: skip

"""What becomes of each field of a specification."""

from collections.abc import Mapping
from typing import Final

from drover.models import FieldPlan, JobSpec, Plan, Support, check_fields, fields_set

NAME: Final = "template"

OPTIONS: Final[tuple[str, ...]] = ()
"""What `native={"template": {...}}` may hold."""

HONOURED: Final = frozenset(
    {
        "argv", "name", "cwd", "env", "inherit_env", "stdin", "stdout", "stderr", "join_output",
        "pre_launch", "post_launch", "native",
        # The engine sees to these before a backend is asked.
        "after", "array", "retry", "tags", "hold", "not_before", "deadline", "expires_after",
        "parent",
    }
)  # fmt: skip

REFUSED: Final[Mapping[str, str]] = {
    "launcher": "nothing here starts parallel tasks",
    "container": "there are no containers here",
    "requeue": "nothing here runs a job again",
    "period": "there is no timer here",
    "inputs": "jobs see the client's own files",
    "outputs": "jobs see the client's own files",
}
_NO_RESOURCES: Final = "processes start at once: nothing is reserved or limited"


def plan(spec: JobSpec, command: tuple[str, ...]) -> Plan:
    """Say what becomes of every field that *spec* sets.

    Raises:
        UnknownFieldError: An option in `native` that is not there.
    """
    check_fields(f"native.{NAME}", spec.native.get(NAME, {}), OPTIONS)
    fields = tuple(_field(name) for name in fields_set(spec))
    return Plan(backend=NAME, fields=fields, command=command)


def _field(name: str) -> FieldPlan:
    if name in HONOURED:
        return FieldPlan(field=name, support=Support.HONOURED)
    why = REFUSED.get(name, _NO_RESOURCES)
    return FieldPlan(field=name, support=Support.REFUSED, note=why)

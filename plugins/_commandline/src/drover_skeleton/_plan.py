"""What becomes of each field of a specification."""

from collections.abc import Mapping
from typing import Final

from drover.models import FieldPlan, JobSpec, Plan, Support, check_fields, fields_set

OPTIONS: Final[tuple[str, ...]] = ()
"""What `native={"skeleton": {...}}` may hold."""

HONOURED: Final = frozenset(
    {
        # The wrapper does these on the node.
        "argv", "cwd", "env", "inherit_env", "stdin", "stdout", "stderr", "join_output",
        "pre_launch", "post_launch",
        "name", "native",
        # The engine sees to these before a backend is asked.
        "after", "array", "retry", "tags", "hold", "not_before", "deadline", "expires_after",
        "parent",
        # The toolkit copies: the nodes see our files.
        "inputs", "outputs",
        "resources.wall_time",
    }
)  # fmt: skip

REFUSED: Final[Mapping[str, str]] = {
    "launcher": "nothing here starts parallel tasks",
    "container": "there are no containers here",
    "requeue": "nothing here runs a job again",
    "period": "there is no timer here",
}
_NO_RESOURCES: Final = "jobs start at once: nothing is reserved or limited"


def plan(name: str, spec: JobSpec, command: tuple[str, ...], script: str) -> Plan:
    """Say what becomes of every field that *spec* sets.

    Raises:
        UnknownFieldError: An option in `native` that is not there.
    """
    check_fields(f"native.{name}", spec.native.get(name, {}), OPTIONS)
    fields = tuple(_field(field) for field in fields_set(spec))
    return Plan(backend=name, fields=fields, command=command, script=script)


def _field(name: str) -> FieldPlan:
    if name in HONOURED:
        return FieldPlan(field=name, support=Support.HONOURED)
    why = REFUSED.get(name, _NO_RESOURCES)
    return FieldPlan(field=name, support=Support.REFUSED, note=why)

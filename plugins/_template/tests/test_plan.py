"""Nothing is ignored silently."""

import pytest

from drover.errors import UnknownFieldError
from drover.models import SPEC_FIELDS, JobSpec, Resources, Support
from drover_template._plan import HONOURED, REFUSED, plan


def test_every_field_is_judged() -> None:
    """A field that drover adds later must be looked at here."""
    judged = HONOURED | set(REFUSED) | {"resources"}

    assert judged == set(SPEC_FIELDS)


def test_resources_are_refused() -> None:
    """Nothing here limits or reserves anything."""
    spec = JobSpec(argv=["true"], resources=Resources(cpus=2))
    refused = [entry.field for entry in plan(spec, ()).fields if entry.support is Support.REFUSED]

    assert refused == ["resources.cpus"]


def test_a_misspelt_option_is_refused() -> None:
    """An option that is passed over is worse than an error."""
    spec = JobSpec(argv=["true"], native={"template": {"no_such_option": 1}})

    with pytest.raises(UnknownFieldError):
        plan(spec, ())

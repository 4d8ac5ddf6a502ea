"""What there is to be said of the backends: names, versions, contact strings."""

from importlib.metadata import version

from drover._plugins import backend_names
from drover.config import load
from drover.drmaa._attached import GATE
from drover.drmaa._translating import translated
from drover.drmaa.vocabulary import DrmsInitException


def known_contacts() -> str:
    """Give the session's contact string; without one, every backend's name."""
    active = GATE.active
    return ",".join(_systems()) if active is None else str(active.contact)


def drms_info() -> str:
    """Name the session's backend and what brings it; without a session, all."""
    active = GATE.active
    systems = _systems()
    return ",".join(systems.values()) if active is None else systems[active.backend]


def drmaa_implementation() -> str:
    """Name Drover and its version; in a session, its backend too."""
    active = GATE.active
    ours = f"Drover {version('drover-core')}"
    return ours if active is None else f"{ours} on {active.backend}"


def _systems() -> dict[str, str]:
    with translated(DrmsInitException):
        found = sorted(backend_names(load()).items())
    return {name: f"{name} ({entry.distribution})" for name, entry in found}

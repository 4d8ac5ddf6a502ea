"""The cloud's words, as drover's. Data, tested for totality."""

from collections.abc import Mapping
from typing import Final

from drover.models import Phase

TASK_STATES: Final[Mapping[str, Phase]] = {
    "Submitted": Phase.QUEUED,
    "PartiallyDispatched": Phase.QUEUED,
    "FullyDispatched": Phase.QUEUED,
    "PartiallyExecuting": Phase.RUNNING,
    "FullyExecuting": Phase.RUNNING,
    "DownloadingResults": Phase.RUNNING,
    "UploadingResults": Phase.RUNNING,
    "PendingCancel": Phase.RUNNING,
    "Success": Phase.ENDED,
    "Failure": Phase.ENDED,
    "Cancelled": Phase.ENDED,
    "PendingDelete": Phase.ENDED,
}
"""Of a whole task; what an instance of it does is told by `perRunningInstanceInfo` and
`completedInstances`."""
FINAL: Final = frozenset({"Success", "Failure", "Cancelled", "PendingDelete"})
"""Nothing more will come of the task, its results are where they go."""
INSTANCE_PHASES: Final[Mapping[str, Phase]] = {
    "download": Phase.QUEUED,
    "dispatch": Phase.QUEUED,
    "environment": Phase.QUEUED,
    "execution": Phase.RUNNING,
    "shutdown": Phase.RUNNING,
    "upload": Phase.RUNNING,
}
"""Of an instance that is under way: its inputs are brought before it runs."""
INSTANCE_ENDS: Final = frozenset({"Success", "Failure", "Cancelled"})
MOST_INSTANCES: Final = 2048
"""Source: the limit that the cloud documents for one task."""


def read_ranges(text: str) -> frozenset[int]:
    """Read a set of instances, such as `1,3-8`.

    Raises:
        ValueError: It is none.
    """
    found: set[int] = set()
    for part in text.split(","):
        if part.strip():
            first, _, last = part.partition("-")
            found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def write_ranges(indices: "frozenset[int] | range") -> str:
    """Write a set of instances as short as it goes."""
    parts: list[str] = []
    ordered = sorted(indices)
    while ordered:
        first = last = ordered.pop(0)
        while ordered and ordered[0] == last + 1:
            last = ordered.pop(0)
        parts.append(str(first) if first == last else f"{first}-{last}")
    return ",".join(parts)

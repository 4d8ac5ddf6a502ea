"""A backend whose author typed in a hurry."""

from collections.abc import Sequence

from drover.hookspecs import Context, hookimpl
from drover.models import Answer, Attempt, Capabilities, SubmitAnswer


class MisspeltBackend:
    """Implement a hook that does not exist."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @hookimpl
    def drover_capabilities(self) -> Capabilities:
        """Declare nothing."""
        return Capabilities()

    @hookimpl
    def drover_sumbit(self, attempts: Sequence[Attempt]) -> Sequence[SubmitAnswer]:
        """Never be called."""
        return [SubmitAnswer(token=each.token, answer=Answer.REFUSED) for each in attempts]

"""The hooks: drover's own for batch systems, with yours behind them."""

from drover.commandline import CommandLineBackend
from drover.hookspecs import Context
from drover_skeleton._speech import Speech


class SkeletonBackend(CommandLineBackend):
    """Run jobs on the batch system."""

    def __init__(self, context: Context) -> None:
        super().__init__(context, Speech(context.name))

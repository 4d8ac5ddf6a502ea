"""The hooks: drover's own for batch systems, with Slurm behind them."""

from drover.commandline import CommandLineBackend
from drover.hookspecs import Context
from drover_slurm._config import SlurmConfig
from drover_slurm._slurm import Slurm


class SlurmBackend(CommandLineBackend):
    """Run jobs on a Slurm cluster."""

    def __init__(self, context: Context) -> None:
        config = SlurmConfig.read(context.name, context.config)
        super().__init__(context, Slurm(context.name, config))

"""The deterministic simulation: one seed is one run of engines, clients and an outside world.

The real engine code runs on a virtual clock against a simulated backend with faults. Processes are
killed and paused at store writes and backend calls, and go on after another engine has taken over.
After each run an oracle looks at what really happened. A seed replays its run:

    python -m drover.testing.simulation --seed 42
"""

from drover.testing.simulation._many import Sum, simulate_many
from drover.testing.simulation._run import Report, SimulationFailed, simulate
from drover.testing.simulation._setting import KINDS

__all__ = ["KINDS", "Report", "SimulationFailed", "Sum", "simulate", "simulate_many"]

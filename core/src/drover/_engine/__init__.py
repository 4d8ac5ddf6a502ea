"""The engine: the only floor with threads, clocks and decisions on input and output.

What works lies in `_loop` and below, and is imported only by whoever runs an engine: a client
that lists or waits does without.
"""

from drover._engine._attempts import attempt_of, attempts_of
from drover._engine._bell import BellRope, socket_path
from drover._engine._process import engine_info, ensure, start, stop

__all__ = [
    "BellRope",
    "attempt_of",
    "attempts_of",
    "engine_info",
    "ensure",
    "socket_path",
    "start",
    "stop",
]

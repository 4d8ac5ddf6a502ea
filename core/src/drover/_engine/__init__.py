"""The engine: the only floor with threads, clocks and decisions on input and output."""

from drover._engine._attempts import attempt_of
from drover._engine._bell import BellRope, socket_path
from drover._engine._engine import Engine
from drover._engine._lanes import Call, Lane, Reply, ThreadLane, execute
from drover._engine._loop import EngineLoop
from drover._engine._process import engine_info, ensure, start, stop

__all__ = [
    "BellRope",
    "Call",
    "Engine",
    "EngineLoop",
    "Lane",
    "Reply",
    "ThreadLane",
    "attempt_of",
    "engine_info",
    "ensure",
    "execute",
    "socket_path",
    "start",
    "stop",
]

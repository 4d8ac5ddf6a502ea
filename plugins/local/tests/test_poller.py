"""What the agent sleeps on: it must not oversleep the end of a job, whatever the system has."""

import subprocess
import sys
from typing import Final

import pytest

_SLEEP = """
import os, select, signal, sys, time
from drover_local import _poller
if "no-signalfd" in sys.argv:
    _poller._signal_fd = _poller._signal_pipe
if "no-epoll" in sys.argv:
    del select.epoll
poller = _poller.Poller()
poller.wake_up_on((signal.SIGCHLD, signal.SIGUSR1))
begun = time.monotonic()
for come in ("before", "meanwhile"):
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "sleep 0.1"], {})
    if come == "before":
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    poller.wait(60)
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        poller.wait(60)
os.kill(os.getpid(), signal.SIGUSR1)
poller.wait(60)
assert time.monotonic() - begun < 30
heard = []
reader, writer = os.pipe()
poller.register(reader, lambda: heard.append(os.read(reader, 1)))
os.write(writer, b"x")
poller.wait(60)
poller.unregister(reader)
os.write(writer, b"y")
poller.wait(0.01)
blocked = os.posix_spawn("/bin/sh", ["sh", "-c", "kill -USR1 $$"], {}, setsigmask=())
print(heard, os.WTERMSIG(os.waitpid(blocked, 0)[1]) == signal.SIGUSR1)
"""


_FAR: Final = """
import os, select, sys
from drover_local import _poller
if "no-epoll" in sys.argv:
    del select.epoll
poller = _poller.Poller()
reader, writer = os.pipe()
poller.register(reader, lambda: print(os.read(reader, 1)))
os.write(writer, b"x")
poller.wait(3e9)
"""


@pytest.mark.parametrize("without", ["nothing", "no-epoll"])
def test_what_is_far_away_can_be_waited_for(without: str) -> None:
    """The system counts 24 days of milliseconds: an agent with a longer wall time died of it."""
    done = subprocess.run(
        [sys.executable, "-c", _FAR, without], capture_output=True, text=True, check=False
    )

    assert ("b'x'\n", "") == (done.stdout, done.stderr)


@pytest.mark.parametrize("without", ["nothing", "no-signalfd", "no-epoll"])
def test_a_signal_is_not_slept_through(without: str) -> None:
    """Neither one that has come before the sleep began nor one that comes meanwhile."""
    done = subprocess.run(
        [sys.executable, "-c", _SLEEP, without], capture_output=True, text=True, check=False
    )

    assert ("[b'x'] True\n", "") == (done.stdout, done.stderr)

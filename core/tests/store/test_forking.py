"""A process that forks with an open store."""

import subprocess
import sys
from pathlib import Path

import pytest

from drover._store import JobFilter, Store

PROGRAM = """
import os, sys
from drover import events as e
from drover._store import Draft, Store
from drover.models import JobSpec

home, whose = sys.argv[1:]

def insert(store):
    fact = e.Submitted(at=1.0, spec=JobSpec(argv=["x"]), backend="b")
    batch = store.prepare([Draft(event=fact)], 1.0)
    with store.write() as (writer, _):
        writer.insert(batch)

store = Store.open(home)
insert(store)
parent_is_there, parent = os.pipe()
child_has_begun, child = os.pipe()
if os.fork() == 0:
    os.close(parent)
    mine = store if whose == "parent's" else Store.open(home)
    insert(mine)
    os.write(child, b"1")
    os.read(parent_is_there, 1)
    insert(mine)
    os._exit(0)
os.read(child_has_begun, 1)
insert(store)
store.close()
os.close(parent)
os.wait()
"""


@pytest.mark.parametrize("whose", ["parent's", "its own"])
def test_what_a_forked_process_stores_is_there(tmp_path: Path, whose: str) -> None:
    """Its commits would go to a log that the other, believing to be the last, has deleted."""
    program = [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path / "home"), whose]
    done = subprocess.run(program, capture_output=True, text=True, timeout=20, check=False)
    assert (0, "") == (done.returncode, done.stderr)

    store = Store.open(tmp_path / "home")
    with store.read() as reader:
        assert 4 == len(reader.ids(JobFilter()))
    assert [] == store.check_integrity()
    store.close()


FORKS_IN_USE = """
import os, sys, threading
from drover._store import Store

store = Store.open(sys.argv[1])

def use():
    with store.read() as reader:
        reads.set()
        goes_on.wait()
        reader.last_seq()

reads, goes_on = threading.Event(), threading.Event()
thread = threading.Thread(target=use)
thread.start()
reads.wait()
threading.Timer(0.2, goes_on.set).start()
pids = []

def fork():
    pid = os.fork()
    if pid == 0:
        with store.read() as reader:
            os._exit(reader.last_seq())
    pids.append(pid)

threads = [threading.Thread(target=fork) for _ in range(4)]
for one in threads:
    one.start()
for one in (thread, *threads):
    one.join()
print([os.waitpid(pid, 0)[1] for pid in pids], store.lease().live)
"""


def test_forks_wait_for_who_uses_it_and_for_each_other(tmp_path: Path) -> None:
    """A lock that was held at the fork is held in the child for ever."""
    program = [sys.executable, "-W", "ignore", "-c", FORKS_IN_USE, str(tmp_path / "home")]
    done = subprocess.run(program, capture_output=True, text=True, timeout=20, check=False)

    assert (0, "[0, 0, 0, 0] False\n", "") == (done.returncode, done.stdout, done.stderr)

"""The second face: commands on PATH, for real engines and the command line."""

import json
import math
import os
import pwd
import select
import shlex
import shutil
import socket
import struct
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Final, Self

from drover.testing.scheduler import _launcher as launcher
from drover.testing.scheduler._calls import Reply
from drover.testing.scheduler._processes import write_program
from drover.testing.scheduler._scheduler import Scheduler

LOOK_S: Final = 0.02
"""How often the scheduler looks whether scripts have ended, and time is up."""
_PEER: Final = struct.Struct("3i")


class ScriptedPrograms:
    """A folder for PATH whose programs talk to a scheduler in this process.

    From the start until `close`, time passes for the scheduler by itself if its clock is a real
    one. Use it as a context manager.
    """

    def __init__(self, scheduler: Scheduler, folder: Path | None = None) -> None:
        """Put the programs in place and begin to answer.

        Args:
            scheduler: Who answers.
            folder: Where the programs go; made if it is not there. `None`: a temporary one.
        """
        self.scheduler: Final = scheduler
        # A socket's path must be short, whatever the folder is called.
        self._private: Final = Path(tempfile.mkdtemp(prefix="drover-s-"))
        self.folder: Final = folder or self._private / "bin"
        self._socket_path: Final = self._private / "socket"
        self._over: Final = threading.Event()
        self._server: Final = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self._socket_path))
        self._server.listen(128)
        for name in scheduler.commands:
            self._install(name)
        self._threads: Final = [
            threading.Thread(target=work, name=f"scripted-{work.__name__}", daemon=True)
            for work in (self._serve, self._tick)
        ]
        for thread in self._threads:
            thread.start()

    def _install(self, name: str) -> None:
        words = (sys.executable, "-I", "-S", launcher.__file__, str(self._socket_path), name)
        text = f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n'
        write_program(self.folder, name, os.fsencode(text))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> str:
        """Give a value of PATH on which the programs come first."""
        return f"{self.folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"

    def close(self) -> None:
        """Answer no more: commands that still wait end in an error. Jobs are not touched."""
        self._over.set()
        # An accept that waits is not woken by closing the socket.
        with socket.socket(socket.AF_UNIX) as knock:
            knock.connect(str(self._socket_path))
        for thread in self._threads:
            thread.join()
        self._server.close()
        shutil.rmtree(self._private)

    # --- threads -------------------------------------------------------------------------------

    def _tick(self) -> None:
        while not self._over.wait(LOOK_S):
            self.scheduler.catch_up()

    def _serve(self) -> None:
        answering: list[threading.Thread] = []
        while True:
            connection, _ = self._server.accept()
            if self._over.is_set():
                connection.close()
                break
            answering = [thread for thread in answering if thread.is_alive()]
            thread = threading.Thread(target=self._answer, args=(connection,), daemon=True)
            answering.append(thread)
            thread.start()
        for thread in answering:
            thread.join()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            request = launcher.receive(connection)
            if not request:
                return
            call: dict[str, Any] = json.loads(request)
            reply = self._execute(connection, call)
            try:
                if self._wait(connection, reply.took_s):
                    launcher.send(connection, _answer_text(reply))
            except OSError:
                # Whoever asked has lost its patience and is gone.
                return

    def _execute(self, connection: socket.socket, call: dict[str, Any]) -> Reply:
        def read_input() -> bytes:
            launcher.send(connection, b'{"need": "input"}')
            return launcher.receive(connection)

        uid = _PEER.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        )[1]
        return self.scheduler.execute(
            call["argv"],
            read_input=read_input,
            environment=call["environment"],
            cwd=call["cwd"],
            user=_name_of(uid),
            uid=uid,
        )

    def _wait(self, connection: socket.socket, seconds: float) -> bool:
        """Let a command take its time; tells whether somebody still waits for it."""
        end = self.scheduler.clock.monotonic() + seconds if seconds < math.inf else math.inf
        while not self._over.is_set():
            left = end - self.scheduler.clock.monotonic()
            if left <= 0:
                return True
            # Readable means that the other side has gone: it has nothing more to say.
            readable, _, _ = select.select([connection], [], [], min(left, LOOK_S))
            if readable:
                return False
        return False


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _answer_text(reply: Reply) -> bytes:
    return json.dumps(
        {
            "output": reply.output.decode("latin-1"),
            "errors": reply.errors.decode("latin-1"),
            "code": reply.code,
            "missing": reply.missing,
        }
    ).encode()

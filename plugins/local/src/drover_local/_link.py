"""The engine's side of the socket: one thread reads, anybody asks."""

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from drover.errors import StaleEpochError, UnreachableError
from drover_local._desk import peer_uid
from drover_local._frames import Frame, FrameReader, pack
from drover_local._keeper import BUSY
from drover_local._place import Place

# A pair of keeper and agent is up in 0.1 s on an idle machine.
_START_S: Final = 20.0
_HELLO_S: Final = 10.0
_RETRY_S: Final = 0.02
_AGAIN_S: Final = 1.0
_PIECE: Final = 256 * 1024
# A killed agent is back in 0.1 s: a question waits for that rather than fail.
_PATIENCE_S: Final = 5.0


class _Waiting:
    """One question on its way."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.reply: Frame | None = None


class Link:
    """A connection to the agent that comes back by itself."""

    def __init__(
        self,
        place: Place,
        hello: Callable[[], Frame],
        on_rows: Callable[[list[Any]], None],
        on_return: Callable[[], None],
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            place: Where the agent lives.
            hello: Makes the first frame of each connection.
            on_rows: Called with what the agent reports, from the link's thread.
            on_return: Called from the link's thread after the agent was gone and is back.
        """
        self._place = place
        self._hello = hello
        self._on_rows = on_rows
        self._on_return = on_return
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._number = 0
        self._stale: StaleEpochError | None = None
        self._closing = threading.Event()
        self._up = threading.Event()
        self._thread: threading.Thread | None = None
        self._to_acknowledge: list[str] = []
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.generation = 0
        """Counts connections: what an earlier one was told must be told again."""

    def open(self) -> None:
        """Connect; start the agent if there is none.

        Raises:
            UnreachableError: It does not come up or does not answer.
            StaleEpochError: A newer engine has it.
        """
        rows = self._connect()
        self._thread = threading.Thread(target=self._read, name="drover-local", daemon=True)
        self._thread.start()
        self._on_rows(rows)

    def ask(self, question: Frame | Callable[[], Frame], timeout_s: float) -> Frame:
        """Send a question and wait for its answer.

        Args:
            question: The frame; or what makes it, called when it is about to be sent: an
                acknowledgement that is given after that is sent after it.
            timeout_s: How long to wait for the answer.

        Raises:
            UnreachableError: Nothing was sent.
            TimeoutError: It was sent, and no answer came; what became of it is unknown.
            StaleEpochError: A newer engine has the agent; nothing was done.
        """
        waiting = _Waiting()
        make = question if callable(question) else lambda: question
        number = self._send(make, waiting, min(_PATIENCE_S, timeout_s))
        if not waiting.done.wait(timeout_s) or waiting.reply is None:
            self._waiting.pop(number, None)
            raise TimeoutError("the local agent has not answered")
        return _checked(waiting.reply, {})

    def _send(self, make: Callable[[], Frame], waiting: _Waiting, patience_s: float) -> int:
        deadline = time.monotonic() + patience_s
        while True:
            is_up = self._up.wait(max(0.0, deadline - time.monotonic()))
            with self._lock:
                if self._stale is not None:
                    raise StaleEpochError(self._stale.mine, self._stale.current)
                if self._sock is not None:
                    frame = make()
                    self._number += 1
                    number = self._number
                    self._waiting[number] = waiting
                    try:
                        self._sock.sendall(pack({**frame, "id": number}))
                    except OSError as exc:
                        self._waiting.pop(number, None)
                        raise TimeoutError(f"the local agent hung up: {exc}") from exc
                    return number
            # It may have gone down again before the lock was had.
            if not is_up:
                raise UnreachableError("local agent", "it is gone and being started again")

    def acknowledge(self, tokens: list[str]) -> None:
        """Tell the agent, soon, that ends are durable. Never blocks."""
        self._to_acknowledge.extend(tokens)
        with contextlib.suppress(OSError):
            os.write(self._wake_writer, b"a")

    def close(self) -> None:
        """Hang up. The agent and its jobs go on."""
        self._closing.set()
        with contextlib.suppress(OSError):
            os.write(self._wake_writer, b"c")
        if self._thread is not None:
            self._thread.join(5.0)
        if self._sock is not None:
            self._send_acknowledgements(self._sock)
        self._hang_up()
        self._place.close()

    def _read(self) -> None:
        reader = FrameReader()
        while not self._closing.is_set():
            sock = self._sock
            if sock is None:
                self._come_back()
                reader = FrameReader()
                continue
            try:
                data = self._wait_for(sock)
                frames = reader.feed(data) if data else []
            except (OSError, ValueError):
                data, frames = None, []
            if data is None:
                self._hang_up()
                continue
            self._send_acknowledgements(sock)
            for frame in frames:
                self._take(frame)

    def _wait_for(self, sock: socket.socket) -> bytes | None:
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        poll.register(self._wake_reader, select.POLLIN)
        ready = {fd for fd, _ in poll.poll()}
        if self._wake_reader in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_reader, 4096)
        if sock.fileno() in ready:
            return sock.recv(_PIECE) or None
        return b""

    def _send_acknowledgements(self, sock: socket.socket) -> None:
        tokens, self._to_acknowledge = self._to_acknowledge, []
        if tokens:
            with self._lock, contextlib.suppress(OSError):
                sock.sendall(pack({"op": "acknowledge", "tokens": tokens}))

    def _take(self, frame: Frame) -> None:
        number = frame.get("id")
        if number is None:
            self._on_rows(frame["rows"])
            return
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            waiting.reply = frame
            waiting.done.set()

    def _come_back(self) -> None:
        try:
            rows = self._connect()
        except StaleEpochError as exc:
            # Nothing is left to do for this engine.
            self._stale = exc
            self._up.set()
            self._closing.wait()
            return
        except (UnreachableError, OSError):
            self._closing.wait(_AGAIN_S)
            return
        self._on_rows(rows)
        # Its questions are answered by this thread: they must be asked from another one.
        threading.Thread(target=self._on_return, name="drover-local-return", daemon=True).start()

    def _hang_up(self) -> None:
        with self._lock:
            sock, self._sock = self._sock, None
            self._up.clear()
        if sock is not None:
            sock.close()
        for waiting in list(self._waiting.values()):
            waiting.done.set()
        self._waiting.clear()

    def _connect(self) -> list[Any]:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                sock = self._place.connect(_HELLO_S)
                rows = self._greet(sock)
            except OSError as exc:
                if time.monotonic() > deadline or self._closing.is_set():
                    raise UnreachableError("local agent", str(exc)) from exc
                if start_pair(self._place) != 0:
                    self._closing.wait(_RETRY_S)
            else:
                return rows

    def _greet(self, sock: socket.socket) -> list[Any]:
        try:
            _check_owner(sock)
            sock.sendall(pack(self._hello()))
            reply = _checked(read_frame(sock), {"epoch": self._hello()["epoch"]})
        except BaseException:
            sock.close()
            raise
        sock.settimeout(None)
        with self._lock:
            self._sock = sock
            self.generation += 1
            self._up.set()
        return list(reply["rows"])


def read_frame(sock: socket.socket) -> Frame:
    """Read one frame from a socket with a timeout.

    Raises:
        OSError: It ended, or nothing came in time.
    """
    reader = FrameReader()
    while True:
        data = sock.recv(_PIECE)
        if not data:
            raise ConnectionResetError("the agent hung up")
        frames = reader.feed(data)
        if frames:
            return frames[0]


def start_pair(place: Place) -> int:
    """Start a keeper with its agent.

    Returns:
        0 if the agent listens, BUSY if another pair has the place.

    Raises:
        UnreachableError: It does not start.
    """
    place.make()
    log = place.open_log()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("DROVER_")
    }
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "drover_local._keeper", place.folder],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
            timeout=_START_S,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise UnreachableError("local agent", f"it did not start within {_START_S:g} s") from exc
    finally:
        os.close(log)
    if done.returncode not in {0, BUSY}:
        raise UnreachableError("local agent", f"it does not start: {place.log_tail()}")
    return done.returncode


def _check_owner(sock: socket.socket) -> None:
    if peer_uid(sock) != os.getuid():
        raise UnreachableError("local agent", "its socket belongs to another user")


def _checked(reply: Frame, frame: Frame) -> Frame:
    if "stale" in reply:
        raise StaleEpochError(int(frame.get("epoch", 0)), int(reply["stale"]))
    if "error" in reply:
        raise TimeoutError(f"the local agent could not: {reply['error']}")
    return reply

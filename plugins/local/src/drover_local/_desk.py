"""The agent's side of the socket: who may speak, and in whose name."""

import os
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

from drover_local._frames import Frame, FrameReader, pack
from drover_local._poller import READ, WRITE, Poller

_PIECE: Final = 256 * 1024
Answer = Callable[["Connection", Frame], Frame | None]


class Connection:
    """One engine, or somebody who only looks."""

    def __init__(self, sock: socket.socket, poller: Poller) -> None:
        self.epoch = 0
        self.is_engine = False
        self.bases: dict[str, dict[bytes, bytes]] = {}
        """Environments this engine has sent, by digest."""
        self._sock = sock
        self._poller = poller
        self._reader = FrameReader()
        self._out = bytearray()
        self._is_full = False
        """Whether the other side takes no more for now."""

    def receive(self) -> list[Frame] | None:
        """Read what has come, `None` if the other side is gone."""
        frames: list[Frame] = []
        try:
            data = self._sock.recv(_PIECE)
            if not data:
                return None
            frames = self._reader.feed(data)
        except BlockingIOError:
            pass
        except (OSError, ValueError):
            return None
        return frames

    def send(self, frame: Frame) -> None:
        """Send, or keep what the other side does not take yet."""
        self._out += pack(frame)
        self.flush()

    def flush(self) -> None:
        """Send what was kept."""
        try:
            while self._out:
                del self._out[: self._sock.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            # It is closed when its end is read.
            self._out.clear()
        if self._is_full != bool(self._out):
            self._is_full = bool(self._out)
            self._poller.modify(self._sock.fileno(), READ | WRITE if self._out else READ)

    def close(self) -> None:
        """Hang up."""
        self._poller.unregister(self._sock.fileno())
        self._sock.close()


class Desk:
    """Listen, let in whom the socket belongs to, pass frames on."""

    def __init__(self, poller: Poller, answer: Answer) -> None:
        self._poller = poller
        self._answer = answer
        self._listener: socket.socket | None = None
        self._connections: set[Connection] = set()
        self.engine: Connection | None = None

    def listen(self, address: str) -> None:
        """Open the socket at *address*; what lies there is of a dead agent.

        Raises:
            OSError: It cannot be opened.
        """
        if os.path.lexists(address):
            os.unlink(address)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        old = os.umask(0o177)
        try:
            listener.bind(address)
        finally:
            os.umask(old)
        listener.listen(64)
        listener.setblocking(False)
        self._listener = listener
        self._poller.register(listener.fileno(), self._accept)

    def welcome(self, connection: Connection) -> None:
        """Make a connection the engine's. An older engine's is closed."""
        old, self.engine = self.engine, connection
        connection.is_engine = True
        if old is not None and old is not connection:
            self._drop(old)

    def close(self) -> None:
        """Take no more connections and hang up."""
        if self._listener is not None:
            self._poller.unregister(self._listener.fileno())
            self._listener.close()
            self._listener = None
        for connection in list(self._connections):
            self._drop(connection)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        if peer_uid(sock) != os.getuid():
            sock.close()
            return
        sock.setblocking(False)
        connection = Connection(sock, self._poller)
        self._connections.add(connection)
        self._poller.register(sock.fileno(), lambda: self._serve(connection))

    def _serve(self, connection: Connection) -> None:
        if connection not in self._connections:
            # Closed by what came before in the same round.
            return
        connection.flush()
        frames = connection.receive()
        if frames is None:
            self._drop(connection)
            return
        for frame in frames:
            reply = self._reply(connection, frame)
            if connection not in self._connections:
                return
            if reply is not None:
                connection.send({**reply, "id": frame.get("id")})

    def _reply(self, connection: Connection, frame: Frame) -> Frame | None:
        try:
            return self._answer(connection, frame)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            # One bad frame harms its sender, not the agent.
            return {"error": f"{type(exc).__name__}: {exc}"}

    def _drop(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        if self.engine is connection:
            self.engine = None
        connection.close()


def peer_uid(sock: socket.socket) -> int:
    """Tell whose process is on the other side, -1 where the system cannot say.

    Source: unix(7), SO_PEERCRED.
    """
    option: Any = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        # Elsewhere than on Linux the folder's mode 0700 alone keeps others out.
        return os.getuid()
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, option, size))
    return int(uid)

"""The doorbell: clients wake the engine, and the engine tells clients of commits.

One line each way: a client sends a newline, the engine sends the journal's last sequence
number. Nothing depends on it: what is rung about stands in the store, and whoever hears no
bell looks there from time to time.
"""

import contextlib
import os
import selectors
import socket
import struct
import tempfile
import time
from pathlib import Path
from typing import Final

from drover._store import make_private
from drover.errors import StoreUnusableError

NAME: Final = "engine.sock"
# sockaddr_un holds 108 bytes on Linux, 104 on the BSDs, with a NUL.
_MAX_PATH: Final = 100
HAS_SOCKETS: Final = hasattr(socket, "AF_UNIX")


def socket_path(home: Path, store_id: str) -> Path:
    """Give the socket's place: in the store's folder, or a short private one if that is long."""
    inside = home / NAME
    if len(os.fsencode(inside)) <= _MAX_PATH:
        return inside
    user = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()) / f"drover-{user}" / f"{store_id}.sock"


def is_own(connection: socket.socket) -> bool:
    """Tell whether the other end belongs to this user.

    Source: unix(7), SO_PEERCRED. Where there is none, the folder's mode 0700 must do.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", raw)
    return bool(uid == os.getuid())


class Bell:
    """The engine's side. Used from the engine's thread, but for `ring`."""

    def __init__(self, path: Path | None) -> None:
        """Listen at *path*; `None` listens to nobody, `ring` and `wait` work all the same."""
        self._selector = selectors.DefaultSelector()
        self._clients: set[socket.socket] = set()
        self._told = -1
        self._inode = -1
        self._inner, self._outer = socket.socketpair()
        for end in (self._inner, self._outer):
            end.setblocking(False)
        self._selector.register(self._inner, selectors.EVENT_READ)
        self._path = path
        self._listener: socket.socket | None = None
        if path is not None and HAS_SOCKETS:
            self._listener = self._listen(path)

    def _listen(self, path: Path) -> socket.socket:
        if path.parent.is_symlink() and path.name != NAME:
            # Anybody can put one there before us, to lead us to a folder of his choice.
            raise StoreUnusableError(str(path.parent), "it is a link, which somebody else may own")
        make_private(path.parent)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        path.chmod(0o600)
        self._inode = path.stat().st_ino
        listener.listen(256)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)
        return listener

    def ring(self) -> None:
        """Wake `wait`. From any thread."""
        # A full pipe is a bell that is ringing already; a closed one has nobody to wake.
        with contextlib.suppress(OSError):
            self._outer.send(b"\n")

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until somebody rings, or the time is over.

        Returns:
            Whether a client rang.
        """
        rang = False
        for key, _ in self._selector.select(timeout_s):
            if key.fileobj is self._inner:
                self._drain(self._inner)
            elif key.fileobj is self._listener:
                self._accept()
                rang = True
            elif isinstance(key.fileobj, socket.socket):
                if self._drain(key.fileobj):
                    rang = True
                else:
                    self._part(key.fileobj)
        return rang

    @staticmethod
    def rest(seconds: float) -> None:
        """Let news gather."""
        if seconds > 0:
            time.sleep(seconds)

    def tell(self, seq: int) -> None:
        """Tell all clients that the journal has grown."""
        if seq == self._told:
            return
        self._told = seq
        for client in tuple(self._clients):
            self._send(client, seq)

    def _send(self, client: socket.socket, seq: int) -> None:
        try:
            client.send(f"{seq}\n".encode())
        except BlockingIOError:
            return  # It has unread lines; each of them is as good as this one.
        except OSError:
            self._part(client)

    @property
    def listeners(self) -> int:
        """Count the clients that listen."""
        return len(self._clients)

    def close(self) -> None:
        """Stop listening."""
        for client in tuple(self._clients):
            self._part(client)
        if self._listener is not None and self._path is not None:
            self._listener.close()
            self._unlink(self._path)
        self._selector.close()
        self._inner.close()
        self._outer.close()

    def _unlink(self, path: Path) -> None:
        """Remove our socket's name, unless a later engine has taken the place."""
        with contextlib.suppress(OSError):
            if path.stat().st_ino == self._inode:
                path.unlink()
                # The folder of long paths goes with its last socket; the store's is never empty.
                path.parent.rmdir()

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        if not is_own(client):
            client.close()
            return
        client.setblocking(False)
        self._clients.add(client)
        self._selector.register(client, selectors.EVENT_READ)
        if self._told >= 0:
            # It may have looked into the store before the last news, and has heard nothing of it.
            self._send(client, self._told)

    def _part(self, client: socket.socket) -> None:
        self._clients.discard(client)
        self._selector.unregister(client)
        client.close()

    @staticmethod
    def _drain(end: socket.socket) -> bool:
        try:
            return bool(end.recv(65536))
        except BlockingIOError:
            return True
        except OSError:
            return False


class BellRope:
    """A client's side."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def ring(self) -> bool:
        """Wake the engine.

        Returns:
            Whether there is an engine that heard it.
        """
        if not self._connect():
            return False
        assert self._socket is not None
        try:
            self._socket.send(b"\n")
        except BlockingIOError:
            return True
        except OSError:
            self.close()
            return False
        return True

    def listen(self, timeout_s: float) -> bool:
        """Wait for news.

        Returns:
            Whether an engine is connected; if not, returns at once.
        """
        if not self._connect():
            return False
        assert self._socket is not None
        self._socket.settimeout(timeout_s)
        try:
            if not self._socket.recv(65536):
                self.close()
        except TimeoutError:
            return True
        except OSError:
            self.close()
        return True

    def _connect(self) -> bool:
        if self._socket is not None:
            return True
        if not HAS_SOCKETS:
            return False
        rope = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # An engine that is paused takes nobody in and reads nothing: no client waits for it.
        rope.setblocking(False)
        try:
            rope.connect(str(self._path))
        except OSError:
            rope.close()
            return False
        if not is_own(rope):
            rope.close()
            return False
        self._socket = rope
        return True

    def close(self) -> None:
        """Let go."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

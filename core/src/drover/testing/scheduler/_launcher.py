"""What a scripted command is on PATH: it asks the scheduler behind a socket and repeats its answer.

Run by path with `python -I -S`: it needs the standard library alone.
"""

import json
import os
import socket
import struct
import sys
from typing import Any, Final

HEAD: Final = struct.Struct("!I")
"""Before each message: its length."""
GONE: Final = "the scripted scheduler is gone"


def send(connection: socket.socket, message: bytes) -> None:
    """Send one message."""
    connection.sendall(HEAD.pack(len(message)) + message)


def receive(connection: socket.socket) -> bytes:
    """Receive one message; empty if the other side is gone."""
    head = _exactly(connection, HEAD.size)
    return _exactly(connection, HEAD.unpack(head)[0]) if head else b""


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = connection.recv(size)
        if not part:
            return b""
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def ask(connection: socket.socket, words: list[str]) -> dict[str, Any]:
    """Tell what was typed, and standard input if it is asked for; gives the answer."""
    call = {"argv": words, "environment": dict(os.environ), "cwd": os.getcwd()}  # noqa: PTH109
    send(connection, json.dumps(call).encode())
    answer: dict[str, Any] = json.loads(receive(connection) or b"{}")
    if answer.get("need") == "input":
        send(connection, sys.stdin.buffer.read())
        answer = json.loads(receive(connection) or b"{}")
    return answer


def main(arguments: list[str]) -> int:
    """Run `SOCKET COMMAND [ARGUMENT...]`; gives the exit code."""
    path, *words = arguments
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            answer = ask(connection, words)
    except OSError as error:
        answer = {"missing": f"{GONE}: {error}"}
    told = answer.get("missing", GONE)
    if told:
        sys.stderr.write(f"{words[0]}: {told}\n")
        return 127
    code = int(answer["code"])
    sys.stdout.buffer.write(answer["output"].encode("latin-1"))
    sys.stdout.buffer.flush()
    sys.stderr.buffer.write(answer["errors"].encode("latin-1"))
    sys.stderr.buffer.flush()
    if code < 0:
        os.kill(os.getpid(), -code)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

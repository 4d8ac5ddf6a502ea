"""Requests signed by hand, independently of the store and of botocore."""

import hashlib
import hmac
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

from objectstore_served import Keys

MIB = 1024 * 1024
EMPTY = hashlib.sha256(b"").hexdigest()


class Signer:
    """Signs as AWS describes it, independently of the store and of botocore."""

    def __init__(self, url: str, keys: Keys, *, at: datetime | None = None) -> None:
        self.host, self.keys = urlsplit(url).netloc, keys
        self.stamp = (at or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        self.scope = f"{self.stamp[:8]}/anywhere-1/s3/aws4_request"
        key = f"AWS4{keys.secret}".encode()
        for word in self.scope.split("/"):
            key = hmac.digest(key, word.encode(), "sha256")
        self.key = key
        self.seed = ""

    def sign(self, text: str) -> str:
        return hmac.digest(self.key, text.encode(), "sha256").hex()

    def headers(
        self, method: str, path: str, payload: str, query: str = "", **more: str
    ) -> dict[str, str]:
        given = {"host": self.host, "x-amz-date": self.stamp, "x-amz-content-sha256": payload}
        given |= {name.replace("_", "-"): value for name, value in more.items()}
        names = sorted(name for name in given if name == "host" or name.startswith("x-amz-"))
        lines = "".join(f"{name}:{given[name]}\n" for name in names)
        signed = ";".join(names)
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{signed}\n{payload}"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        self.seed = self.sign(f"AWS4-HMAC-SHA256\n{self.stamp}\n{self.scope}\n{hashed}")
        given["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.keys.access}/{self.scope}, "
            f"SignedHeaders={signed}, Signature={self.seed}"
        )
        return given

    def chunk(self, data: bytes) -> bytes:
        """Sign one chunk; each signature is over the one before it."""
        hashes = f"{EMPTY}\n{hashlib.sha256(data).hexdigest()}"
        text = f"AWS4-HMAC-SHA256-PAYLOAD\n{self.stamp}\n{self.scope}\n{self.seed}\n{hashes}"
        self.seed = self.sign(text)
        end = b"\r\n" if data else b""
        return f"{len(data):x};chunk-signature={self.seed}\r\n".encode() + data + end

    def trailer(self, name: str, value: str) -> bytes:
        hashed = hashlib.sha256(f"{name}:{value}\n".encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256-TRAILER\n{self.stamp}\n{self.scope}\n{self.seed}\n{hashed}"
        return f"{name}:{value}\r\nx-amz-trailer-signature:{self.sign(text)}\r\n\r\n".encode()


@contextmanager
def half_sent(url: str, keys: Keys, path: str, query: str = "") -> Iterator[None]:
    """Send half of 8 MiB; the rest never comes."""
    headers = Signer(url, keys).headers("PUT", path, "UNSIGNED-PAYLOAD", query=query)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    parts, target = urlsplit(url), f"{path}?{query}" if query else path
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as wire:
        wire.sendall(f"PUT {target} HTTP/1.1\r\n{lines}content-length: {8 * MIB}\r\n\r\n".encode())
        wire.sendall(b"x" * (4 * MIB))
        yield

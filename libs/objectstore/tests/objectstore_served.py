"""A store in a process of its own, and clients of it."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

WAIT_S = 30.0


@dataclass
class Keys:
    """What a user signs with."""

    access: str
    secret: str


@dataclass
class Served:
    """An embedded store in a process of its own, which may be killed and started again."""

    home: Path
    options: tuple[str, ...] = ()
    process: "subprocess.Popen[str] | None" = None
    url: str = ""
    users: list[Keys] = field(default_factory=list)

    def add_user(self, name: str) -> Keys:
        words = ("serve", "s3", "user", "add", name, "--home", self.home, "--json")
        done = subprocess.run(
            [sys.executable, "-m", "drover", *words], capture_output=True, text=True, check=True
        )
        row = json.loads(done.stdout)
        keys = Keys(row["access_key"], row["secret_key"])
        self.users.append(keys)
        return keys

    def start(self, **kwargs: Any) -> Self:
        port = self.url.rpartition(":")[2] or "0"
        words = ("serve", "s3", "--home", self.home, "--json", "--port", port, *self.options)
        with (self.home.parent / f"{self.home.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "drover", *words],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                **kwargs,
            )
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], WAIT_S)[0], self.log()
        line = self.process.stdout.readline()
        assert line, self.log()
        self.url = json.loads(line)["url"]
        return self

    def log(self) -> str:
        return (self.home.parent / f"{self.home.name}.log").read_text()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(WAIT_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def peak_mib(self) -> float:
        """Give the most memory that the process ever had."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        (line,) = (line for line in text.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    def blobs(self) -> list[Path]:
        folder = self.home / "store/blobs"
        found = []
        for path in folder.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                found += [path] if path.is_file() else []
        return found


def client(url: str, keys: Keys, **settings: Any) -> Any:
    """Make a boto3 client that reads no configuration of this machine's."""
    import boto3
    from botocore.config import Config

    given = {"retries": {"max_attempts": 1}, "connect_timeout": 5, "read_timeout": 60}
    return boto3.session.Session().client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=keys.access,
        aws_secret_access_key=keys.secret,
        region_name=settings.pop("region_name", "us-east-1"),
        config=Config(**given, **settings),
    )


def until(what: Callable[[], object], wait_s: float = WAIT_S) -> None:
    """Wait until something holds."""
    ends = time.monotonic() + wait_s
    while not what():
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.02)


@dataclass
class Store:
    """An S3 endpoint with two users, whatever is behind it."""

    kind: str
    url: str
    ann: Keys
    bob: Keys
    count: int = 0
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, keys: Keys | None = None, **settings: Any) -> Any:
        """Give a client, made once per kind: making one takes longer than most tests."""
        name = repr((keys or self.ann, settings))
        if name not in self.clients:
            self.clients[name] = client(self.url, keys or self.ann, **settings)
        return self.clients[name]

    def bucket(self, boto: Any) -> str:
        """Make a bucket with a name that no other test has."""
        self.count += 1
        name = f"test-{os.getpid()}-{self.count}"
        boto.create_bucket(Bucket=name)
        return name

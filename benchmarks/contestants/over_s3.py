"""A client of an S3 server, by boto3: small objects, large ones, very large ones, very many.

Where the server is stands in the environment, as S3 clients have it.
"""

import io
import os
import time
from importlib import import_module
from importlib.metadata import version
from typing import Any

from speech import Answer, Task, answer, took

# They bring no types.
boto3: Any = import_module("boto3")
Config: Any = import_module("botocore.config").Config
TransferConfig: Any = import_module("boto3.s3.transfer").TransferConfig

MIB = 1024 * 1024
SMALL = b"x" * 4096
PAGE = 1000


class Zeros(io.RawIOBase):
    """A body of some size that takes no memory; parts of it are read one after the other."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.at = size, 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Say where we are."""
        return self.at

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go somewhere."""
        self.at = (0, self.at, self.size)[whence] + offset
        return self.at

    def read(self, size: int = -1, /) -> bytes:
        """Give zeros."""
        left = self.size - self.at
        count = left if size < 0 else min(size, left)
        self.at += count
        return bytes(count)


def bucket() -> tuple[Any, str]:
    """Give a client and a bucket of its own."""
    # As the Qarnot SDK sets it up: no checksum that nobody asked for.
    config = Config(request_checksum_calculation="when_required", read_timeout=600)
    client = boto3.client("s3", config=config, region_name="us-east-1")
    name = f"bench-{os.getpid()}-{time.time_ns()}"
    client.create_bucket(Bucket=name)
    return client, name


def small(task: Task) -> Answer:
    """Put so many objects of 4 KiB, one after the other, and get them."""
    client, name = bucket()
    client.put_object(Bucket=name, Key="first", Body=SMALL)
    began = time.perf_counter()
    for number in range(task.jobs):
        client.put_object(Bucket=name, Key=f"k/{number}", Body=SMALL)
    put = time.perf_counter() - began
    began = time.perf_counter()
    for number in range(task.jobs):
        client.get_object(Bucket=name, Key=f"k/{number}")["Body"].read()
    got = time.perf_counter() - began
    return took(task.jobs, put, gets_per_s=task.jobs / got)


def large(task: Task) -> Answer:
    """Send an object of so many MiB and fetch it, as boto3 does: ten threads, 8 MiB each."""
    client, name = bucket()
    body, back = os.urandom(MIB) * task.jobs, io.BytesIO()
    began = time.perf_counter()
    client.upload_fileobj(io.BytesIO(body), name, "k")
    up = time.perf_counter() - began
    began = time.perf_counter()
    client.download_fileobj(name, "k", back)
    down = time.perf_counter() - began
    assert back.getvalue() == body
    return {"mib": task.jobs, "up_mib_per_s": task.jobs / up, "down_mib_per_s": task.jobs / down}


def huge(task: Task) -> Answer:
    """Send an object of so many MiB in parts and fetch it, keeping nothing of it."""
    client, name = bucket()
    settings = TransferConfig(multipart_chunksize=64 * MIB, max_concurrency=2)
    began = time.perf_counter()
    client.upload_fileobj(Zeros(task.jobs * MIB), name, "k", Config=settings)
    up = time.perf_counter() - began
    began, size = time.perf_counter(), 0
    for data in client.get_object(Bucket=name, Key="k")["Body"].iter_chunks(MIB):
        size += len(data)
    down = time.perf_counter() - began
    assert size == task.jobs * MIB
    client.delete_object(Bucket=name, Key="k")
    return {"mib": task.jobs, "up_mib_per_s": task.jobs / up, "down_mib_per_s": task.jobs / down}


def many(task: Task) -> Answer:
    """List so many objects, which somebody else has made in the bucket `many`."""
    client = boto3.client("s3", region_name="us-east-1")
    began = time.perf_counter()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="many")
    count = sum(len(page.get("Contents", ())) for page in pages)
    assert count == task.jobs
    return took(task.jobs, time.perf_counter() - began)


if __name__ == "__main__":
    answer(version("boto3"), small=small, large=large, huge=huge, many=many)

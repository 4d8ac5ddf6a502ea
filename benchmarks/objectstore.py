"""The embedded S3 store beside moto's server and a real Ceph: small, large and huge objects."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import psutil
from attrs import frozen
from peers import Peer, PeerMissingError
from stage import CONTESTANTS, Answer, Round, Scale, Stage, middle, ratios, values
from table import number, ratio, spread, table

from drover_objectstore import ObjectStore

TITLE: Final = "The object store"
UP: Final = Path(__file__).parents[1] / "clusters" / "s3"
PROGRAMS: Final = ("ceph", "ceph-mon", "ceph-osd", "radosgw")
MIB: Final = 1024 * 1024


@frozen
class Sizes:
    """How much is measured: rounds, objects of 4 KiB, MiB of a large and a huge one, and many."""

    rounds: int
    small: int
    large: int
    huge: int
    many: int


SIZES: Final[dict[Scale, Sizes]] = {
    "full": Sizes(3, 500, 200, 5 * 1024, 100_000),
    "quick": Sizes(1, 200, 100, 1024, 10_000),
    "tiny": Sizes(1, 3, 1, 6, 20),
}


@frozen
class Server:
    """A server that runs: how clients find it, and its process."""

    variables: dict[str, str]
    pid: int
    version: str

    def peak_mib(self) -> float:
        """Give the most memory that it ever had."""
        text = Path(f"/proc/{self.pid}/status").read_text("utf-8")
        return int(text.partition("VmHWM:")[2].split()[0]) / 1024

    def mib(self) -> float:
        """Give the memory that it has now."""
        return float(psutil.Process(self.pid).memory_info().rss) / MIB


def is_here() -> bool:
    """Tell whether a Ceph can be brought up."""
    return all(shutil.which(name) for name in PROGRAMS)


@contextmanager
def ours(stage: Stage, many: int = 0) -> Generator[Server]:
    """Serve a new folder, which has so many objects in a bucket of its own."""
    home = stage.folder("objectstore")
    drover = str(Path(sys.executable).with_name("drover"))
    words = [drover, "serve", "s3", "user", "add", "ann", "--home", str(home), "--json"]
    keys = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    if many:
        _fill(home / "store", many)
    words = [drover, "serve", "s3", "--home", str(home), "--port", "0", "--json", "--quiet"]
    with _process(words) as (process, line):
        variables = _variables(json.loads(line)["url"], keys["access_key"], keys["secret_key"])
        yield Server(variables, process.pid, "drover")


def _fill(folder: Path, many: int) -> None:
    """Make objects of no bytes, by several threads: they share the waits for the disk."""
    from concurrent.futures import ThreadPoolExecutor

    store = ObjectStore(folder)
    store.create_bucket("ann", "many")

    def put(each: int) -> None:
        store.put("ann", "many", f"folder-{each % 100}/{each:09}", ())

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(put, range(many)))
    store.close()


@contextmanager
def moto(peer: Peer) -> Generator[Server]:
    """Serve moto, which keeps all in memory and looks at no signature."""
    with _process([peer.python(), str(CONTESTANTS / peer.script)]) as (process, line):
        url, version = line.split()
        yield Server(_variables(url, "any", "any"), process.pid, version)


@contextmanager
def radosgw() -> Generator[Server]:
    """Bring a Ceph up in a folder of its own, in memory, too."""
    # Its sockets want a short path, shorter than that of the scratch folder may be.
    folder = Path(tempfile.mkdtemp(prefix="s3-"))
    try:
        argv = [sys.executable, str(UP / "up"), str(folder), "--port=23600"]
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        rows = [line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines()]
        pid = int((folder / "run/rgw.proc").read_text("utf-8").split()[0])
        yield Server(dict(rows), pid, "radosgw")
    finally:
        down = [sys.executable, str(UP / "down"), str(folder), "--wipe"]
        subprocess.run(down, check=True, stderr=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _process(words: Sequence[str]) -> Generator[tuple["subprocess.Popen[str]", str]]:
    """Run a server, whose first line says where it is."""
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline()
        finally:
            process.terminate()


def _variables(url: str, access_key: str, secret: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_CONFIG_FILE": os.devnull,
    }


def ask(stage: Stage, server: Server, subject: str, size: int) -> Answer:
    """Let a client do its work at a server."""
    before = dict(os.environ)
    os.environ.update(server.variables)
    try:
        return stage.run("over_s3.py", subject, jobs=size)
    finally:
        os.environ.clear()
        os.environ.update(before)


def measure(stage: Stage) -> list[Round]:
    size = SIZES[stage.scale]
    with ExitStack() as stack:
        servers = {"drover": stack.enter_context(ours(stage))}
        for peer in stage.stores:
            try:
                servers[peer.name] = stack.enter_context(moto(peer))
            except PeerMissingError as error:
                stage.tell(f"  {peer.name}: {error}")
        if is_here() and stage.scale != "tiny":
            servers["radosgw"] = stack.enter_context(radosgw())
        turns: dict[str, Callable[[], Answer]] = {
            f"{name} {subject}": partial(ask, stage, server, subject, count)
            for name, server in servers.items()
            for subject, count in (("small", size.small), ("large", size.large))
        }
        rounds = stage.interleave(size.rounds, turns)
    with ours(stage) as server:
        rest = server.mib()
        huge = ask(stage, server, "huge", size.huge)
        huge |= {"rest_mib": rest, "peak_mib": server.peak_mib()}
    stage.tell("  a huge object")
    with ours(stage, many=size.many) as server:
        many = ask(stage, server, "many", size.many)
        many |= {"rest_mib": rest, "peak_mib": server.peak_mib()}
    stage.tell("  many objects")
    return [{**rounds[0], "huge": huge, "many": many}, *rounds[1:]]


def section(rounds: Sequence[Round]) -> str:
    huge, many = rounds[0]["huge"], rounds[0]["many"]
    names = list(dict.fromkeys(word.split()[0] for word in rounds[0] if " " in word))
    heading = ("", "small PUT/s", "small GET/s", "up, MiB/s", "down, MiB/s")
    keys = (("small", "per_s"), ("small", "gets_per_s"), ("large", "up_mib_per_s"),
            ("large", "down_mib_per_s"))  # fmt: skip
    rows = [
        (name, *(spread(values(rounds, f"{name} {kind}", key)) for kind, key in keys))
        for name in names
    ]
    rows += [
        (
            f"Drover beside {name}",
            *(ratio(ratios(rounds, f"drover {kind}", f"{name} {kind}", key)) for kind, key in keys),
        )
        for name in names
        if name != "drover"
    ]
    size = number(huge["mib"] / 1024)
    alone: list[Sequence[str]] = [
        (f"an object of {size} GiB up, in parts", "MiB/s", number(huge["up_mib_per_s"]), ""),
        ("the same down, as one stream", "MiB/s", number(huge["down_mib_per_s"]), ""),
        ("memory at rest", "MiB", number(huge["rest_mib"]), ""),
        ("the most that the huge object took", "MiB", number(huge["peak_mib"]), "less than 200"),
        (f"{many['jobs']:,} objects listed", "objects/s", number(middle([many["per_s"]])), ""),
        ("the most that it took meanwhile", "MiB", number(many["peak_mib"]), ""),
    ]
    return f"""\
`drover serve s3` on this disk, every write on it before it is answered; moto's server and a Ceph
of one OSD keep all in memory, and moto looks at no signature. One client by boto3, set up as the
Qarnot SDK does: objects of 4 KiB one after the other, then one of some hundred MiB by ten threads.
Wanted: at least 2 times moto.

{table(heading, rows)}

Drover alone:

{table(("", "unit", "measured", "wanted"), alone)}
"""

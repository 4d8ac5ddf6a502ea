"""Inputs and outputs of attempts: files and folders here, objects in the store's buckets there.

Keys are numbers, since names may be what no store takes; what is meant is told by a list beside
them: `manifest.json` for inputs, `out.json`, made by the runner, for outputs.
"""

import json
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from drover.errors import BackendError
from drover.hookspecs import Context
from drover.models import (
    Attempt,
    Observation,
    Phase,
    Progress,
    Source,
    StageAnswer,
)
from drover_qarnot._book import Book
from drover_qarnot._cloud import Cloud, RefusedError
from drover_qarnot._names import OURS, bucket_name, input_prefix, result_key
from drover_qarnot._observing import outputs_of
from drover_qarnot._paths import base_of
from drover_qarnot._posting import input_key
from drover_qarnot._transfer import Mover

REPORT_S: Final = 0.5
"""Between two reports of how far a transfer is."""


class Staging:
    """Both directions."""

    def __init__(self, context: Context, cloud: Cloud, book: Book) -> None:
        self._context = context
        self._cloud = cloud
        self._book = book
        self._mover = Mover(cloud, book)

    # --- in ------------------------------------------------------------------------------------

    def bring(self, attempts: Sequence[Attempt]) -> list[StageAnswer]:
        """Upload inputs; those of an array once for all of its elements."""
        self._book.stage({
            attempt.token: input_prefix(input_key(attempt)) for attempt in attempts
        })  # fmt: skip
        done: dict[str, StageAnswer] = {}
        answers: list[StageAnswer] = []
        for attempt in attempts:
            key = input_key(attempt)
            if key not in done:
                done[key] = self._guarded(attempt, "inputs", self._upload)
            first = done[key]
            answers.append(
                StageAnswer(
                    token=attempt.token,
                    ok=first.ok,
                    message=first.message,
                    bytes_moved=first.bytes_moved if first.token == attempt.token else 0,
                )
            )
        return answers

    def _guarded(
        self, attempt: Attempt, what: str, work: Callable[[Attempt, "Meter"], int]
    ) -> StageAnswer:
        meter = Meter(self._context, attempt, what)
        try:
            moved = work(attempt, meter)
        except OSError as error:
            at = f" ({error.filename!r})" if error.filename else ""
            message = f"{what}: {(error.strerror or str(error)).lower()}{at}"
        except (RefusedError, BackendError) as error:
            message = f"{what}: {error}"
        else:
            return StageAnswer(token=attempt.token, ok=True, bytes_moved=moved)
        return StageAnswer(token=attempt.token, ok=False, message=message)

    def _upload(self, attempt: Attempt, meter: "Meter") -> int:
        files: dict[str, Path] = {}
        entries: list[dict[str, Any]] = []
        for number, transfer in enumerate(attempt.spec.inputs):
            source = Path(os.path.join(base_of(attempt), transfer.source))  # noqa: PTH118 - may be absolute
            _list(source, str(number), _inside(source, transfer.target), entries, files)
        bucket, prefix = self._bucket, input_prefix(input_key(attempt)) + f"{OURS}/in/"
        meter.total = sum(path.stat().st_size for path in files.values())
        self._cloud.make_bucket(bucket)
        sent = sum(
            self._mover.upload(path, bucket, prefix + key, meter.add) for key, path in files.items()
        )
        content = json.dumps({"entries": entries}).encode("ascii")
        self._cloud.put(bucket, f"{prefix}manifest.json", content)
        return sent

    @property
    def _bucket(self) -> str:
        return bucket_name(self._context.store_id, "in")

    # --- out -----------------------------------------------------------------------------------

    def fetch(self, attempts: Sequence[Attempt]) -> list[StageAnswer]:
        """Download outputs."""
        return [self._guarded(attempt, "outputs", self._download) for attempt in attempts]

    def _download(self, attempt: Attempt, meter: "Meter") -> int:
        member = self._book.members([attempt.token]).get(attempt.token)
        found = outputs_of(self._context.attempt_dir(attempt))
        if member is None or not found:
            raise RefusedError("the runner brought none back")
        if found["missing"]:
            raise RefusedError("; ".join(found["missing"]))
        bucket = str(self._book.body(member.batch)["results"])
        entries: list[dict[str, Any]] = found["entries"]
        meter.total = sum(entry.get("size", 0) for entry in entries)
        roots = [_root(attempt, number, entries) for number in range(len(attempt.spec.outputs))]
        came = 0
        for entry in entries:
            number, _, inner = entry["name"].partition("/")
            root = roots[int(number)]
            target = within(root, inner)
            if entry["kind"] == "folder":
                target.mkdir(parents=True, exist_ok=True)
            elif entry["kind"] == "link":
                _link(target, entry["to"])
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                key = result_key(member.batch, member.instance, f"out/{entry['key']}")
                mode = stat.S_IMODE(int(entry["mode"])) & 0o777
                came += self._mover.download(bucket, key, target, mode, meter.add)
        return came


class Meter:
    """Tell the engine how far a transfer is, now and then."""

    def __init__(self, context: Context, attempt: Attempt, what: str) -> None:
        self.total = 0
        self._context = context
        self._attempt = attempt
        self._what = what
        self._moved = 0
        self._told_at = 0.0

    def add(self, count: int) -> None:
        """Note that more is there."""
        self._moved += count
        if not self.total or time.monotonic() < self._told_at + REPORT_S:
            return
        self._told_at = time.monotonic()
        at = self._context.clock.time()
        text = f"{self._what}: {self._moved} of {self.total} bytes"
        progress = Progress(fraction=min(1.0, self._moved / self.total), text=text, at=at)
        self._context.report(
            [
                Observation(
                    token=self._attempt.token,
                    phase=Phase.UNKNOWN,
                    source=Source.SERVER,
                    at=at,
                    progress=progress,
                )
            ]
        )


def _inside(source: Path, target: str) -> str:
    """Put a file that goes to a folder inside it, as cp does."""
    if not source.is_dir() and (target.endswith("/") or target in {"", "."}):
        return target.rstrip("/") + "/" + source.name
    return target


def _list(
    path: Path, key: str, target: str, entries: list[dict[str, Any]], files: dict[str, Path]
) -> None:
    """List what a transfer consists of. A link that is named itself is followed."""
    if path.is_dir():
        entries.append({"kind": "folder", "target": target})
        for number, inner in enumerate(sorted(path.iterdir())):
            name, within_target = f"{key}.{number}", f"{target}/{inner.name}"
            if inner.is_symlink():
                entries.append(
                    {"kind": "link", "target": within_target, "to": str(inner.readlink())}
                )
            else:
                _list(inner, name, within_target, entries, files)
        return
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "only files, folders and links can be moved", str(path))
    files[key] = path
    mode = stat.S_IMODE(status.st_mode) & 0o777
    entries.append({"kind": "file", "key": key, "target": target, "mode": mode})


def _root(attempt: Attempt, number: int, entries: Sequence[dict[str, Any]]) -> Path:
    """Say where an output goes: a file that goes to a folder lies in it, as with cp."""
    transfer = attempt.spec.outputs[number]
    target = os.path.join(base_of(attempt), transfer.target)  # noqa: PTH118
    is_folder = any(e["name"] == str(number) and e["kind"] == "folder" for e in entries)
    if not is_folder and (target.endswith("/") or Path(target).is_dir()):
        target = os.path.join(target, os.path.basename(transfer.source))  # noqa: PTH118, PTH119
    return Path(target)


def within(root: Path, inner: str) -> Path:
    """Give a path below a root, on which no link leads out: the list comes from outside.

    Raises:
        RefusedError: It leads out.
    """
    path = root
    for word in inner.split("/") if inner else ():
        if word in {"", ".", ".."} or path.is_symlink():
            raise RefusedError(f"{inner!r} leads out of {str(root)!r}")
        path /= word
    return path


def _link(target: Path, to: str) -> None:
    if target.is_symlink() or target.is_file():
        target.unlink()
    target.symlink_to(to)

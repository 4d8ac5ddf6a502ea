"""What instances have written, whole and since the last look."""

import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from drover_qarnot.server._database import Database

STREAMS: Final = ("stdout", "stderr")
MOST_TOTAL: Final = 64 << 20
"""Bytes of one answer about all instances."""


class Outputs:
    """Read the files that runners write to."""

    def __init__(self, database: Database, most: int) -> None:
        self._database = database
        self._most = most
        self._turn = threading.Lock()

    def whole(self, folder: Path, stream: str, instance: int | None) -> str:
        """Read what is there: of one instance as it is, of all with its number before each line."""
        if instance is not None:
            return _text(read_from(file_of(folder, stream, instance), 0, self._most)[0])
        parts: list[str] = []
        total = 0
        for one in _present(folder, stream):
            data, _ = read_from(file_of(folder, stream, one), 0, self._most)
            total += len(data)
            if total > MOST_TOTAL:
                break
            parts.append(_numbered(one, _text(data)))
        return "".join(parts)

    def fresh(
        self, uuid: str, folder: Path, stream: str, instance: int | None, *, over: bool
    ) -> str:
        """Read what has come since the last call for the same stream and the same view.

        A line that is not whole yet is kept back in the view of all instances, save at the end.
        """
        view = "all" if instance is None else str(instance)
        with self._turn:
            row = self._database.first(
                "SELECT offsets FROM cursors WHERE task = ? AND stream = ? AND view = ?",
                uuid, stream, view,
            )  # fmt: skip
            offsets: dict[str, int] = {} if row is None else json.loads(row["offsets"])
            chosen = _present(folder, stream) if instance is None else [instance]
            parts: list[str] = []
            total = 0
            for one in chosen:
                at = offsets.get(str(one), 0)
                data, start = read_from(file_of(folder, stream, one), at, self._most)
                if instance is None and not over:
                    data = data[: data.rfind(b"\n") + 1]
                data = _whole_characters(data)
                if not data or total > MOST_TOTAL:
                    continue
                total += len(data)
                offsets[str(one)] = start + len(data)
                text = _text(data)
                parts.append(text if instance is not None else _numbered(one, text))
            if parts:
                with self._database.write() as connection:
                    connection.execute(
                        "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?, ?)",
                        (uuid, stream, view, json.dumps(offsets)),
                    )
        return "".join(parts)


def file_of(folder: Path, stream: str, instance: int) -> str:
    """Name the file of a stream of an instance."""
    return os.path.join(folder, "out", f"{instance}.{stream}")  # noqa: PTH118 - 10,000 of them


def _present(folder: Path, stream: str) -> Sequence[int]:
    try:
        names = os.listdir(folder / "out")  # noqa: PTH208
    except FileNotFoundError:
        return []
    ends = f".{stream}"
    return sorted(
        int(name.removesuffix(ends))
        for name in names
        if name.endswith(ends) and name.removesuffix(ends).isdigit()
    )


def read_from(path: str, at: int, most: int) -> tuple[bytes, int]:
    """Read from an offset on, the latest *most* bytes; say where they begin."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            end = os.fstat(file.fileno()).st_size
            start = max(at, end - most)
            file.seek(start)
            return file.read(end - start), start
    except FileNotFoundError:
        return b"", at


def _whole_characters(data: bytes) -> bytes:
    """Leave off a character of which only the first bytes have come."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        needed = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return data[:-back] if needed > back else data
    return data


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _numbered(instance: int, text: str) -> str:
    """Put the number before each line, and end the last one: the next instance begins anew."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return "".join(f"{instance}> {line}\n" for line in lines)

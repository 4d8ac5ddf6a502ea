"""What else is known of an object, as JSON in its row; empty where it is nothing special."""

import json
from collections.abc import Mapping
from typing import Any

from drover_objectstore.models import DEFAULT_TYPE, Described, ObjectInfo

COLUMNS = "key, size, etag, modified, facts"
"""What `info` reads of an object's row."""


def facts(described: Described, checksums: Mapping[str, str]) -> str:
    """Write down what was told of an object."""
    told = {
        "type": "" if described.content_type == DEFAULT_TYPE else described.content_type,
        "metadata": dict(described.metadata),
        "headers": dict(described.headers),
        "checksums": dict(checksums),
    }
    known = {name: value for name, value in told.items() if value}
    return json.dumps(known, separators=(",", ":")) if known else ""


def described(text: str) -> Described:
    """Read what was told of an object."""
    told: dict[str, Any] = json.loads(text) if text else {}
    return Described(
        content_type=told.get("type", DEFAULT_TYPE),
        metadata=told.get("metadata", {}),
        headers=told.get("headers", {}),
    )


def checksums(text: str) -> dict[str, str]:
    """Read the checksums."""
    return dict(json.loads(text).get("checksums", {})) if text else {}


def info(row: tuple[bytes, int, str, float, str]) -> ObjectInfo:
    """Make an object's description of its row."""
    key, size, etag, modified, text = row
    told = described(text)
    return ObjectInfo(
        key=key.decode(),
        size=size,
        etag=etag,
        modified=modified,
        content_type=told.content_type,
        metadata=told.metadata,
        headers=told.headers,
        checksums=checksums(text),
    )

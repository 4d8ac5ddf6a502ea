"""The programs that every task needs, uploaded once for each version of them."""

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from drover.commandline import WRAPPER
from drover_qarnot._names import OURS

RUNNER: Final = Path(__file__).with_name("runner.py")


@functools.cache
def tools() -> tuple[str, Mapping[str, bytes]]:
    """Give the programs that every task needs, and a prefix that names these very versions."""
    content = {f"{OURS}/{path.name}": path.read_bytes() for path in (RUNNER, WRAPPER)}
    digest = hashlib.sha256(b"\0".join(content[name] for name in sorted(content))).hexdigest()
    return f"tools/{digest[:32]}/", content

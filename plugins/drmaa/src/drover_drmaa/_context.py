"""A backend's context that knows two more commands: the worker's, and the word to wrappers."""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from drover.commandline.wrapper import REQUESTS
from drover.errors import UnreachableError
from drover.hookspecs import Clock, Completed, Context
from drover.models import Attempt, Observation
from drover_drmaa._control import TELL
from drover_drmaa._link import Link, Told
from drover_drmaa._template import COMMAND

GRID_ENGINE_COMMANDS: Final = frozenset(
    {"qstat", "qacct", "qdel", "qhold", "qrls", "qmod", "qconf"}
)


def ignore(_observations: Sequence[Observation]) -> None:
    """Note nothing."""


class RoutingContext:
    """The context that a backend was given, and where each of its commands goes."""

    def __init__(
        self,
        context: Context,
        link: Link,
        commands: str,
        note: Callable[[Sequence[Observation]], None],
    ) -> None:
        """Remember where commands go, and who is to *note* what is reported."""
        self._context = context
        self._note = note
        self._link = link
        self._commands = commands

    @property
    def name(self) -> str:
        """As given."""
        return self._context.name

    @property
    def home(self) -> Path:
        """As given."""
        return self._context.home

    @property
    def store_id(self) -> str:
        """As given."""
        return self._context.store_id

    @property
    def epoch(self) -> int:
        """As given."""
        return self._context.epoch

    @property
    def config(self) -> Mapping[str, Any]:
        """As given."""
        return self._context.config

    @property
    def around(self) -> str:
        """As given."""
        return self._context.around

    @property
    def clock(self) -> Clock:
        """As given."""
        return self._context.clock

    def attempt_dir(self, attempt: Attempt) -> Path:
        """As given."""
        return self._context.attempt_dir(attempt)

    def report(
        self, observations: Sequence[Observation], on_durable: Callable[[], None] | None = None
    ) -> None:
        """Report as given, and let it be noted."""
        self._context.report(observations, on_durable)
        self._note(observations)

    def run(self, argv: Sequence[str], *, input: bytes = b"", timeout_s: float = 30.0) -> Completed:
        """Ask the worker, leave word for a wrapper, or execute a command.

        Raises:
            UnreachableError: Nobody answers.
        """
        words = tuple(argv)
        if words[0] == TELL:
            return tell(words, input)
        if words[0] == COMMAND:
            if words[1] == "hello":
                return self._link.hello(words)
            return self._link.ask(words, input, timeout_s)
        if words[0] in GRID_ENGINE_COMMANDS:
            words = (program(words[0], self._commands, os.environ), *words[1:])
        return self._context.run(words, input=input, timeout_s=timeout_s)


def program(name: str, folder: str, variables: Mapping[str, str]) -> str:
    """Find a command of Grid Engine: in *folder*, by PATH, or where SGE_ROOT keeps them."""
    if folder:
        return str(Path(folder) / name)
    root = variables.get("SGE_ROOT", "")
    if not root or shutil.which(name, path=variables.get("PATH")):
        return name
    return next((str(path) for path in sorted(Path(root).glob(f"bin/*/{name}"))), name)


def tell(argv: tuple[str, ...], words: bytes) -> Completed:
    """Leave word for wrappers, each in its attempt's folder.

    Raises:
        UnreachableError: A folder cannot be written to.
    """
    for entry in json.loads(words):
        line = f"{entry['restart']} {entry['signal']} {entry['why']}\n"
        path = Path(entry["folder"]) / REQUESTS
        try:
            # Made by the wrapper when it begins; one that is not there is not listening yet.
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(line.encode("ascii"))
        except OSError as exc:
            raise UnreachableError("the job's wrapper", exc.strerror or str(exc)) from exc
    return Told(argv=argv, returncode=0, stdout="")

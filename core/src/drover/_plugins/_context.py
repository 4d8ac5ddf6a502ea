"""What a backend is given to work with."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from attrs import field, frozen

from drover._plugins._answers import sound_rows
from drover._plugins._environment import for_commands
from drover.commandline.tokens import attempt_path
from drover.errors import UnreachableError
from drover.hookspecs import Clock
from drover.models import Attempt, Observation

_NO_CONFIG: Final[Mapping[str, Any]] = MappingProxyType({})


@frozen(kw_only=True)
class CompletedCommand:
    """What an executed command came to."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


def _nobody_listens(_seen: Sequence[Observation], _on_durable: Callable[[], None] | None) -> None:
    """Drop a report: a client process asks, it does not observe."""


@frozen(kw_only=True)
class BackendContext:
    """The context of one backend object."""

    name: str
    home: Path
    store_id: str
    clock: Clock
    epoch: int = 0
    config: Mapping[str, Any] = _NO_CONFIG
    around: str = ""
    reporter: Callable[[Sequence[Observation], Callable[[], None] | None], None] = field(
        default=_nobody_listens, repr=False
    )

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes = b"",
        timeout_s: float = 30.0,
    ) -> CompletedCommand:
        """Execute a command without a shell, in a clean environment.

        Raises:
            UnreachableError: It is not there, or did not end in time and was killed.
        """
        try:
            done = subprocess.run(
                list(argv),
                input=input,
                capture_output=True,
                timeout=timeout_s,
                check=False,
                env=for_commands(os.environ),
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as exc:
            raise UnreachableError(argv[0], f"no answer within {timeout_s:g} s") from exc
        except OSError as exc:
            raise UnreachableError(argv[0], exc.strerror or str(exc), sent=False) from exc
        return CompletedCommand(
            argv=tuple(argv),
            returncode=done.returncode,
            stdout=done.stdout.decode("utf-8", "backslashreplace"),
            stderr=done.stderr.decode("utf-8", "backslashreplace"),
        )

    def attempt_dir(self, attempt: Attempt) -> Path:
        """Give the attempt's own folder, made with mode 0700 if it is not there yet."""
        path = attempt_path(self.home, attempt.job_id, attempt.number)
        for folder in (self.home / "jobs", path.parent, path):
            folder.mkdir(mode=0o700, exist_ok=True)
        return path

    def report(
        self, observations: Sequence[Observation], on_durable: Callable[[], None] | None = None
    ) -> None:
        """Tell the engine what was seen."""
        self.reporter(sound_rows(self.name, observations), on_durable)

"""What the command lines of all clusters have in common."""

import argparse
import os
from functools import partial
from pathlib import Path
from typing import Any


class ClusterError(Exception):
    """Say what is in the way, and what to do about it."""


def default_folder(kind: str) -> Path:
    """Name the folder of a person who has one cluster of a kind."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / kind


def parser(kind: str, title: str, parts: str) -> argparse.ArgumentParser:
    """Begin the command line of `up`."""
    made = argparse.ArgumentParser(
        prog=f"clusters/{kind}/up",
        description=f"Bring a real {title} up on this machine and print what to export. Starts "
        "what does not run, and nothing twice. Options are remembered in the folder.",
    )
    folder: dict[str, Any] = {"nargs": "?", "type": Path, "default": default_folder(kind)}
    made.add_argument("folder", **folder, help="default: %(default)s")
    made.add_argument("--only", metavar="DAEMON", help=f"start this one alone: {parts}")
    return made


def add_number(made: argparse.ArgumentParser, name: str, most: int, words: str) -> None:
    """Add an option that takes a number from 1 on."""
    made.add_argument(f"--{name}", type=partial(_up_to, most), metavar="N", help=words)


def _up_to(most: int, text: str) -> int:
    if not 0 < int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and {most}")
    return int(text)


def add_lines(made: argparse.ArgumentParser, words: str) -> None:
    """Add the option that sets a line of the cluster's own configuration."""
    made.add_argument("--set", action="append", type=_line, metavar="KEY=VALUE", help=words)


def _line(text: str) -> str:
    key, _, value = text.partition("=")
    if not key or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return text

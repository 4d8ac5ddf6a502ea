"""What a real Slurm said, to be said again; and the other side of a talk."""

import ast
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from attrs import frozen

from drover.commandline import Command, Known, Talk
from drover.models import Attempt, JobSpec, Order, Request, Verb

RECORDED = Path(__file__).parents[1] / "recorded"
FOLDER = Path("/attempts/7")
T = TypeVar("T")


@frozen
class Reply:
    """What a command came to."""

    stdout: str = ""
    stderr: str = ""
    returncode: int = 0
    argv: tuple[str, ...] = ("slurm",)


@cache
def page(name: str, version: str = "22.05") -> Mapping[str, Reply]:
    """Read a page of recorded replies, by their names."""
    text = (RECORDED / f"slurm-{version}" / f"{name}.txt").read_text("utf-8")
    return {part.partition("\n")[0]: _reply(part) for part in text.split("\n== ")[1:]}


def _reply(part: str) -> Reply:
    lines = part.split("\n")[1:]

    def said(mark: str) -> str:
        return "".join(line[2:] + "\n" for line in lines if line.startswith(f"{mark} "))

    words = re.findall(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\S+", said("$"))
    argv = tuple(ast.literal_eval(word) if word[0] in "'\"" else word for word in words)
    return Reply(said("|"), said("!"), int(said("=")), argv)


def play(talk: Talk[T], *replies: Reply | BaseException) -> tuple[T, list[Command]]:
    """Answer each command of a talk in turn; give what it came to, and what it asked."""
    asked: list[Command] = []
    left = list(replies)
    try:
        command = next(talk)
        while True:
            asked.append(command)
            assert left, f"one question too many: {command.argv}"
            reply = left.pop(0)
            command = talk.throw(reply) if isinstance(reply, BaseException) else talk.send(reply)
    except StopIteration as stop:
        assert not left, f"asked too little: {[command.argv for command in asked]}"
        return stop.value, asked


def spec(**fields: Any) -> JobSpec:
    """Give a specification."""
    return JobSpec(**{"argv": ("true",), **fields})


def known(native_id: str, key: str = "KEY", **facts: Any) -> Known:
    """Give an attempt that was handed over."""
    given: dict[str, Any] = {
        "token": f"token-{native_id}", "folder": FOLDER, "index": 0, "size": 1, "label": "true",
        "submission": native_id.partition("_")[0], **facts,
    }  # fmt: skip
    return Known(native_id=native_id, key=key, **given)


def order(native_id: str, verb: Verb = Verb.CANCEL, **facts: Any) -> Order:
    """Give a request about a job."""
    attempt = Attempt(
        job_id="j", number=1, token=f"token-{native_id}", spec=spec(), native_id=native_id
    )
    return Order(
        attempt=attempt,
        request=Request(id=f"{verb}-{native_id}", verb=verb, by="ann", at=0.0, **facts),
    )


def numbers(ids: Sequence[int]) -> list[str]:
    """Write ids as Slurm takes them."""
    return [str(number) for number in ids]

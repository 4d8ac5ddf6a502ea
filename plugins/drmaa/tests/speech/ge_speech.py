"""What a real Grid Engine said, to be said again; and the other side of a talk."""

import json
import re
import shlex
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from attrs import frozen

from drover.commandline import Command, Known, Talk
from drover.models import Attempt, JobSpec, Order, Request, Verb
from drover_drmaa._config import DrmaaConfig

RECORDED = Path(__file__).parents[1] / "recorded"
FOLDER = Path("/attempts/7")
CONFIG = DrmaaConfig()
SCRIPT = b"#!/bin/sh\nexec python wrapper.py --of LIST 0 '{JOB_ID}' '{RESTARTED}+'\n"
T = TypeVar("T")


@frozen
class Reply:
    """What a command came to."""

    stdout: str = ""
    stderr: str = ""
    returncode: int = 0
    argv: tuple[str, ...] = ("qstat",)


def told(returncode: int = 0, **answer: Any) -> Reply:
    """Give what the worker says."""
    return Reply(json.dumps(answer), returncode=returncode, argv=("drmaa",))


@cache
def page(name: str, version: str = "8.1.9") -> Mapping[str, Reply]:
    """Read a page of recorded replies, by their names."""
    text = (RECORDED / f"gridengine-{version}" / f"{name}.txt").read_text("utf-8")
    return {part.partition("\n")[0]: _reply(part) for part in text.split("\n== ")[1:]}


def _reply(part: str) -> Reply:
    lines = part.split("\n")[1:]

    def said(mark: str) -> str:
        return "".join(line[2:] + "\n" for line in lines if line.startswith(f"{mark} "))

    return Reply(said("|"), said("!"), int(said("=")), tuple(shlex.split(said("$"))))


def number_of(name: str) -> str:
    """Give the number of a recorded job by the label in its name."""
    text = page("queue")["listing"].stdout
    (number,) = set(re.findall(rf"number>(\d+)</.*\n.*\n.*<JB_name>{name}\+", text))
    return number


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
        "submission": native_id.partition(".")[0], **facts,
    }  # fmt: skip
    return Known(native_id=native_id, key=key, **given)


def order(native_id: str, verb: Verb = Verb.CANCEL, **facts: Any) -> Order:
    """Give a request about a job."""
    attempt = Attempt(
        job_id="j", number=1, token=f"token-{native_id}", spec=spec(), native_id=native_id
    )
    request = Request(id=f"{verb}-{native_id}", verb=verb, by="ann", at=0.0, **facts)
    return Order(attempt=attempt, request=request)

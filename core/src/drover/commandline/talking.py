"""Talk with a scheduler's commands, without executing any here.

A *talk* is a generator that yields the commands it needs and is sent what each came to. It does no
input or output of its own: `converse` executes, a test sends recorded replies. A command that
could not be executed is thrown into the talk as `UnreachableError`; a talk that does not catch it
is over.
"""

from collections.abc import Generator
from typing import TypeVar

from attrs import field, frozen

from drover.errors import UnreachableError
from drover.hookspecs import Completed, Context

T = TypeVar("T")


@frozen(kw_only=True)
class Command:
    """What is to be executed: an argv, never a shell's text."""

    argv: tuple[str, ...]
    input: bytes = field(default=b"", repr=False)
    timeout_s: float = 30.0


Talk = Generator[Command, Completed, T]


def converse(context: Context, talk: Talk[T]) -> T:
    """Execute what a talk asks for, to its end.

    Returns:
        What the talk came to.

    Raises:
        UnreachableError: A command could not be executed, and the talk had no use for that.
    """
    try:
        command = next(talk)
        while True:
            try:
                reply = context.run(command.argv, input=command.input, timeout_s=command.timeout_s)
            except UnreachableError as exc:
                command = talk.throw(exc)
            else:
                command = talk.send(reply)
    except StopIteration as stop:
        result: T = stop.value
        return result

"""What an outside system caused."""

from drover.errors._base import DroverError, short


class BackendError(DroverError):
    """Catch what an outside system caused. Never raised itself.

    Raised when: a scheduler, server or agent said no, or nothing.

    Left behind: jobs are as they were; what a call did that got no answer is found out later.

    What to do: try again later; `drover doctor` says whether the system answers.
    """


class CallOverdueError(BackendError):
    """A backend call did not return in its time; its answer is unknown.

    Raised when: a call takes longer than the plugin says that it may (`Capabilities.call_s`).

    Left behind: the call goes on in a thread that nobody listens to; whether a job was taken is
        found out by its token before anything is repeated.

    What to do: see whether the system answers, with `drover doctor`. Jobs need nothing done.

    Try it: let `drover_submit` of a plugin of your own sleep for an hour; `drover history ID`
        tells.

    Attributes:
        backend: The backend's name.
        hook: What was called.
        deadline_s: How long it had, in seconds.
    """

    def __init__(self, backend: str, hook: str, deadline_s: float) -> None:
        self.backend, self.hook, self.deadline_s = backend, hook, deadline_s
        super().__init__(
            f"backend {backend!r} did not answer {hook} within {deadline_s:g} s; what it did "
            f"is unknown. See: drover doctor {backend}"
        )


class UnreachableError(BackendError):
    """The outside system cannot be asked now. Says nothing about any job.

    Raised when: a command of a scheduler cannot be run or gives no answer in time, or a server or
        agent cannot be reached.

    Left behind: jobs are as they were. The engine asks again by itself.

    What to do: see whether the system works, with `drover doctor`.

    Try it: end the agent of the local backend while its jobs run: the next question goes to
        another.

    Attributes:
        system: Who was asked.
        why: What happened instead.
        sent: Whether it may have heard the question. False: nothing was asked.
    """

    def __init__(self, system: str, why: str, *, sent: bool = True) -> None:
        self.system, self.why, self.sent = system, why, sent
        super().__init__(f"{system} cannot be reached: {why}. Its jobs are as they were")


class UnreadableReplyError(BackendError):
    """An outside system answered what cannot be read.

    Raised when: a plugin reads the answer of a scheduler or server and finds another form than
        the manual has.

    Left behind: jobs are as they were: what cannot be read is no evidence.

    What to do: report it to the plugin's authors, with the version of the system.

    Try it: put a program named like the scheduler's command first in PATH that prints something
        else.

    Attributes:
        system: Who answered.
        reply: The answer, whole; the message shows its beginning.
        why: What is wrong with it.
    """

    def __init__(self, system: str, reply: str, why: str) -> None:
        self.system, self.reply, self.why = system, reply, why
        super().__init__(f"cannot read what {system} answered ({why}): {short(reply)}")

"""Ask accounting with sacct: how jobs ended that have left the queue, and what they used."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import field, frozen

from drover.commandline import Command, Row
from drover.errors import UnreachableError
from drover.hookspecs import Completed
from drover.models import EndReport, Phase, Source, Usage
from drover_slurm._queue import said
from drover_slurm._times import instant, span
from drover_slurm._words import meaning

FIELDS: Final[Sequence[str]] = (
    "JobID", "State", "ExitCode", "Submit", "Start", "End", "UserCPU", "SystemCPU", "MaxRSS",
    "ElapsedRaw", "ConsumedEnergyRaw", "NodeList", "JobName",
)  # fmt: skip
"""The name comes last: that of a stranger's job may hold anything."""
_OFF: Final = ("accounting storage is disabled", "only supported for the accounting_storage")
_KEPT_BITS: Final = 128
NOT_LAUNCHED: Final = "53"
"""In the place of a signal: slurmd could not begin it, as where its output cannot be written."""
_HOST_LISTS: Final = "["


class AccountingOffError(UnreachableError):
    """This cluster keeps no accounts."""


@frozen(kw_only=True)
class Account:
    """What accounting says of one job, its steps summed up."""

    native_id: str
    word: str
    name: str
    exit_code: str
    submitted_at: float | None
    started_at: float | None
    ended_at: float | None
    usage: Usage = field(factory=Usage)

    @property
    def key(self) -> str:
        """Give what the name ends with; ours is the key of the submission."""
        return self.name.rpartition("@")[2]


def command(ids: Iterable[str], timeout_s: float) -> Command:
    """Ask for jobs by id, earlier runs of requeued ones included."""
    argv = ("sacct", "-n", "-P", "-D", "--noconvert", "-j", ",".join(ids), *_format())
    return Command(argv=argv, timeout_s=timeout_s)


def search_command(names: Sequence[str], since: str, timeout_s: float) -> Command:
    """Ask for jobs by name, submitted or run since an instant."""
    argv = ("sacct", "-n", "-P", "-X", "--noconvert", "-S", since, "--name", ",".join(names))
    return Command(argv=(*argv, *_format()), timeout_s=timeout_s)


def _format() -> tuple[str, str]:
    return ("-o", ",".join(FIELDS))


def read(reply: Completed) -> list[Account]:
    """Read accounts, of a job that ran several times the last.

    Raises:
        AccountingOffError: There are none here.
        UnreachableError: The command failed: nothing was learned.
    """
    if reply.returncode != 0 or ("error" in reply.stderr.lower() and not reply.stdout.strip()):
        if any(words in reply.stderr for words in _OFF):
            raise AccountingOffError("sacct", "this cluster keeps no accounts")
        raise UnreachableError("sacct", said(reply))
    if reply.stdout and not reply.stdout.endswith("\n"):
        raise UnreachableError("sacct", "its answer was cut off")
    jobs: dict[str, list[dict[str, str]]] = {}
    steps: dict[str, list[dict[str, str]]] = {}
    for line in reply.stdout.splitlines():
        parts = line.split("|", len(FIELDS) - 1)
        if len(parts) < len(FIELDS) or not parts[0][:1].isdigit():
            continue
        row: dict[str, str] = dict(zip(FIELDS, parts, strict=True))
        job, dot, _ = row["JobID"].partition(".")
        (steps if dot else jobs).setdefault(job, []).append(row)
    return [_account(job, rows, steps.get(job, ())) for job, rows in jobs.items()]


def _account(
    job: str, rows: Sequence[Mapping[str, str]], steps: Iterable[Mapping[str, str]]
) -> Account:
    # They come in their order, and two of one second are possible: a job requeued at once.
    last = max(reversed(rows), key=lambda row: row["Submit"])
    return Account(
        native_id=job,
        word=last["State"],
        name=last["JobName"],
        exit_code=last["ExitCode"],
        submitted_at=instant(last["Submit"]),
        started_at=instant(last["Start"]),
        ended_at=instant(last["End"]),
        usage=_usage(last, [step for step in steps if step["Submit"] >= last["Submit"]]),
    )


def _usage(row: Mapping[str, str], steps: Sequence[Mapping[str, str]]) -> Usage:
    sizes = [size for step in steps if (size := _bytes(step["MaxRSS"])) is not None]
    energy = row["ConsumedEnergyRaw"]
    elapsed = row["ElapsedRaw"]
    nodes = tuple(expand_hosts(row["NodeList"]))
    return Usage(
        cpu_user_s=span(row["UserCPU"]) if sizes else None,
        cpu_system_s=span(row["SystemCPU"]) if sizes else None,
        max_rss_bytes=max(sizes, default=None),
        wall_s=float(elapsed) if elapsed.isdecimal() else None,
        host=nodes[0] if nodes else None,
        nodes=nodes,
        energy_j=float(energy) if energy.isdecimal() and int(energy) else None,
    )


def _bytes(text: str) -> int | None:
    """Read a size; `--noconvert` gives bytes, or KiB with a K where that was gathered so."""
    factor = {"K": 2**10, "M": 2**20, "G": 2**30}.get(text[-1:], 1)
    number = text.rstrip("KMG")
    try:
        return int(float(number) * factor) or None
    except ValueError:
        return None


def expand_hosts(text: str) -> list[str]:
    """Spell out a host list: `node[1-3,7],login` are five names, in their order."""
    names: list[str] = []
    for part in _split(text):
        head, bracket, rest = part.partition(_HOST_LISTS)
        if not bracket:
            if part and part not in {"None assigned", "None", "(null)"}:
                names.append(part)
            continue
        inner, _, tail = rest.partition("]")
        for piece in inner.split(","):
            first, _, last = piece.partition("-")
            if not first.isdecimal():
                continue
            numbers = range(int(first), int(last if last.isdecimal() else first) + 1)
            spelt = (f"{head}{number:0{len(first)}}{tail}" for number in numbers)
            names += [name for one in spelt for name in expand_hosts(one)]
    return names


def _split(text: str) -> Iterable[str]:
    """Split at the commas outside of brackets."""
    start = depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == "," and not depth:
            yield text[start:place]
            start = place + 1
    yield text[start:]


def row_of(account: Account) -> Row | None:
    """Make the row of a job that has ended; of any other, accounting is no witness."""
    what = meaning(account.word)
    if what.phase is not Phase.ENDED or account.ended_at is None:
        return None
    code, _, number = account.exit_code.partition(":")
    if number == NOT_LAUNCHED:
        what = meaning("LAUNCH_FAILED")
        number = ""
    exit_code = int(code) if code.isdecimal() else None
    signal = int(number) if number.isdecimal() and 0 < int(number) <= 64 else None
    message = "" if what.reason is None else f"accounting says {account.word}"
    if what.reason is not None:
        exit_code = exit_code or None
    if signal is not None:
        exit_code = None
    elif exit_code and account.word.startswith("FAILED") and exit_code < _KEPT_BITS:
        message = f"by accounting, which writes {exit_code} for {exit_code + _KEPT_BITS} as well"
    return Row(
        native_id=account.native_id,
        submission=account.native_id.partition("_")[0],
        key=account.key,
        phase=Phase.ENDED,
        source=Source.ACCOUNTING,
        word=account.word,
        submitted_at=account.submitted_at,
        started_at=account.started_at,
        end=EndReport(
            source=Source.ACCOUNTING,
            at=account.ended_at,
            exit_code=exit_code,
            signal=signal,
            reason=what.reason,
            native_id=account.native_id,
            usage=account.usage,
            message=message,
        ),
    )

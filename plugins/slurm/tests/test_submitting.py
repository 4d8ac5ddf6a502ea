"""What sbatch answers to words that it does not know, as sbatch 22.05.8 said it."""

import pytest
from attrs import frozen

from drover.models import Answer
from drover_slurm._submitting import read

HELP = 'Try "sbatch --help" for more information\n'


@frozen
class Reply:
    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


@pytest.mark.parametrize(
    "said",
    [
        f"sbatch: unrecognized option '--nonesuch-flag'\n{HELP}",
        f"sbatch: option '--no' is ambiguous; possibilities: '--no-kill' '--no-requeue'\n{HELP}",
        f"sbatch: option '--mem' requires an argument\n{HELP}",
        f"sbatch: invalid option -- 'Y'\n{HELP}",
        f"sbatch: option '--overcommit' doesn't allow an argument\n{HELP}",
        "sbatch: error: Invalid --mem specification\n",
    ],
)
def test_words_that_sbatch_does_not_know_are_refused(said: str) -> None:
    """Nobody was asked: taken for an answer that got lost, it is tried again for ever."""
    told = read(Reply(("sbatch",), 255, "", said))

    assert (Answer.REFUSED, False) == (told.answer, told.retryable)
    assert told.message


def test_what_says_nothing_of_the_kind_stays_in_doubt() -> None:
    told = read(Reply(("sbatch",), 1, "", "sbatch: something went wrong\n"))

    assert Answer.UNKNOWN is told.answer

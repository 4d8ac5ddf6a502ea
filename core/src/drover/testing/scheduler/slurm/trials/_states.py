"""States that clients have taken for an end, or have never heard of."""

from drover.testing.scheduler.slurm._scheduler import STRANGE
from drover.testing.scheduler.slurm.trials._stage import (
    POLLS_S,
    SUBMIT,
    Play,
    Stage,
    add,
    plain,
    trial,
)


def _shows(word: str) -> None:
    def play(stage: Stage) -> Play:
        yield SUBMIT
        yield 1.0
        stage.start()
        yield 60.0
        stage.change(word=word)
        yield POLLS_S
        stage.change(word="")
        stage.end()
        yield POLLS_S

    add(f"shows_{word.lower()}", f"The queue shows {word} for a while.", play)


for _word in (
    "SUSPENDED", "RESIZING", "STOPPED", "SIGNALING", "STAGE_OUT", "CONFIGURING", "COMPLETING",
    "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD", "REVOKED", "LF",
    STRANGE.decode(),
):  # fmt: skip
    _shows(_word)


@trial()
def strange_neighbour(stage: Stage) -> Play:
    """Another job shows a word that nobody knows."""
    stage.running_neighbour("neighbour", word=STRANGE.decode())
    yield from plain(stage)

"""Every error: what happened, to what, and what to do next."""

import inspect
import pickle

import pytest

from drover import errors
from drover.errors import DroverError
from drover.states import State

SAMPLES: list[tuple[DroverError, list[str]]] = [
    (
        errors.InvalidSpecError("resources.memory", "8 elephants", "give a size"),
        ["resources.memory", "'8 elephants'", "give a size"],
    ),
    (
        errors.UnknownFieldError("native.local", "argz", ["argv", "cwd"]),
        ["native.local", "'argz'", "did you mean 'argv'?", "argv, cwd"],
    ),
    (
        errors.UnsupportedFieldError("local", [("queue", "there is one queue")]),
        ["'local'", "queue: there is one queue", "allow='queue'"],
    ),
    (
        errors.UnknownBackendError("slurm", ["local"], "drover-slurm"),
        ["'slurm'", "Installed: local", "pip install drover-slurm"],
    ),
    (
        errors.UnknownBackendError("locl", ["local"]),
        ["'locl'", "did you mean 'local'?", "Try: drover backends"],
    ),
    (errors.UnknownJobError("abc"), ["'abc'", "drover ps --all"]),
    (
        errors.AmbiguousJobError("a", [f"a{n}" for n in range(9)]),
        ["'a'", "a0, a1, a2, a3, a4, ...", "Type more"],
    ),
    (errors.DependencyCycleError(["a", "b", "a"]), ["a -> b -> a", "Remove one `after`"]),
    (errors.KeyConflictError("k", "j1"), ["'k'", "j1", "Use another key"]),
    (
        errors.ConfigError("/etc/x.toml", "cannot be read"),
        ["/etc/x.toml", "cannot be read", "drover config show --origin"],
    ),
    (
        errors.IllegalRequestError("j1", "retry", State.RUNNING, "it has not ended"),
        ["cannot retry", "j1", "RUNNING", "it has not ended"],
    ),
    (
        errors.WaitTimeoutError("j1", State.QUEUED, 2.5, "j0"),
        ["j1", "QUEUED", "behind job j0", "2.5 s", "drover cancel j1"],
    ),
    (
        errors.JobFailed("j1", State.FAILED, "exit code 3"),
        ["j1", "FAILED", "exit code 3", "drover show j1"],
    ),
    (
        errors.IllegalTransitionError("j1", State.FAILED, "Started", State.RUNNING),
        ["j1", "FAILED", "Started", "to RUNNING", "nothing was changed", "drover history j1"],
    ),
    (
        errors.PluginError("p", "drover_plan", "ValueError: no"),
        ["'p'", "drover_plan", "ValueError: no", "drover doctor p"],
    ),
    (
        errors.MisspeltHookError("p", "drover_sumbit", ["drover_submit"]),
        ["'p'", "drover_sumbit", "did you mean 'drover_submit'?"],
    ),
    (errors.MisspeltHookError("p", "x", ["drover_submit"]), ["there is no such hook. See:"]),
    (
        errors.BrokenPluginError("p", "ImportError: no x", "Traceback ..."),
        ["'p'", "loading", "ImportError: no x"],
    ),
    (
        errors.CallOverdueError("b", "drover_submit", 60.0),
        ["'b'", "drover_submit", "60 s", "unknown", "drover doctor b"],
    ),
    (errors.UnreachableError("slurmctld", "refused"), ["slurmctld", "refused", "as they were"]),
    (
        errors.UnreadableReplyError("sacct", "x" * 500, "9 fields"),
        ["sacct", "9 fields", "502 characters"],
    ),
    (
        errors.StoreVersionError("/s", 9, 1),
        ["'/s'", "schema 9", "up to 1", "pip install -U drover", "--home"],
    ),
    (errors.StoreUnusableError("/s", "no permission"), ["'/s'", "no permission"]),
    (errors.StoreReadOnlyError("/s", "it is a copy"), ["'/s'", "read-only", "--home"]),
    (errors.StoreElsewhereError("/s", "node7", "node8"), ["'/s'", "node7", "node8", "--home"]),
    (errors.StaleEpochError(3, 4), ["3", "4", "leave"]),
    (
        errors.EngineUnavailableError("/s", "it left with 1", "/s/engine.log"),
        ["'/s'", "it left with 1", "/s/engine.log", "Jobs are kept", "drover engine restart"],
    ),
]
CLASSES = {
    kind
    for kind in vars(errors).values()
    if inspect.isclass(kind) and issubclass(kind, DroverError)
}
BASES = {DroverError, errors.UserError, errors.BackendError, errors.StoreError}


def test_every_error_has_a_sample_here() -> None:
    """An error that nobody has read is one that nobody can act on."""
    assert CLASSES - BASES == {type(sample) for sample, _ in SAMPLES}


@pytest.mark.parametrize(("error", "parts"), SAMPLES, ids=lambda value: type(value).__name__)
def test_a_message_says_what_happened_and_what_to_do(error: DroverError, parts: list[str]) -> None:
    text = str(error)

    assert [] == [part for part in parts if part not in text], text


@pytest.mark.parametrize("error", [sample for sample, _ in SAMPLES])
def test_a_message_reads_as_part_of_a_sentence(error: DroverError) -> None:
    """It is shown after a prefix; a long value must not bury the reason."""
    text = str(error)

    assert not text[0].isupper()
    assert "\n" not in text
    assert len(text) < 400


@pytest.mark.parametrize(
    "error",
    [
        errors.UnknownJobError("a" * 10**7),
        errors.AmbiguousJobError("a" * 10**7, ["a1", "a2"]),
        errors.UnknownBackendError("a" * 10**7, ["local"]),
        errors.UnknownFieldError("JobSpec", "a" * 10**7, ["argv"]),
        errors.KeyConflictError("a" * 10**7, "j1"),
        errors.InvalidSpecError("name", "a" * 10**7, "too long"),
        errors.UnreadableReplyError("sacct", "a" * 10**7, "9 fields"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_megabytes_of_input_are_not_said_back(error: DroverError) -> None:
    """What was pasted by mistake must not fill the screen, nor be compared for minutes."""
    assert len(str(error)) < 400


@pytest.mark.parametrize("error", [sample for sample, _ in SAMPLES])
def test_a_sentence_ends_once(error: DroverError) -> None:
    assert ".." not in str(error).replace("...", "")


@pytest.mark.parametrize("error", [sample for sample, _ in SAMPLES])
def test_the_facts_are_attributes(error: DroverError) -> None:
    """Programs act on facts, not on sentences."""
    wanted = [
        name
        for name in inspect.signature(type(error).__init__).parameters
        if name not in {"self", "target", "distribution"}
    ]

    assert [] == [name for name in wanted if not hasattr(error, name)]


@pytest.mark.parametrize("kind", sorted(CLASSES - BASES, key=lambda kind: kind.__name__))
def test_every_error_has_one_guilty_party(kind: type[DroverError]) -> None:
    """Who catches `UserError` must not get what is no fault of the user's."""
    guilt = [base for base in BASES - {DroverError} if issubclass(kind, base)]

    assert len(guilt) <= 1


def test_a_time_out_is_pythons_too() -> None:
    assert issubclass(errors.WaitTimeoutError, TimeoutError)


@pytest.mark.parametrize("error", [sample for sample, _ in SAMPLES])
def test_an_error_passes_between_processes(error: DroverError) -> None:
    """Pools pickle what their workers raise; an error that cannot be read kills the pool."""
    copy = pickle.loads(pickle.dumps(error))

    assert (type(error), str(error)) == (type(copy), str(copy))

"""Plugins as they come: installed like a stranger's, broken in every way, around each other."""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from drover._plugins import (
    BackendContext,
    assemble,
    backend_names,
    broken_plugins,
    found,
    load_backend,
    named,
    scrubbed,
    wrappers,
)
from drover.config import Config, load
from drover.errors import (
    BrokenPluginError,
    InvalidSpecError,
    MisspeltHookError,
    PluginError,
    UnknownBackendError,
    UnreachableError,
)
from drover.hookspecs import hookimpl
from drover.models import Attempt, Capabilities, JobSpec, Plan
from drover.testing import FakeClock

GOOD = """
    from drover.hookspecs import hookimpl
    from drover.models import Capabilities, Plan

    class Backend:
        def __init__(self, context):
            self.context = context

        @hookimpl
        def drover_capabilities(self):
            return Capabilities(window=7)

        @hookimpl
        def drover_plan(self, spec):
            return Plan(command=spec.argv, script=str(dict(self.context.config)))
"""

PICKY = """
    from drover.errors import InvalidSpecError

    def Backend(context):
        raise InvalidSpecError("partition", 3, "give a name")
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution with one module, for this process."""
    monkeypatch.syspath_prepend(tmp_path)
    count = 0

    def make(name: str, source: str, *, group: str = "drover.backends") -> None:
        nonlocal count
        count += 1
        module = f"installed_{count}_{name}"
        (tmp_path / f"{module}.py").write_text(dedent(source))
        info = tmp_path / f"{module}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:Backend\n")
        found.cache_clear()

    yield make
    found.cache_clear()
    for module in [word for word in sys.modules if word.startswith("installed_")]:
        del sys.modules[module]


@pytest.fixture
def context(tmp_path: Path) -> BackendContext:
    return BackendContext(name="b", home=tmp_path, store_id="s", clock=FakeClock())


def settings(tmp_path: Path, text: str) -> Config:
    (tmp_path / "drover.toml").write_text(dedent(text))
    return load(tmp_path, {})


# Found


def test_listing_imports_nothing(install: Install) -> None:
    """One broken plugin must not break the list in which one looks for what is broken."""
    install("broken", "raise RuntimeError")

    entry = backend_names(Config())["broken"]

    assert ("broken", "installed_1_broken 1.5") == (entry.plugin, entry.distribution)
    assert "installed_1_broken" not in sys.modules


def test_an_installed_backend_is_called(install: Install, context: BackendContext) -> None:
    install("good", GOOD)
    backend = load_backend("good", context, Config())

    assert 7 == backend.capabilities.window
    assert ("x",) == backend.call("drover_plan", spec=JobSpec(argv=["x"])).command


def test_a_hook_that_is_not_there_answers_none(install: Install, context: BackendContext) -> None:
    install("good", GOOD)

    assert None is load_backend("good", context, Config()).call("drover_find", tokens=["t"])


def test_a_backend_of_ours_that_is_missing_says_what_to_install() -> None:
    with pytest.raises(UnknownBackendError, match="pip install drover-playmolecule"):
        named("playmolecule", Config())


def test_a_strangers_backend_that_is_missing_says_what_is_there(install: Install) -> None:
    """No guess at a distribution's name: somebody else may have taken it."""
    install("good", GOOD)

    with pytest.raises(UnknownBackendError, match=r"did you mean 'good'\?.*Try: drover backends"):
        named("goood", Config())


def test_an_instance_of_a_missing_plugin_names_the_plugin(tmp_path: Path) -> None:
    config = settings(tmp_path, '[backends.cluster]\nplugin = "playmolecule"')

    with pytest.raises(UnknownBackendError, match="pip install drover-playmolecule"):
        named("cluster", config)


def test_one_plugin_makes_many_backends(
    install: Install, tmp_path: Path, context: BackendContext
) -> None:
    install("good", GOOD)
    config = settings(tmp_path, '[backends.two]\nplugin = "good"\npartition = "fast"')
    names = backend_names(config)

    assert ("good", {"partition": "fast"}) == (names["two"].plugin, names["two"].options)
    assert 7 == load_backend("two", context, config).capabilities.window


# Broken


def refused(install: Install, context: BackendContext, source: str) -> PluginError:
    install("bad", source)
    with pytest.raises(PluginError) as caught:
        load_backend("bad", context, Config())
    assert "bad" == caught.value.plugin
    return caught.value


def test_a_misspelt_hook_is_refused_with_the_near_miss(
    install: Install, context: BackendContext
) -> None:
    """Unmarked, pluggy passes it over in silence: the backend would never be asked to submit."""
    error = refused(
        install, context, GOOD + "\n        @hookimpl\n        def drover_sumbit(self): ..."
    )

    assert isinstance(error, MisspeltHookError)
    assert "did you mean 'drover_submit'?" in str(error)


def test_a_hook_without_its_mark_is_refused(install: Install, context: BackendContext) -> None:
    error = refused(install, context, GOOD + "\n        def drover_submit(self, attempts): ...")

    assert "drover_submit has no @hookimpl" in str(error)


def test_a_hook_with_other_arguments_is_refused(install: Install, context: BackendContext) -> None:
    error = refused(
        install, context, GOOD + "\n        @hookimpl\n        def drover_find(self, token): ..."
    )

    assert "token" in str(error)


def test_a_hook_may_name_fewer_arguments(install: Install, context: BackendContext) -> None:
    """So that a hook can get an argument more without breaking what is installed."""
    install("good", GOOD + "\n        @hookimpl\n        def drover_find(self): return []")

    assert () == load_backend("good", context, Config()).call("drover_find", tokens=[])


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import nowhere_to_be_found", "nowhere_to_be_found"),
        ("raise KeyError('x')", "KeyError: 'x'"),
        ("import sys; sys.exit('no licence')", "SystemExit: no licence"),
        ("this is no python", "SyntaxError"),
        ("x = 1", "AttributeError"),
        ("def Backend(context): raise OSError('no server')", "OSError: no server"),
        ("def Backend(): ...", "TypeError"),
        ("import sys\ndef Backend(context): sys.exit(3)", "SystemExit: 3"),
    ],
)
def test_what_cannot_be_loaded_is_broken(
    install: Install, context: BackendContext, source: str, why: str
) -> None:
    """Whatever a stranger's code does when it is loaded, it does to itself."""
    error = refused(install, context, source)

    assert isinstance(error, BrokenPluginError)
    assert why in str(error)
    assert "Traceback" in error.traceback


def test_a_broken_one_harms_no_other(install: Install, context: BackendContext) -> None:
    install("good", GOOD)
    refused(install, context, "raise RuntimeError")

    assert 7 == load_backend("good", context, Config()).capabilities.window


def test_a_factory_may_refuse_its_settings(install: Install, context: BackendContext) -> None:
    """What a backend says about its own table reaches the user as it is."""
    install("picky", PICKY)

    with pytest.raises(InvalidSpecError, match="give a name"):
        load_backend("picky", context, Config())


class Raising:
    @hookimpl
    def drover_plan(self, spec: JobSpec) -> Plan:
        if spec.name:
            raise InvalidSpecError("name", spec.name, "not here")
        message = "oops"
        raise ValueError(message)


def test_an_exception_in_a_hook_is_the_plugins_fault() -> None:
    backend = assemble("b", Raising(), {})

    with pytest.raises(PluginError, match="ValueError: oops") as caught:
        backend.call("drover_plan", spec=JobSpec(argv=["x"]))
    assert ("b", "drover_plan") == (caught.value.plugin, caught.value.hook)
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_error_of_ours_in_a_hook_comes_as_it_is() -> None:
    with pytest.raises(InvalidSpecError, match="not here"):
        assemble("b", Raising(), {}).call("drover_plan", spec=JobSpec(argv=["x"], name="n"))


def test_a_backend_without_capabilities_can_only_cancel() -> None:
    assert Capabilities() == assemble("b", Raising(), {}).capabilities


def test_capabilities_of_another_kind_are_refused() -> None:
    class Odd:
        @hookimpl
        def drover_capabilities(self) -> Any:
            return {"window": 3}

    with pytest.raises(PluginError, match=r"answered \{'window': 3\}"):
        assemble("b", Odd(), {})


# Around


WRAPPER = """
    from drover.hookspecs import hookimpl
    from drover.models import Plan

    class Backend:
        def __init__(self, context):
            self.context = context

        @hookimpl(wrapper=True)
        def drover_plan(self, spec):
            plan = yield
            return Plan(command=(*plan.command, self.context.around, self.context.config["word"]))
"""


def test_a_wrapper_stands_around_every_backend(
    install: Install, tmp_path: Path, context: BackendContext
) -> None:
    install("good", GOOD)
    install("echo", WRAPPER, group="drover.plugins")
    config = settings(tmp_path, '[plugins.echo]\nword = "w"')

    backend = load_backend("good", context, config)

    assert ("x", "b", "w") == backend.call("drover_plan", spec=JobSpec(argv=["x"])).command


def test_a_wrapper_can_be_switched_off(
    install: Install, tmp_path: Path, context: BackendContext
) -> None:
    install("echo", WRAPPER, group="drover.plugins")

    assert "echo" in wrappers(context, Config())
    assert "echo" not in wrappers(
        context, settings(tmp_path, '[plugins]\ndisabled = ["echo", "tracing"]')
    )


def test_a_plugin_that_is_no_wrapper_cannot_stand_before_a_backend() -> None:
    """It would answer in the backend's place, and nobody would know."""
    with pytest.raises(BrokenPluginError, match="must be a wrapper"):
        assemble("b", Raising(), {"sly": Raising()})


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (GOOD, "must be a wrapper"),
        (WRAPPER.replace("drover_plan", "drover_pln"), "did you mean 'drover_plan'?"),
        (WRAPPER.replace("@hookimpl(wrapper=True)", ""), "no @hookimpl"),
        ("raise RuntimeError", "RuntimeError"),
        ("class Backend:\n        def __init__(self, context): 1 / 0", "ZeroDivisionError"),
        (
            PICKY,
            "give a name",
        ),
    ],
)
def test_a_broken_plugin_is_left_out_and_told(
    install: Install, context: BackendContext, source: str, why: str
) -> None:
    """A tracer with a spelling mistake must not stop a cluster."""
    install("good", GOOD)
    install("odd", source if source.startswith("\n") else f"    {source}", group="drover.plugins")

    backend = load_backend("good", context, Config())
    (told,) = [one for one in broken_plugins(context, Config()) if one.plugin == "odd"]

    assert ("x",) == backend.call("drover_plan", spec=JobSpec(argv=["x"])).command
    assert "odd" not in wrappers(context, Config())
    assert why in str(told)


# What a backend is given


def test_a_command_runs_in_a_clean_environment(
    context: BackendContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`squeue` in another language, or with somebody's SLURM_FORMAT, cannot be read."""
    for name, value in {
        "LC_ALL": "de_DE.UTF-8", "TZ": "Asia/Tokyo", "SLURM_JOB_ID": "7", "SLURM_CONF": "/c",
        "XDG_RUNTIME_DIR": "/x", "DROVER_TOKEN": "t", "MINE": "m", "SQUEUE_FORMAT": "%i",
        "SACCT_FORMAT": "x",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    script = "import json, os; print(json.dumps(dict(os.environ)))"

    done = context.run([sys.executable, "-c", script])

    told = eval(done.stdout)
    wanted = ("LC_ALL", "TZ", "SLURM_CONF", "MINE")
    assert ["C", "UTC", "/c", "m"] == [told[name] for name in wanted]
    assert set() == {"SLURM_JOB_ID", "XDG_RUNTIME_DIR", "DROVER_TOKEN"} & set(told)
    assert set() == {"SQUEUE_FORMAT", "SACCT_FORMAT"} & set(told)


def test_what_a_command_says_is_kept_without_loss(context: BackendContext) -> None:
    script = "cat; printf 'a\\377b' >&2; exit 3"

    done = context.run(["sh", "-c", script], input=b"in")

    assert (3, "in", "a\\xffb") == (done.returncode, done.stdout, done.stderr)


def test_no_shell_stands_between(context: BackendContext) -> None:
    assert "$HOME; x\n" == context.run(["echo", "$HOME; x"]).stdout


def test_a_command_that_hangs_is_ended(context: BackendContext) -> None:
    with pytest.raises(UnreachableError, match=r"no answer within 0\.05 s"):
        context.run(["sleep", "60"], timeout_s=0.05)


def test_a_command_that_is_not_there_is_told(context: BackendContext) -> None:
    with pytest.raises(UnreachableError, match="No such file"):
        context.run(["/nowhere/squeue"])


def test_the_folder_of_an_attempt_is_private(context: BackendContext) -> None:
    before = os.umask(0)
    try:
        path = context.attempt_dir(
            Attempt(job_id="j", number=2, token="t", spec=JobSpec(argv=["x"]))
        )
    finally:
        os.umask(before)

    assert context.home / "jobs" / "j" / "2" == path
    for folder in (path, path.parent, path.parent.parent):
        assert 0o700 == stat.S_IMODE(folder.stat().st_mode)


def test_a_report_in_a_client_is_dropped(context: BackendContext) -> None:
    context.report([], lambda: pytest.fail("nothing became durable"))


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("PATH", True), ("SLURM_CONF", True), ("SGE_ROOT", True), ("SGE_CELL", True),
        ("SGE_QMASTER_PORT", True), ("SGE_EXECD_PORT", True), ("SGE_CLUSTER_NAME", True),
        ("JOB_ID", True), ("QUEUE", True), ("PMIX_RANK", False), ("PMI_FD", False),
        ("SLURM_CPU_BIND", False), ("SLURMD_NODENAME", False), ("SBATCH_PARTITION", False),
        ("SGE_O_WORKDIR", False), ("XDG_SESSION_ID", False), ("DBUS_SESSION_BUS_ADDRESS", False),
        ("DROVER_TOKEN", False), ("PBS_JOBID", False), ("XDG_RUNTIME_DIR", False),
        ("XDG_CONFIG_HOME", True), ("XDG_CACHE_HOME", True), ("XDG_DATA_DIRS", True),
    ],
)  # fmt: skip
def test_the_callers_scheduler_is_kept_away(name: str, kept: bool) -> None:
    """A job that was submitted from inside another must not believe to be that other."""
    assert kept == (name in scrubbed({name: "x"}))


def test_inside_a_grid_engine_job_its_names_are_dropped() -> None:
    assert {"HOME": "h"} == scrubbed(
        {"HOME": "h", "JOB_ID": "7", "QUEUE": "q", "SGE_TASK_ID": "1", "NSLOTS": "4"}
    )

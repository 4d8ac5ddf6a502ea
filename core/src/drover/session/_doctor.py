"""Find out what is wrong, in words that a user can act on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from attrs import evolve

from drover._plugins import backend_names, broken_plugins
from drover._store import file_system, is_network
from drover.errors import BrokenPluginError, DroverError, StoreUnusableError
from drover.models import Diagnosis, Health
from drover.states import State

if TYPE_CHECKING:
    from drover.session._session import Session


def diagnose(session: "Session", backend: str | None) -> list[Diagnosis]:
    """Look at everything, or at one backend alone."""
    if backend is not None:
        return list(_backend(session, backend))
    findings = [*_store(session), *_engine(session), *_plugins(session)]
    for name in sorted(backend_names(session.config)):
        findings += _backend(session, name)
    return findings


def _ok(subject: str, message: str) -> Diagnosis:
    return Diagnosis(subject=subject, health=Health.OK, message=message)


def _store(session: "Session") -> Iterator[Diagnosis]:
    damage = session.store.check_integrity()
    if damage:
        yield Diagnosis(
            subject="store",
            health=Health.ERROR,
            message=f"the database is damaged: {damage[0]}",
            cure=f"restore {session.home / 'store.db'} from a backup",
        )
    else:
        yield _ok("store", f"{session.home}: the database is whole")
    if session.read_only:
        yield Diagnosis(subject="store", health=Health.WARNING, message=session.store.why_read_only)
    kind = file_system(session.home)
    if is_network(kind):
        yield Diagnosis(
            subject="store",
            health=Health.WARNING,
            message=f"it lies on {kind}, and is as safe as the locks of that file server",
            cure="use it from this machine alone; where no nodes have to see it, choose a folder "
            "on a local disk with --home or DROVER_HOME",
        )
    yield _replay(session)


def _replay(session: "Session") -> Diagnosis:
    count, wrong = 0, list[str]()
    try:
        with session.store.read() as reader:
            for replayed, projected in reader.replayed():
                count += 1
                if replayed != projected:
                    wrong.append(projected.id)
    except StoreUnusableError as exc:
        return Diagnosis(subject="journal", health=Health.ERROR, message=exc.why)
    if not wrong:
        return _ok("journal", f"replaying it gives all {count} jobs as they are")
    return Diagnosis(
        subject="journal",
        health=Health.ERROR,
        message=f"{len(wrong)} of {count} jobs differ from their journal, first {wrong[0]}",
        cure=f"keep a copy of {session.home} and report it",
    )


def _engine(session: "Session") -> Iterator[Diagnosis]:
    status = session.engine_status()
    if status.running:
        yield _ok("engine", f"process {status.pid} works, epoch {status.epoch}")
        for row in status.backends:
            if not row.ok and row.error:
                yield Diagnosis(
                    subject=f"engine, backend {row.name}", health=Health.ERROR, message=row.error
                )
    elif status.jobs:
        yield Diagnosis(
            subject="engine",
            health=Health.WARNING,
            message=f"none works, and {sum(status.jobs.values())} jobs are unfinished",
            cure="drover engine restart",
        )
    else:
        yield _ok("engine", "none works, and there is nothing to do")
    lost = session.counts().get(State.LOST, 0)
    if lost:
        yield Diagnosis(
            subject="jobs",
            health=Health.WARNING,
            message=f"{lost} are LOST: nobody can say how they ended",
            cure="drover ps --state LOST; then drover resolve ID --as STATE, or drover retry ID",
        )


def _plugins(session: "Session") -> Iterator[Diagnosis]:
    for error in broken_plugins(session.plugin_context(), session.config):
        trace = error.traceback if isinstance(error, BrokenPluginError) else ""
        yield Diagnosis(
            subject=f"plugin {error.plugin}",
            health=Health.ERROR,
            message=f"{error}\n{trace}".strip(),
            cure=f"update or uninstall it, or list it in plugins.disabled: {error.plugin}",
        )


def _backend(session: "Session", name: str) -> Iterator[Diagnosis]:
    subject = f"backend {name}"
    try:
        loaded = session.load_backend(name)
        findings = loaded.call("drover_diagnose") or ()
    except DroverError as exc:
        trace = getattr(exc, "traceback", "")
        yield Diagnosis(subject=subject, health=Health.ERROR, message=f"{exc}\n{trace}".strip())
        return
    yield _ok(subject, "it can be loaded")
    for finding in findings:
        yield evolve(finding, subject=f"{subject}, {finding.subject}")

"""The site's policy, on real jobs."""

import json
import time
from pathlib import Path

import pytest

import drover
from drover.errors import InvalidSpecError, UnknownFieldError
from drover.models import JobSpec, Resources
from drover.session import Job
from drover_site import SitePolicy

WAIT_S = 30.0

SETTINGS = """
[plugins.site]
notify = ["tee", "-a", "{notices}"]
[plugins.site.defaults]
wall_time = "1h"
tags = ["group-a"]
[plugins.site.retry]
exit_codes = [75]
attempts = 2
delay = "100ms"
"""


def test_a_default_fills_only_what_is_missing() -> None:
    """A job that says something itself is right."""
    policy = SitePolicy({"defaults": {"wall_time": "1h", "cpus": 2, "tags": ["a"]}})

    changed = policy.drover_job_prepare(
        JobSpec(argv=["x"], resources=Resources(cpus=4), tags=["a"])
    )

    assert changed is not None
    assert (4, 3600.0, ("a",)) == (
        changed.resources.cpus,
        changed.resources.wall_time,
        changed.tags,
    )


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"default": {}}, UnknownFieldError),
        ({"defaults": {"wal_time": "1h"}}, UnknownFieldError),
        ({"defaults": {"wall_time": "soon"}}, InvalidSpecError),
        ({"notify": "mail me"}, InvalidSpecError),
    ],
)
def test_a_bad_setting_is_refused_when_it_is_loaded(
    config: dict[str, object], error: type[Exception]
) -> None:
    """A typing error must not wait for the first job that meets it."""
    with pytest.raises(error):
        SitePolicy(config)


def test_the_policy_works_on_real_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults, the retry and the notice, as configured in a project's file."""
    notices = tmp_path / "notices"
    (tmp_path / "drover.toml").write_text(SETTINGS.format(notices=notices))
    monkeypatch.chdir(tmp_path)
    with drover.open(tmp_path / "home", engine="inline") as session:
        job = session.submit(["sh", "-c", "test -e mark && exit 0; touch mark; exit 75"])
        assert isinstance(job, Job)
        assert job.wait(WAIT_S).succeeded
        plain = session.submit(["sh", "-c", "exit 7"])
        assert isinstance(plain, Job)
        plain.wait(WAIT_S)

        assert 2 == job.attempt
        assert 1 == plain.attempt
        assert (3600.0, ("group-a",)) == (job.spec.resources.wall_time, job.tags)
        held = session.submit(["true"], hold=True)
        deadline = time.monotonic() + WAIT_S
        while _count(notices) < 2 and time.monotonic() < deadline:
            session.wait([held], timeout=0.05)
        session.cancel(held)

    told = [json.loads(line) for line in notices.read_text().splitlines()]
    assert [job.id, plain.id] == [row["id"] for row in told][:2]


def _count(notices: Path) -> int:
    return notices.read_text().count("\n") if notices.exists() else 0

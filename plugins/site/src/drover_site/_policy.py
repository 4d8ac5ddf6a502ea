"""The hooks of the plugin."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from attrs import evolve

from drover.errors import InvalidSpecError
from drover.hookspecs import hookimpl
from drover.models import (
    RESOURCE_FIELDS,
    JobRecord,
    JobSpec,
    Outcome,
    Resources,
    check_fields,
    parse_seconds,
)
from drover_site._notice import Notices

_SETTINGS: Final = ("defaults", "retry", "notify")
_RETRY_SETTINGS: Final = ("exit_codes", "attempts", "delay")
_PLAIN: Final = Resources()


class SitePolicy:
    """Complete specifications, retry on a site's exit codes, tell of ends."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        check_fields("[plugins.site]", config, _SETTINGS)
        defaults = dict(config.get("defaults", {}))
        self._tags = tuple(defaults.pop("tags", ()))
        check_fields("[plugins.site.defaults]", defaults, RESOURCE_FIELDS)
        # Made once with all of them, so that a bad value is refused when the plugin is loaded.
        self._defaults = Resources(**defaults)
        self._names = tuple(defaults)
        retry = config.get("retry", {})
        check_fields("[plugins.site.retry]", retry, _RETRY_SETTINGS)
        self._exit_codes = frozenset(retry.get("exit_codes", ()))
        self._attempts = int(retry.get("attempts", 2))
        self._delay_s = parse_seconds("plugins.site.retry.delay", retry.get("delay", "60s"))
        self._notices = Notices(_command(config["notify"])) if "notify" in config else None

    @hookimpl
    def drover_job_prepare(self, spec: JobSpec) -> JobSpec | None:
        """Fill in what the specification leaves at its default."""
        given = spec.resources
        missing = {
            name: getattr(self._defaults, name)
            for name in self._names
            if getattr(given, name) == getattr(_PLAIN, name)
        }
        tags = tuple(tag for tag in self._tags if tag not in spec.tags)
        if not missing and not tags:
            return None
        return evolve(spec, resources=evolve(given, **missing), tags=(*spec.tags, *tags))

    @hookimpl
    def drover_job_should_retry(self, job: JobRecord, outcome: Outcome) -> float | None:
        """Try again after an exit code that means "later"."""
        if outcome.exit_code in self._exit_codes and job.counted_attempt < self._attempts:
            return self._delay_s
        return None

    @hookimpl
    def drover_job_ended(self, job: JobRecord) -> None:
        """Put a notice in the queue."""
        if self._notices is not None:
            self._notices.add(job)


def _command(value: object) -> Sequence[str]:
    words: list[object] = list(cast("list[object]", value)) if isinstance(value, list) else []
    if not words or not all(isinstance(word, str) for word in words):
        raise InvalidSpecError("plugins.site.notify", words, "give an argv, such as ['mailer']")
    return [str(word) for word in words]

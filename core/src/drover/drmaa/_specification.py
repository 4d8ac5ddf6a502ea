"""What a template asks for, as a specification."""

import os
import pwd
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from attrs import evolve

from drover.config import Config
from drover.drmaa._template import JobTemplate
from drover.drmaa.vocabulary import (
    PLACEHOLDER_INCR,
    SUBMISSION_STATE_HOLD,
    DeniedByDrmException,
    InvalidJobTemplateException,
    escaped,
    fault,
    filled,
    native_options,
    next_instant,
    split_path,
    stream_in,
)
from drover.errors import did_you_mean
from drover.models import RESOURCE_FIELDS, JobSpec, Resources

CATEGORIES: Final = "drmaa.categories"
SHELL: Final = "/bin/sh"
HERE: Final = "-cwd"
"""A flag of Grid Engine's that only the submitting process can obey; no other system has it."""
_OURS: Final = ("argv", "array", "resources")
"""Fields that a category cannot set: a template does, or its parts have names of their own."""


class Specifier:
    """Make specifications of one template."""

    def __init__(self, template: object, backend: str, config: Config, now: float) -> None:
        """Take what does not depend on the index of a bulk job.

        Args:
            template: A job template, which is not changed.
            backend: Whose options `nativeSpecification` holds.
            config: Where job categories are found.
            now: Seconds since 1970 UTC.
        """
        if not isinstance(template, JobTemplate):
            raise fault(InvalidJobTemplateException, f"{template!r} is no job template")
        self._template = template
        self._backend = backend
        self._config = config
        self._now = now
        self._home = _home_directory()

    @property
    def is_uniform(self) -> bool:
        """Tell whether all bulk jobs can be one array: they have one working directory."""
        return PLACEHOLDER_INCR not in self._template.workingDirectory

    def spec(self, *, tag: str, index: str | None = None) -> JobSpec:
        """Make the specification.

        Args:
            tag: Marks the job.
            index: What stands for the index of a bulk job, `%a` for an array's; `None` for a
                single job.

        Raises:
            DrmaaException: It asks for something that cannot be.
            UserError: The same, said by the specification itself.
        """
        template = self._template
        if not template.remoteCommand:
            raise fault(DeniedByDrmException, "the job template has no remoteCommand")
        category, resources = self._category()
        cwd = self._cwd(index)
        fields: dict[str, Any] = {
            **category,
            "argv": (template.remoteCommand, *template.args),
            "tags": (*category.get("tags", ()), tag),
            "env": {**category.get("env", {}), **template.jobEnvironment},
            "cwd": cwd,
            "resources": self._limited(Resources(**resources)),
            **self._streams(index),
        }
        if template.jobName:
            fields["name"] = template.jobName
        if _is_script_of_none(template.remoteCommand, cwd):
            # As execvp(3), by which Grid Engine executes commands.
            fields["argv"] = (SHELL, *fields["argv"])
            fields.setdefault("name", template.remoteCommand.rpartition("/")[2])
        if template.jobSubmissionState:
            fields["hold"] = template.jobSubmissionState == SUBMISSION_STATE_HOLD
        if template.startTime:
            fields["not_before"] = next_instant(template.startTime, self._now)
        if template.deadlineTime:
            fields["deadline"] = next_instant(template.deadlineTime, self._now)
        options = native_options(template.nativeSpecification)
        if template.email and not template.blockEmail:
            # Drover sends no mail. A backend with this option does; others refuse the job for it.
            options = {"email": list(template.email), **options}
        if options:
            fields["native"] = self._native(category.get("native", {}), options)
        return JobSpec(**fields)

    def _category(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read the template's category: fields of the specification, and of its resources."""
        name = self._template.jobCategory
        if not name:
            return {}, {}
        categories = self._config.table(CATEGORIES)
        if name not in categories:
            near = did_you_mean(name, tuple(categories))
            text = f"no job category {name!r}{near} Define it as [{CATEGORIES}.{name}]"
            raise fault(DeniedByDrmException, text)
        fields = dict(cast("Mapping[str, Any]", categories[name]))
        for field in _OURS:
            if field in fields:
                text = f"job category {name!r} cannot set {field!r}"
                raise fault(DeniedByDrmException, text)
        resources = {field: fields.pop(field) for field in RESOURCE_FIELDS if field in fields}
        return fields, resources

    def _limited(self, resources: Resources) -> Resources:
        template = self._template
        given = (template.hardWallclockTimeLimit, template.hardRunDurationLimit)
        limits = [limit for limit in given if limit is not None]
        return evolve(resources, wall_time=min(limits)) if limits else resources

    def _cwd(self, index: str | None) -> str:
        given = self._template.workingDirectory
        if not given and HERE in self._template.nativeSpecification.split():
            return str(Path.cwd())
        folder = filled(given, home=self._home, index=index) if given else self._home
        return os.path.join(self._home, folder)  # noqa: PTH118 - it may be no path at all yet

    def _streams(self, index: str | None) -> dict[str, Any]:
        template = self._template
        fields: dict[str, Any] = {}
        if template.inputPath:
            fields["stdin"] = self._path(template.inputPath, index)
        if template.outputPath:
            fields["stdout"] = self._file(template.outputPath, "o", index)
        if template.joinFiles:
            fields["join_output"] = True
        elif template.errorPath:
            fields["stderr"] = self._file(template.errorPath, "e", index)
        return fields

    def _path(self, given: str, index: str | None) -> str:
        host, path = split_path(given)
        if host and host not in {"localhost", socket.gethostname(), socket.getfqdn()}:
            text = f"{given!r} lies on another host; files are read and written where jobs run"
            raise fault(DeniedByDrmException, text)
        plain = filled(path, home=self._home, cwd=self._cwd(index))
        if index is None:
            return escaped(plain)
        return index.join(map(escaped, plain.split(PLACEHOLDER_INCR)))

    def _file(self, given: str, letter: str, index: str | None) -> str:
        """Name the file of a stream; in a folder it is named as Grid Engine does."""
        path = self._path(given, index)
        whole = os.path.join(self._cwd(index), path)  # noqa: PTH118 - bytes that are no text stay
        if not os.path.isdir(whole.replace("%%", "%")):  # noqa: PTH112 - the same
            return path
        name = self._template.jobName or self._template.remoteCommand.rpartition("/")[2]
        return stream_in(path, name, letter)

    def _native(
        self, category: Mapping[str, Mapping[str, Any]], options: Mapping[str, Any]
    ) -> dict[str, dict[str, Any]]:
        native = {name: dict(table) for name, table in category.items()}
        native[self._backend] = {**native.get(self._backend, {}), **options}
        return native


def _is_script_of_none(command: str, cwd: str) -> bool:
    """Tell whether a command is an executable text that names no interpreter."""
    path = os.path.join(cwd, command)  # noqa: PTH118 - bytes that are no text stay
    # Without a slash it is found by PATH, on the node.
    if "/" not in command or not os.access(path, os.X_OK) or not os.path.isfile(path):  # noqa: PTH113
        return False
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            head = file.read(256)
    except OSError:
        return False
    return not head.startswith(b"#!") and b"\0" not in head


def _home_directory() -> str:
    try:
        # Not HOME: what a scheduler takes for a user's home is not what a client has set.
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return os.path.expanduser("~")  # noqa: PTH111 - text, as in the line above

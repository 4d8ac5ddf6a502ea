"""Attempts as backends are given them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from attrs import evolve

from drover.commandline.tokens import token_of
from drover.models import Attempt, JobRecord

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


def attempt_of(
    job: JobRecord,
    *,
    token: str | None = None,
    base: Mapping[str, str] = _NONE,
    variables: Mapping[str, str] = _NONE,
) -> Attempt:
    """Describe the current attempt of a job.

    Args:
        job: The record.
        token: Instead of the record's own, before the intent or of an older attempt.
        base: What it inherits; only for the call that hands it over.
        variables: Its own variables, likewise.
    """
    return Attempt(
        job_id=job.id,
        number=job.attempt,
        restart=job.restart,
        token=job.token if token is None else token,
        spec=job.spec,
        native_id=job.native_id,
        submitted_at=job.native_submitted_at,
        age=job.n,
        array_id=job.array_id,
        array_index=job.array_index,
        predecessors=job.predecessors,
        base_environment=base,
        base_digest=job.base_digest,
        variables=variables,
    )


def attempts_of(job: JobRecord, store_id: str) -> list[Attempt]:
    """Describe all attempts of a job, oldest first; of earlier ones only who they are."""
    token = job.token or token_of(store_id, job.id, job.attempt)
    last = attempt_of(job, token=token)
    earlier = evolve(last, restart=0, native_id=None, submitted_at=None, predecessors=())
    return [
        *(
            evolve(earlier, number=number, token=token_of(store_id, job.id, number))
            for number in range(1, job.attempt)
        ),
        last,
    ]


def variables_of(job: JobRecord, token: str) -> dict[str, str]:
    """Make the job's own variables: what the user set, and what drover tells every job."""
    told = {"DROVER_JOB_ID": job.id, "DROVER_ATTEMPT": str(job.attempt), "DROVER_TOKEN": token}
    if job.array_id is not None:
        told["DROVER_ARRAY_ID"] = job.array_id
        told["DROVER_ARRAY_INDEX"] = str(job.array_index)
    return {**job.spec.env, **told}

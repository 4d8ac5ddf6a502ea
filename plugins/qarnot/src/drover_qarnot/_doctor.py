"""Find out what is wrong with an account, in words that a user can act on."""

import email.utils
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from attrs import evolve

from drover.errors import BackendError, ConfigError
from drover.models import Diagnosis, Health
from drover_qarnot._cloud import Cloud, RefusedError
from drover_qarnot._config import Account, NoAccountError, QarnotConfig, account_of_process
from drover_qarnot._names import bucket_name
from drover_qarnot._official import outside

QUICK_S: Final = 5.0
MOST_SKEW_S: Final = 300.0
"""A third of what object stores allow before they refuse every request."""


def diagnose(name: str, store_id: str, config: QarnotConfig) -> list[Diagnosis]:
    """Look at one thing after the other; the first that is wrong ends it, for the rest needs it."""
    quick = evolve(config, timeout_s=QUICK_S, retries=0)
    try:
        account = account_of_process(name, config)
    except NoAccountError:
        message = "no account is set up here"
        cure = f"to use one, set backends.{name}.token_file, or QARNOT_CLIENT_TOKEN"
        return [Diagnosis(subject="token", health=Health.WARNING, message=message, cure=cure)]
    except ConfigError as error:
        return [_bad("token", str(error), f"set backends.{name}.token_file")]
    cloud = Cloud(lambda: account, quick)
    found = [_ok("token", f"it comes from {account.origin}")]
    steps: tuple[Callable[[], Diagnosis], ...] = (
        lambda: _cluster(cloud, account),
        lambda: _clock(account, quick),
        lambda: _profile(cloud, name, config),
        lambda: _store(cloud, bucket_name(store_id, "in")),
    )
    for step in steps:
        found.append(step())
        if found[-1].health is Health.ERROR:
            break
    return found


def _cluster(cloud: Cloud, account: Account) -> Diagnosis:
    try:
        info = cloud.ask(lambda connection: connection.user_info)
    except BackendError as error:
        cure = f"see that {account.url} is right and can be reached from here"
        return _bad("cluster", str(error), cure)
    except RefusedError as error:
        return _bad("cluster", str(error), f"get a new token; this one is from {account.origin}")
    return _ok("cluster", f"{account.url} knows us as {info.email}")


def _clock(account: Account, config: QarnotConfig) -> Diagnosis:
    """Compare clocks: signatures of requests to the store hold for some minutes only."""
    web = outside("requests")

    try:
        verify: Any = config.certificate_file or True
        reply = web.get(f"{account.url}/settings", timeout=config.timeout_s, verify=verify)
        told = email.utils.parsedate_to_datetime(reply.headers["Date"]).timestamp()
    except (web.exceptions.RequestException, KeyError, TypeError, ValueError):
        return Diagnosis(
            subject="clock",
            health=Health.WARNING,
            message="the cluster does not tell its time, so that it cannot be compared",
        )
    skew = told - time.time()
    if abs(skew) > MOST_SKEW_S:
        return _bad(
            "clock",
            f"this machine's clock differs from the cluster's by {abs(skew):.0f} s",
            "set the clock: the object store refuses requests of another time",
        )
    return _ok("clock", f"it differs by {abs(skew):.0f} s")


def _profile(cloud: Cloud, name: str, config: QarnotConfig) -> Diagnosis:
    try:
        names = cloud.ask(lambda connection: connection.profiles_names())
        if config.profile not in names:
            return _bad(
                "profile",
                f"the account has no profile {config.profile!r}, but {', '.join(names) or 'none'}",
                f"set backends.{name}.profile",
            )
        details = cloud.ask(lambda connection: connection.retrieve_profile(config.profile))
    except (BackendError, RefusedError) as error:
        return _bad("profile", str(error), "")
    constants = [constant[0] for constant in details.constants]
    if config.command_constant not in constants:
        return _bad(
            "profile",
            f"profile {config.profile!r} has no constant {config.command_constant!r}",
            f"set backends.{name}.command_constant to the one that takes a command line",
        )
    return _ok("profile", f"{config.profile} takes a command as {config.command_constant}")


def _store(cloud: Cloud, bucket: str) -> Diagnosis:
    """Write, read and delete an object."""
    key, content = f"doctor/{secrets.token_hex(8)}", secrets.token_bytes(64)
    try:
        cloud.make_bucket(bucket)
        cloud.put(bucket, key, content)
        came = cloud.get(bucket, key)
        cloud.delete_under(bucket, key)
    except BackendError as error:
        cure = "set storage_url, if the one that the cluster names cannot be reached from here"
        return _bad("storage", f"the object store: {error}", cure)
    except RefusedError as error:
        return _bad("storage", str(error), "see that the account may have one more bucket")
    if came != content:
        return _bad("storage", "an object did not come back as it was written", "")
    return _ok("storage", "an object was written, read and deleted")


def _ok(subject: str, message: str) -> Diagnosis:
    return Diagnosis(subject=subject, health=Health.OK, message=message)


def _bad(subject: str, message: str, cure: str) -> Diagnosis:
    return Diagnosis(subject=subject, health=Health.ERROR, message=message, cure=cure)

"""The ASGI application: the table of endpoints, and paths as lenient as the real API's."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from drover_qarnot.server import _account_calls as account
from drover_qarnot.server import _group_calls as groups
from drover_qarnot.server import _task_calls as tasks
from drover_qarnot.server._calls import Handler, endpoint
from drover_qarnot.server._cloud import Cloud

S3: Final = "/s3"
TABLE: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/info", account.info),
    ("GET", "/versions", account.versions),
    ("GET", "/profiles", account.profiles),
    ("GET", "/profiles/{profile}", account.profile),
    ("GET", "/hardware-constraints", account.hardware),
    ("GET", "/hardware-constraints/cpu-model-constraints/search", account.cpu_models),
    ("GET", "/quotas/computing-quotas/user", account.user_quotas),
    ("GET", "/quotas/computing-quotas/organization", account.organization_quotas),
    ("POST", "/tasks", tasks.create),
    ("GET", "/tasks", tasks.listing),
    ("GET", "/tasks/summaries", partial(tasks.listing, short=True)),
    ("POST", "/tasks/paginate", tasks.pages),
    ("POST", "/tasks/summaries/paginate", tasks.summary_pages),
    ("POST", "/tasks/search", tasks.search),
    ("GET", "/tasks/{task}", tasks.show),
    ("PUT", "/tasks/{task}", tasks.update),
    ("PATCH", "/tasks/{task}", tasks.renew),
    ("DELETE", "/tasks/{task}", tasks.delete),
    ("POST", "/tasks/{task}/abort", tasks.abort),
    ("POST", "/tasks/{task}/snapshot/periodic", tasks.snapshot_every),
    ("POST", "/tasks/{task}/snapshot", tasks.snapshot_once),
    ("GET", "/tasks/{task}/snapshot/{snapshot}", tasks.snapshot_status),
    ("POST", "/tasks/{task}/retry", partial(tasks.again, "retry")),
    ("POST", "/tasks/{task}/recover", partial(tasks.again, "recover")),
    ("POST", "/tasks/{task}/resume", partial(tasks.again, "resume")),
    ("POST", "/tasks/{task}/clone", partial(tasks.again, "clone")),
    ("POST", "/pools", groups.create_pool),
    ("GET", "/pools", groups.pool_listing),
    ("GET", "/pools/summaries", groups.pool_listing),
    ("POST", "/pools/paginate", groups.pool_pages),
    ("POST", "/pools/summaries/paginate", groups.pool_pages),
    ("POST", "/pools/search", groups.pool_search),
    ("GET", "/pools/{pool}", groups.show_pool),
    ("PUT", "/pools/{pool}", groups.update_pool),
    ("PATCH", "/pools/{pool}", groups.renew_pool),
    ("DELETE", "/pools/{pool}", groups.delete_pool),
    ("POST", "/pools/{pool}/close", groups.close_pool),
    ("PUT", "/pools/{pool}/scaling", groups.scale_pool),
    ("POST", "/pools/{pool}/clone", groups.clone_pool),
    ("POST", "/sanity-checks/pools/scaling", groups.check_policies),
    ("POST", "/jobs", groups.create_job),
    ("GET", "/jobs", groups.job_listing),
    ("POST", "/jobs/paginate", groups.job_pages),
    ("POST", "/jobs/search", groups.job_search),
    ("GET", "/jobs/{job}", groups.show_job),
    ("DELETE", "/jobs/{job}", groups.delete_job),
    ("POST", "/jobs/{job}/terminate", groups.terminate_job),
    ("GET", "/jobs/{job}/tasks", groups.job_tasks),
    ("GET", "/secrets-manager/data/{key:path}", account.show_secret),
    ("PUT", "/secrets-manager/data/{key:path}", account.create_secret),
    ("PATCH", "/secrets-manager/data/{key:path}", account.update_secret),
    ("DELETE", "/secrets-manager/data/{key:path}", account.delete_secret),
    ("GET", "/secrets-manager/search", account.list_secrets),
    ("GET", "/secrets-manager/search/{key:path}", account.list_secrets),
    ("GET", "/carbon/v1/tasks/{task}/carbon-facts", partial(account.carbon, "tasks")),
    ("GET", "/carbon/v1/pools/{pool}/carbon-facts", partial(account.carbon, "pools")),
    ("GET", "/credits/v1/tasks/{task}/credits", partial(account.cost, "tasks")),
    ("GET", "/credits/v1/pools/{pool}/credits", partial(account.cost, "pools")),
    ("GET", "/credits/v1/accounts/credits", account.account_credits),
    ("GET", "/credits/v1/projects/{project}/budgets", account.budgets),
    ("GET", "/network/tasks/{task}/port-forward", account.port_forward),
)
"""Endpoints that ask for a token, save those of output. Fixed paths stand before `{names}`."""


def table() -> Iterator[tuple[str, str, Handler]]:
    """List all endpoints that ask for a token."""
    yield from TABLE
    for stream in ("stdout", "stderr"):
        for path in (f"/tasks/{{task}}/{stream}", f"/tasks/{{task}}/{stream}/{{instance}}"):
            yield "GET", path, partial(tasks.output, stream)
            yield "POST", path, partial(tasks.fresh_output, stream)
        for path in (f"/pools/{{pool}}/{stream}", f"/pools/{{pool}}/{stream}/{{instance}}"):
            yield "GET", path, partial(groups.pool_output, stream)
            yield "POST", path, partial(groups.fresh_pool_output, stream)


class PathsAsTheyCome:
    """Let `//settings`, `/v1/settings` and `/jobs/` be what they mean.

    The SDK joins its configured URL and a path as texts, and its sample configuration ends in `/`.
    The object store gets its paths untouched: they are part of what was signed.
    """

    def __init__(self, app: ASGIApp, s3: ASGIApp | None) -> None:
        self._app = app
        self._s3 = s3

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        path = scope.get("path", "")
        if scope["type"] == "http" and self._s3 is not None and f"{path}/".startswith(f"{S3}/"):
            await self._s3(scope, receive, send)
            return
        if scope["type"] == "http":
            path = "/" + path.lstrip("/")
            if path.startswith("/v1/"):
                path = path.removeprefix("/v1")
            if len(path) > 1:
                path = path.rstrip("/") or "/"
            scope = {**scope, "path": path}
        await self._app(scope, receive, send)


def make_app(cloud: Cloud, storage_url: str | None, s3: ASGIApp | None) -> ASGIApp:
    """Put the application together.

    Args:
        cloud: What it serves.
        storage_url: What clients are told; `None`: there are no buckets.
        s3: The object store of this process, served under `/s3`.
    """

    async def settings(request: Request) -> Response:
        del request
        return JSONResponse({"storage": storage_url})

    async def unknown(request: Request, exc: Exception) -> Response:
        del request
        status = getattr(exc, "status_code", 500)
        text = {404: "No such path", 405: "No such method"}.get(status, "internal error")
        return JSONResponse({"message": text}, status)

    routes: list[BaseRoute] = [Route("/settings", settings)]
    by_path: dict[str, dict[str, Any]] = {}
    for method, path, handler in table():
        by_path.setdefault(path, {})[method] = endpoint(cloud, handler)
    for path, methods in by_path.items():
        routes += [Route(path, served, methods=[method]) for method, served in methods.items()]
    app = Starlette(routes=routes, exception_handlers={404: unknown, 405: unknown, 500: unknown})
    return PathsAsTheyCome(app, s3)

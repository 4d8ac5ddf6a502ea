"""The handlers of pools and jobs."""

from typing import Any

from drover_qarnot.server import _layout
from drover_qarnot.server._asked import PoolAsked, check_constants
from drover_qarnot.server._buckets import BucketsError
from drover_qarnot.server._calls import Call, Text
from drover_qarnot.server._cloud import Cloud
from drover_qarnot.server._errors import ApiError, forbidden, missing
from drover_qarnot.server._filters import PageAsked, page
from drover_qarnot.server._groups import Job, Pool, of_job_row, of_pool_row
from drover_qarnot.server._pool_steps import MARK as POOL
from drover_qarnot.server._reading import read, write
from drover_qarnot.server._scaling import check_scaling, check_sizes
from drover_qarnot.server._task_calls import tag_filter

Json = dict[str, Any]


# Pools


def create_pool(cloud: Cloud, call: Call) -> Any:
    """POST /pools."""
    uuid = cloud.creation.pool(call.owner, call.body)
    cloud.supervisor.poke(f"{POOL}{uuid}")
    return {"uuid": uuid}


def _pool(cloud: Cloud, call: Call) -> Pool:
    return cloud.pools.find(call.owner, call.path["pool"])


def show_pool(cloud: Cloud, call: Call) -> Any:
    """GET /pools/X."""
    return cloud.views.pool(_pool(cloud, call))


def update_pool(cloud: Cloud, call: Call) -> None:
    """PUT /pools/X: tags, constants, constraints, elasticity and scaling."""
    pool = _pool(cloud, call)
    wanted = {"tags", "constants", "constraints", "elasticproperty", "scaling"}
    picked = {name: value for name, value in call.named.items() if name in wanted}
    asked = read(PoolAsked, {"name": "update", **picked})
    check_constants(asked.constants, cloud.settings.limits.constants)
    check_scaling(asked.scaling)
    check_sizes("elasticProperty", asked.elastic_property)
    written: Json = write(asked)
    changes = {name: value for name, value in written.items() if name.lower() in picked}
    cloud.pools.move(pool.uuid, asked=changes)
    cloud.supervisor.poke(f"{POOL}{pool.uuid}")


def scale_pool(cloud: Cloud, call: Call) -> None:
    """PUT /pools/X/scaling."""
    pool = _pool(cloud, call)
    check_scaling(call.fields)
    cloud.pools.move(pool.uuid, asked={"scaling": call.fields})
    cloud.supervisor.poke(f"{POOL}{pool.uuid}")


def check_policies(cloud: Cloud, call: Call) -> None:
    """POST /sanity-checks/pools/scaling."""
    del cloud
    check_scaling(call.fields)


def renew_pool(cloud: Cloud, call: Call) -> None:
    """PATCH /pools/X: resources anew, for tasks to come."""
    pool = _pool(cloud, call)
    if pool.phase not in {"open", "preparing"}:
        raise forbidden("the pool is not open")
    try:
        cloud.pool_steps.renew(pool)
    except (_layout.LayoutError, BucketsError) as exc:
        raise ApiError(400, str(exc)) from exc


def close_pool(cloud: Cloud, call: Call) -> None:
    """POST /pools/X/close."""
    cloud.close_pool(_pool(cloud, call).uuid)


def delete_pool(cloud: Cloud, call: Call) -> None:
    """DELETE /pools/X: closes it first."""
    cloud.delete_pool(_pool(cloud, call).uuid)


def pool_output(stream: str, cloud: Cloud, call: Call) -> Any:
    """GET /pools/X/stdout and its kin: what the preparation has written."""
    pool = _pool(cloud, call)
    return Text(text=cloud.outputs.whole(cloud.pools.folder(pool.uuid), stream, _slot(pool, call)))


def fresh_pool_output(stream: str, cloud: Cloud, call: Call) -> Any:
    """POST /pools/X/stdout and its kin."""
    pool = _pool(cloud, call)
    folder, over = cloud.pools.folder(pool.uuid), pool.phase != "preparing"
    slot = _slot(pool, call)
    return Text(text=cloud.outputs.fresh(pool.uuid, folder, stream, slot, over=over))


def _slot(pool: Pool, call: Call) -> int | None:
    text = call.path.get("instance")
    if text is None:
        return None
    if not text.isdigit() or len(text) > 9 or int(text) >= pool.asked["instanceCount"]:
        raise missing("instance", text)
    return int(text)


def clone_pool(cloud: Cloud, call: Call) -> Any:
    """POST /pools/X/clone."""
    pool = _pool(cloud, call)
    changes = call.fields
    given = {str(name).lower() for name in changes}
    body = {k: v for k, v in pool.asked.items() if k.lower() not in given and k != "shortname"}
    hidden = cloud.pools.constants(pool)
    body["constants"] = [
        {"key": one["key"], "value": hidden[one["key"]]} for one in body.get("constants", ())
    ]
    uuid = cloud.creation.pool(call.owner, {**body, **changes})
    cloud.supervisor.poke(f"{POOL}{uuid}")
    return {"uuid": uuid}


def pool_pages(cloud: Cloud, call: Call) -> Any:
    """POST /pools/paginate."""
    rows, frame = _page(cloud, call, "pools", cloud.settings.limits.page)
    return {**frame, "data": [cloud.views.pool(of_pool_row(row)) for row in rows]}


def pool_search(cloud: Cloud, call: Call) -> Any:
    """POST /pools/search: a plain list."""
    rows, _ = _page(cloud, call, "pools", cloud.settings.limits.largest_page)
    return [cloud.views.pool(of_pool_row(row)) for row in rows]


def pool_listing(cloud: Cloud, call: Call) -> Any:
    """GET /pools and /pools/summaries."""
    return [cloud.views.pool(of_pool_row(row)) for row in _listed(cloud, call, "pools")]


def _page(cloud: Cloud, call: Call, table: str, default: int) -> Any:
    asked = read(PageAsked, call.body if call.body is not None else {})
    return page(
        cloud.database, table, call.owner, asked, default=default,
        largest=cloud.settings.limits.largest_page,
    )  # fmt: skip


def _listed(cloud: Cloud, call: Call, table: str) -> Any:
    most = cloud.settings.limits.largest_page
    asked = PageAsked(filter=tag_filter(call))
    return page(cloud.database, table, call.owner, asked, default=most, largest=most)[0]


# Jobs


def create_job(cloud: Cloud, call: Call) -> Any:
    """POST /jobs/."""
    return {"uuid": cloud.creation.job(call.owner, call.body)}


def _job(cloud: Cloud, call: Call) -> Job:
    return cloud.jobs.find(call.owner, call.path["job"])


def show_job(cloud: Cloud, call: Call) -> Any:
    """GET /jobs/X."""
    return cloud.views.job(_job(cloud, call))


def terminate_job(cloud: Cloud, call: Call) -> None:
    """POST /jobs/X/terminate."""
    cloud.terminate(_job(cloud, call).uuid)


def delete_job(cloud: Cloud, call: Call) -> None:
    """DELETE /jobs/X?force=True."""
    job = _job(cloud, call)
    if not call.flag("force") and cloud.jobs.unfinished(job.uuid):
        raise forbidden("the job has tasks that have not ended")
    cloud.delete_job(job.uuid)


def job_tasks(cloud: Cloud, call: Call) -> Any:
    """GET /jobs/X/tasks."""
    job = _job(cloud, call)
    tasks = cloud.tasks.select("job = ? AND wanted <> 'delete' ORDER BY n", job.uuid)
    return [cloud.views.full(task) for task in tasks]


def job_pages(cloud: Cloud, call: Call) -> Any:
    """POST /jobs/paginate."""
    rows, frame = _page(cloud, call, "jobs", cloud.settings.limits.page)
    return {**frame, "data": [cloud.views.job(of_job_row(row)) for row in rows]}


def job_search(cloud: Cloud, call: Call) -> Any:
    """POST /jobs/search: a plain list."""
    rows, _ = _page(cloud, call, "jobs", cloud.settings.limits.largest_page)
    return [cloud.views.job(of_job_row(row)) for row in rows]


def job_listing(cloud: Cloud, call: Call) -> Any:
    """GET /jobs."""
    return [cloud.views.job(of_job_row(row)) for row in _listed(cloud, call, "jobs")]

"""The handlers of accounts: info, profiles, hardware, quotas, secrets, credits, carbon."""

from typing import Any, Final

from drover_qarnot.server._calls import Call
from drover_qarnot.server._cloud import Cloud
from drover_qarnot.server._errors import invalid, missing
from drover_qarnot.server._profiles import offered
from drover_qarnot.server._reading import Scalar

Json = dict[str, Any]
_DEFAULT_PROJECT: Final = "00000000-0000-0000-0000-000000000001"
_CARBON: Final = (
    "total_consumed_energy_Wh", "total_energy_it_Wh", "total_reused_energy_Wh",
    "qarnot_carbon_footprint", "equivalent_DC_carbon_footprint", "saved_carbon_footprint_compute",
    "saved_carbon_footprint_heat", "saved_carbon_footprint_compute_heat",
    "saved_carbon_footprint_percent", "PUE", "ERE", "ERF", "WUE",
)  # fmt: skip


def _count(cloud: Cloud, query: str, *values: Any) -> int:
    row = cloud.database.first(query, *values)
    return 0 if row is None else int(row[0] or 0)


def _running(cloud: Cloud, owner: str) -> tuple[int, int]:
    """Count a user's tasks that run, and their instances that have not ended."""
    tasks = _count(
        cloud,
        "SELECT count(*) FROM tasks WHERE owner = ? AND phase = 'placed' AND wanted <> 'delete'",
        owner,
    )
    if not tasks:
        return 0, 0
    total = _count(cloud, "SELECT sum(size) FROM tasks WHERE owner = ? AND phase = 'placed'", owner)
    ended = _count(
        cloud,
        "SELECT count(*) FROM instances JOIN tasks ON tasks.uuid = instances.task "
        "WHERE tasks.owner = ? AND tasks.phase = 'placed'",
        owner,
    )
    return tasks, max(0, total - ended)


def _quota(most: int, running: int) -> Json:
    return {
        "maxCores": most, "runningCoresCount": running, "maxInstances": most,
        "runningInstancesCount": running,
    }  # fmt: skip


def info(cloud: Cloud, call: Call) -> Any:
    """GET /info."""
    owner, limits = call.owner, cloud.settings.limits
    running_tasks, running = _running(cloud, owner)
    buckets, size = cloud.buckets.usage(owner)
    visible = "owner = ? AND wanted <> 'delete'"
    pools = _count(cloud, "SELECT count(*) FROM pools WHERE owner = ?", owner)
    open_pools = _count(
        cloud, "SELECT count(*) FROM pools WHERE owner = ? AND phase <> 'over'", owner
    )
    return {
        "email": owner,
        "maxBucket": limits.buckets,
        "bucketCount": buckets,
        "quotaBytesBucket": limits.bytes,
        "usedQuotaBytesBucket": size,
        "maxTask": limits.tasks,
        "taskCount": _count(cloud, f"SELECT count(*) FROM tasks WHERE {visible}", owner),
        "maxRunningTask": limits.tasks,
        "runningTaskCount": running_tasks,
        "maxInstances": limits.instances,
        "maxPool": limits.pools,
        "poolCount": pools,
        "maxRunningPool": limits.pools,
        "runningPoolCount": open_pools,
        "runningInstanceCount": running,
        "runningCoreCount": running,
        "maxFlexInstances": limits.instances,
        "maxFlexCores": limits.instances,
        "maxOnDemandInstances": limits.instances,
        "maxOnDemandCores": limits.instances,
        "maxJob": limits.jobs,
        "jobCount": _count(cloud, "SELECT count(*) FROM jobs WHERE owner = ?", owner),
        "reservedQuotas": [],
        "defaultScheduling": "flex",
        "computingQuotas": {"user": _quotas(cloud, owner, running), "organization": None},
        "projects": [
            {
                "uuid": _DEFAULT_PROJECT, "slug": "default", "name": "default", "description": "",
                "organizationUuid": _DEFAULT_PROJECT, "isDefault": True,
            }
        ],
    }  # fmt: skip


def _quotas(cloud: Cloud, owner: str, running: int) -> Json:
    del owner
    most = cloud.settings.limits.instances
    return {"flex": _quota(most, running), "onDemand": _quota(most, 0), "reserved": []}


def user_quotas(cloud: Cloud, call: Call) -> Any:
    """GET /quotas/computing-quotas/user."""
    return _quotas(cloud, call.owner, _running(cloud, call.owner)[1])


def organization_quotas(cloud: Cloud, call: Call) -> Any:
    """GET /quotas/computing-quotas/organization: nobody here has one."""
    del cloud
    raise missing("organization", call.owner)


def profiles(cloud: Cloud, call: Call) -> Any:
    """GET /profiles."""
    del call
    return list(cloud.settings.profiles)


def profile(cloud: Cloud, call: Call) -> Any:
    """GET /profiles/X."""
    found = cloud.settings.profiles.get(call.path["profile"])
    if found is None:
        raise missing("profile", call.path["profile"])
    return {
        "name": found.name,
        "constants": [
            {"name": one.name, "value": one.value, "description": one.description}
            for one in found.constants
        ],
        "licenses": list(found.licenses),
    }


def hardware(cloud: Cloud, call: Call) -> Any:
    """GET /hardware-constraints?limit=&offset=."""
    limit, offset = _number(call, "limit", 50), _number(call, "offset", 0)
    if limit < 1:
        raise invalid("limit", "1 or more")
    rows = offered(cloud.settings.hardware)
    return {"data": rows[offset : offset + limit], "offset": offset, "limit": limit,
            "total": len(rows)}  # fmt: skip


def _number(call: Call, name: str, default: int) -> int:
    text = call.first(name, str(default))
    if not text.isdigit() or len(text) > 9:
        raise invalid(name, "a whole number")
    return int(text)


def cpu_models(cloud: Cloud, call: Call) -> Any:
    """GET /hardware-constraints/cpu-model-constraints/search?cpuModel=: the nearest first."""
    words = call.first("cpuModel").lower().split()
    known = cloud.settings.hardware.cpu_models
    scored = [(sum(word in model.lower() for word in words), model) for model in known]
    return [
        {"discriminator": "CpuModelHardwareConstraint", "cpuModel": model}
        for score, model in sorted(scored, key=lambda row: -row[0])
        if score or not words
    ]


# Secrets


def _key(call: Call) -> str:
    return call.path.get("key", "").strip("/")


def _value(cloud: Cloud, call: Call) -> str:
    value: object = call.named.get("value")
    most = cloud.settings.limits.secret_chars
    if not isinstance(value, str) or len(value) > most or "\0" in value:
        raise invalid("Value", f"text of at most {most} characters")
    return Scalar(value)


def show_secret(cloud: Cloud, call: Call) -> Any:
    """GET /secrets-manager/data/K."""
    value = cloud.hidden.get(call.owner, _key(call))
    if value is None:
        raise missing("secret", _key(call))
    return {"value": value}


def create_secret(cloud: Cloud, call: Call) -> None:
    """PUT /secrets-manager/data/K."""
    value = _value(cloud, call)
    cloud.hidden.create(call.owner, _key(call), value, cloud.settings.limits.secrets)


def update_secret(cloud: Cloud, call: Call) -> None:
    """PATCH /secrets-manager/data/K."""
    cloud.hidden.update(call.owner, _key(call), _value(cloud, call))


def delete_secret(cloud: Cloud, call: Call) -> None:
    """DELETE /secrets-manager/data/K."""
    cloud.hidden.delete(call.owner, _key(call))


def list_secrets(cloud: Cloud, call: Call) -> Any:
    """GET /secrets-manager/search/PREFIX: one level; an unknown prefix has none."""
    return {"keys": cloud.hidden.level(call.owner, _key(call))}


# What it has cost


def carbon(kind: str, cloud: Cloud, call: Call) -> Any:
    """GET /carbon/v1/tasks/X/carbon-facts: nobody measures it here."""
    _find(kind, cloud, call)
    facts: Json = dict.fromkeys(_CARBON, 0.0)
    facts["equivalent_datacenter_name"] = call.first("comparisonDatacenter") or "none"
    return facts


def _find(kind: str, cloud: Cloud, call: Call) -> str:
    if kind == "tasks":
        return cloud.tasks.find(call.owner, call.path["task"]).uuid
    return cloud.pools.find(call.owner, call.path["pool"]).uuid


def cost(kind: str, cloud: Cloud, call: Call) -> Any:
    """GET /credits/v1/tasks/X/credits: of instances that have ended; 0 where there is no price."""
    uuid = _find(kind, cloud, call)
    purse = cloud.purse
    euros = purse.cost_of_task(uuid) if kind == "tasks" else purse.cost_of_pool(uuid)
    return {"credits": round(euros, 6)}


def account_credits(cloud: Cloud, call: Call) -> Any:
    """GET /credits/v1/accounts/credits: what is left; 0 where there is no limit."""
    return {"credits": round(cloud.purse.left(call.owner) or 0.0, 6)}


def budgets(cloud: Cloud, call: Call) -> Any:
    """GET /credits/v1/projects/X/budgets."""
    del cloud
    if call.path["project"] != _DEFAULT_PROJECT:
        raise missing("project", call.path["project"])
    return {"budgets": []}


def versions(cloud: Cloud, call: Call) -> Any:
    """GET /versions."""
    del cloud, call
    return [{"version": "v1", "endOfLife": None}]


def port_forward(cloud: Cloud, call: Call) -> Any:
    """GET /network/tasks/X/port-forward: nothing is forwarded here."""
    cloud.tasks.find(call.owner, call.path["task"])
    return {"0": {}}

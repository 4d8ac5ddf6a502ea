"""The handlers of tasks."""

import json
from functools import partial
from typing import Any, cast

from drover_qarnot.server import _layout
from drover_qarnot.server._asked import Constant, TaskAsked, check_constants
from drover_qarnot.server._buckets import BucketsError
from drover_qarnot.server._calls import Afterwards, Call, Text
from drover_qarnot.server._cloud import SNAPSHOT, Cloud
from drover_qarnot.server._creating import split_constants
from drover_qarnot.server._errors import ApiError, forbidden, invalid, missing
from drover_qarnot.server._filters import PageAsked, page
from drover_qarnot.server._reading import read, write
from drover_qarnot.server._records import Task, Tasks
from drover_qarnot.server._values import to_range

Json = dict[str, Any]


def create(cloud: Cloud, call: Call) -> Any:
    """POST /tasks."""
    body: object = call.body
    if isinstance(body, list):
        rows = cloud.creation.bulk(call.owner, cast("list[object]", body))
        made = [row["uuid"] for row in rows if row["uuid"]]
        for uuid in made:
            cloud.supervisor.poke(uuid)
        return _creation(cloud, rows, made)
    uuid = cloud.creation.task(call.owner, call.body)
    cloud.supervisor.poke(uuid)
    return _creation(cloud, {"uuid": uuid}, [uuid])


def _creation(cloud: Cloud, answer: object, uuids: list[str]) -> Afterwards:
    answers = cloud.creation.answers
    return Afterwards(
        answer=answer,
        sent=partial(answers.sent, uuids),
        lost=partial(answers.lost, uuids),
    )


def _task(cloud: Cloud, call: Call) -> Task:
    return cloud.tasks.find(call.owner, call.path["task"])


def show(cloud: Cloud, call: Call) -> Any:
    """GET /tasks/X."""
    return cloud.views.full(_task(cloud, call))


def update(cloud: Cloud, call: Call) -> None:
    """PUT /tasks/X: of the whole object that the SDK sends, tags, constants and constraints."""
    task = _task(cloud, call)
    wanted = {"tags", "constants", "constraints"}
    picked = {name: value for name, value in call.named.items() if name in wanted}
    asked = read(TaskAsked, {"name": "update", **picked})
    check_constants(asked.constants, cloud.settings.limits.constants)
    changes: Json = {}
    if "tags" in picked:
        if len(asked.tags) > 100 or any(not 1 <= len(tag) < 512 for tag in asked.tags):
            raise invalid("tags", "at most 100, each of 1 to 511 characters")
        changes["tags"] = asked.tags
    if "constants" in picked:
        changes["constants"] = _changed_constants(task, asked.constants)
    if "constraints" in picked:
        changes["constraints"] = write(asked.constraints)
    with cloud.database.write() as connection:
        current = cloud.tasks.move_in(connection, task.uuid)
        if current is None:
            raise missing("task", task.uuid)
        cloud.tasks.move_in(connection, task.uuid, asked=json.dumps({**current.asked, **changes}))


def _changed_constants(task: Task, constants: list[Constant]) -> list[Json]:
    """Keep what is write-only: its value came back as a mask, and goes to the task as it was."""
    shown, _ = split_constants(constants)
    kept = {one["key"]: one for one in task.asked["constants"]}
    hidden = {one.key for one in shown if one.value == "[SECRET]"}
    return [write(one) for one in shown if one.key not in hidden or one.key in kept]


def renew(cloud: Cloud, call: Call) -> None:
    """PATCH /tasks/X: resources anew, for instances that run."""
    task = _task(cloud, call)
    if task.is_final or task.wanted:
        raise forbidden("the task does not run")
    try:
        cloud.renew(task)
    except (_layout.LayoutError, BucketsError) as exc:
        raise ApiError(400, str(exc)) from exc


def delete(cloud: Cloud, call: Call) -> None:
    """DELETE /tasks/X."""
    cloud.delete(_task(cloud, call).uuid)


def abort(cloud: Cloud, call: Call) -> None:
    """POST /tasks/X/abort."""
    task = _task(cloud, call)
    if task.is_final and cloud.settings.strict_abort:
        raise forbidden("Invalid operation on non running task")
    cloud.abort(task.uuid)
    cloud.wait_for(task.uuid, cloud.settings.abort_wait_s)


def snapshot_every(cloud: Cloud, call: Call) -> None:
    """POST /tasks/X/snapshot/periodic."""
    cloud.snapshots.every(_task(cloud, call), call.body)


def snapshot_once(cloud: Cloud, call: Call) -> Any:
    """POST /tasks/X/snapshot."""
    body = cloud.snapshots.once(_task(cloud, call), call.body)
    cloud.supervisor.poke(f"{SNAPSHOT}{body['id']}")
    return body


def snapshot_status(cloud: Cloud, call: Call) -> Any:
    """GET /tasks/X/snapshot/ID."""
    return cloud.snapshots.find(_task(cloud, call), call.path["snapshot"])


def _instance(task: Task, call: Call, most: int) -> int | None:
    text = call.path.get("instance")
    if text is None:
        return None
    if not text.isdigit() or len(text) > 9 or int(text) not in task.request.instances(most):
        raise missing("instance", text)
    return int(text)


def output(stream: str, cloud: Cloud, call: Call) -> Any:
    """GET /tasks/X/stdout and its kin: all that is there."""
    task = _task(cloud, call)
    instance = _instance(task, call, cloud.settings.limits.instances)
    return Text(text=cloud.outputs.whole(cloud.steps.folder(task.uuid), stream, instance))


def fresh_output(stream: str, cloud: Cloud, call: Call) -> Any:
    """POST /tasks/X/stdout and its kin: what has come since the last POST."""
    task = _task(cloud, call)
    instance = _instance(task, call, cloud.settings.limits.instances)
    return Text(
        text=cloud.outputs.fresh(
            task.uuid, cloud.steps.folder(task.uuid), stream, instance, over=task.is_final
        )
    )


def _rows(cloud: Cloud, call: Call, default: int) -> tuple[list[Task], Json]:
    asked = read(PageAsked, call.body if call.body is not None else {})
    limits = cloud.settings.limits
    rows, frame = page(
        cloud.database, "tasks", call.owner, asked, default=default, largest=limits.largest_page
    )
    return [Tasks.of_row(row) for row in rows], frame


def pages(cloud: Cloud, call: Call) -> Any:
    """POST /tasks/paginate."""
    tasks, frame = _rows(cloud, call, cloud.settings.limits.page)
    return {**frame, "data": [cloud.views.full(task) for task in tasks]}


def summary_pages(cloud: Cloud, call: Call) -> Any:
    """POST /tasks/summaries/paginate."""
    tasks, frame = _rows(cloud, call, cloud.settings.limits.page)
    return {**frame, "data": [cloud.views.summary(task) for task in tasks]}


def search(cloud: Cloud, call: Call) -> Any:
    """POST /tasks/search: a plain list."""
    tasks, _ = _rows(cloud, call, cloud.settings.limits.largest_page)
    return [cloud.views.full(task) for task in tasks]


def tag_filter(call: Call) -> Json | None:
    """Read `?tag=a&tag=b,c` of the plain lists."""
    tags = [tag for name, text in call.query if name.lower() == "tag"
            for tag in text.split(",") if tag]  # fmt: skip
    return {"operator": "In", "field": "Tags", "values": tags} if tags else None


def listing(cloud: Cloud, call: Call, *, short: bool = False) -> Any:
    """GET /tasks and /tasks/summaries."""
    limits = cloud.settings.limits
    asked = PageAsked(filter=tag_filter(call))
    rows, _ = page(
        cloud.database, "tasks", call.owner, asked, default=limits.largest_page,
        largest=limits.largest_page,
    )  # fmt: skip
    write_one = cloud.views.summary if short else cloud.views.full
    return [write_one(Tasks.of_row(row)) for row in rows]


def again(kind: str, cloud: Cloud, call: Call) -> Any:
    """POST /tasks/X/retry, recover, resume, clone: a new task of the same, or of what failed."""
    task = _task(cloud, call)
    changes = call.fields
    given = {str(name).lower() for name in changes}
    body: Json = {k: v for k, v in task.asked.items() if k.lower() not in given}
    body.pop("shortname", None)
    if kind == "clone":
        if "advancedranges" in given:
            body.pop("instanceCount", None)
        if "instancecount" in given:
            body.pop("advancedRanges", None)
    else:
        if given & {"instancecount", "advancedranges"}:
            raise invalid("instanceCount", f"{kind} runs what there was")
        body.pop("instanceCount", None)
        body["advancedRanges"] = _left(cloud, task, kind)
    hidden = cloud.hidden.constants(task)
    body["constants"] = [
        {"key": one["key"], "value": hidden.get(one["key"], one["value"])}
        for one in body.get("constants", ())
    ]
    uuid = cloud.creation.task(call.owner, {**body, **changes})
    cloud.supervisor.poke(uuid)
    return _creation(cloud, {"uuid": uuid}, [uuid])


def _left(cloud: Cloud, task: Task, kind: str) -> str:
    if not task.is_final:
        raise forbidden("the task has not ended")
    ended = cloud.tasks.ended(task.uuid)
    every = set(task.request.instances(cloud.settings.limits.instances))
    failed = set(ended.get("Failure", ()))
    unrun = every - failed - set(ended.get("Success", ()))
    chosen = {"retry": failed, "resume": unrun, "recover": failed | unrun}[kind]
    if task.state == "Failure" and not ended and kind in {"retry", "recover"}:
        chosen = every
    if not chosen:
        raise forbidden(f"there is no instance to {kind}")
    return to_range(chosen)

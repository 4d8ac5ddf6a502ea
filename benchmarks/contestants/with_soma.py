"""soma-workflow: its light mode with the local scheduler; the end is known by looking."""

import time
from importlib.metadata import version

from soma_workflow import constants
from soma_workflow.client import Job, Workflow, WorkflowController
from speech import Answer, Task, answer, took

LOOK_S = 0.05


def throughput(task: Task) -> Answer:
    controller = WorkflowController(isolated_light_mode=str(task.folder))
    controller.scheduler_config.set_proc_nb(task.slots)
    jobs = [Job(command=["/bin/true"], name=str(n)) for n in range(task.jobs)]
    began = time.perf_counter()
    number = controller.submit_workflow(Workflow(jobs=jobs, dependencies=[]))
    while controller.workflow_status(number) != constants.WORKFLOW_DONE:
        time.sleep(LOOK_S)
    seconds = time.perf_counter() - began
    rows = controller.workflow_elements_status(number)[0]
    assert [row[1] for row in rows] == [constants.DONE] * task.jobs
    return took(task.jobs, seconds)


if __name__ == "__main__":
    answer(version("soma-workflow"), throughput=throughput)

"""What people do first with DRMAA: one job, many jobs, waiting, asking, ending."""

import os
import sys
import time

import drmaa
from drmaa.const import JobControlAction
from drmaa.errors import DrmaaException, ExitTimeoutException

folder = sys.argv[1]
sleeper = os.path.join(folder, "sleeper.sh")
with open(sleeper, "w") as file:
    file.write('#!/bin/sh\necho "$2 $FROM_ENV" > "$3"\nsleep "$1"\n')
os.chmod(sleeper, 0o755)


def template_of(session, seconds, name):
    template = session.createJobTemplate()
    template.remoteCommand = sleeper
    template.args = [str(seconds), "Simon says:", os.path.join(folder, name)]
    template.jobEnvironment = dict(os.environ, FROM_ENV="hello")
    template.joinFiles = True
    return template


with drmaa.Session() as session:
    print("version", session.version)
    print("told", bool(session.contact), bool(session.drmsInfo), bool(session.drmaaImplementation))

    template = template_of(session, 0, "one")
    job_id = session.runJob(template)
    info = session.wait(job_id, drmaa.Session.TIMEOUT_WAIT_FOREVER)
    print("one", info.jobId == job_id, info.hasExited, info.exitStatus, info.wasAborted)
    print("usage", isinstance(info.resourceUsage, dict))
    with open(os.path.join(folder, "one")) as file:
        print("said", file.read().strip())
    session.deleteJobTemplate(template)

    template = template_of(session, 0, "many")
    ids = session.runBulkJobs(template, 1, 30, 2)
    print("many", len(ids), len(set(ids)))
    session.synchronize(ids, drmaa.Session.TIMEOUT_WAIT_FOREVER, False)
    print("collected", [session.wait(one).exitStatus for one in ids] == [0] * 15)

    ids = session.runBulkJobs(template, 1, 5, 1)
    session.synchronize([drmaa.Session.JOB_IDS_SESSION_ALL], 60, True)
    try:
        session.wait(ids[0], drmaa.Session.TIMEOUT_NO_WAIT)
    except drmaa.InvalidJobException as error:
        print("disposed", str(error).startswith("code 18"))
    session.deleteJobTemplate(template)

    template = template_of(session, 60, "long")
    job_id = session.runJob(template)
    try:
        session.wait(job_id, 0)
    except ExitTimeoutException as error:
        print("not yet", isinstance(error, DrmaaException))
    deadline = time.monotonic() + 60
    while session.jobStatus(job_id) != drmaa.JobState.RUNNING and time.monotonic() < deadline:
        time.sleep(0.05)
    session.control(job_id, JobControlAction.SUSPEND)
    print("suspended", session.jobStatus(job_id) == drmaa.JobState.USER_SUSPENDED)
    session.control(job_id, JobControlAction.RESUME)
    session.control(drmaa.Session.JOB_IDS_SESSION_ALL, JobControlAction.TERMINATE)
    info = session.wait(job_id)
    print("ended", info.wasAborted, info.hasExited, info.exitStatus)
    session.deleteJobTemplate(template)
try:
    session.exit()
except drmaa.NoActiveSessionException:
    print("left")

"""Submit as workflow engines do, then ask for each job's state until all have ended."""

import os
import sys
import time

import drmaa

log = sys.argv[1]
script = os.path.join(log, "rule.sh")
with open(script, "w") as file:
    file.write("#!/bin/sh\necho rule $1\nexit $2\n")
os.chmod(script, 0o755)

session = drmaa.Session()
session.initialize()
active = {}
for name, code in (("good", 0), ("bad", 3)):
    template = session.createJobTemplate()
    template.remoteCommand = script
    template.args = [name, code]
    template.jobName = f"rule.{name}"
    template.outputPath = ":" + log
    template.errorPath = ":" + log
    template.nativeSpecification = " "
    try:
        active[session.runJob(template)] = name
    except (drmaa.errors.InternalException, drmaa.errors.InvalidAttributeValueException) as error:
        print("cannot submit", error)
        sys.exit(1)
    session.deleteJobTemplate(template)

deadline = time.monotonic() + 120
while active and time.monotonic() < deadline:
    for job_id in list(active):
        try:
            status = session.jobStatus(job_id)
        except drmaa.ExitTimeoutException:
            continue
        if status in (drmaa.JobState.DONE, drmaa.JobState.FAILED):
            info = session.wait(job_id, drmaa.Session.TIMEOUT_WAIT_FOREVER)
            name = active.pop(job_id)
            with open(os.path.join(log, f"rule.{name}.o{job_id}")) as file:
                print(name, status, info.hasExited, info.exitStatus, file.read().strip())
    time.sleep(0.1)
for job_id in active:
    session.control(job_id, drmaa.JobControlAction.TERMINATE)
session.exit()

"""Submit from some threads and watch all jobs from another, as servers of job runners do."""

import queue
import threading
import time
from importlib import import_module

import drmaa

module = import_module(drmaa.__name__)
state_of = module.JobState
session = module.Session()
session.initialize()
session_lock = threading.Lock()
to_watch = queue.Queue()
finished = {}
COUNT = 12


def submit(number):
    template = session.createJobTemplate()
    template.remoteCommand = "/bin/sh"
    template.args = ["-c", f"exit {number}"]
    template.jobEnvironment = {"NUMBER": str(number)}
    job_id = session.runJob(template)
    session.deleteJobTemplate(template)
    to_watch.put((job_id, number, None))


def monitor():
    watched = []
    deadline = time.monotonic() + 120
    while len(finished) < COUNT and time.monotonic() < deadline:
        while True:
            try:
                watched.append(to_watch.get_nowait())
            except queue.Empty:
                break
        still = []
        for job_id, number, old in watched:
            try:
                state = session.jobStatus(job_id)
            except (module.InternalException, module.InvalidJobException) as error:
                finished[number] = f"gone: {error}"
                continue
            except module.DrmCommunicationException:
                still.append((job_id, number, old))
                continue
            if state == state_of.DONE:
                info = session.wait(job_id, module.Session.TIMEOUT_NO_WAIT)
                finished[number] = info.exitStatus
            elif state == state_of.FAILED:
                finished[number] = "failed"
            else:
                still.append((job_id, number, state))
        watched = still
        time.sleep(0.05)


watcher = threading.Thread(target=monitor)
watcher.start()
submitters = [threading.Thread(target=submit, args=(number,)) for number in range(COUNT)]
for thread in submitters:
    thread.start()
for thread in [*submitters, watcher]:
    thread.join()
session.exit()
print([finished.get(number) for number in range(COUNT)])

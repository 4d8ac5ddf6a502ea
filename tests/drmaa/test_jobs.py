"""Jobs by way of the DRMAA face: one, many, and what is asked of them."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from face_hand import WAIT_S, Make, until, until_status

import drover
from drover import drmaa


@pytest.mark.brief
def test_an_exit_code_is_true_and_the_job_is_reaped(session: drmaa.Session, make: Make) -> None:
    """Waiting twice is how programs count a job twice."""
    job_id = session.runJob(make("exit 3"))
    info = session.wait(job_id, WAIT_S)

    assert (job_id, True, False, "", False, False, 3) == info[:7]
    assert float(info.resourceUsage["end_time"]) >= float(info.resourceUsage["submission_time"])
    for again in (lambda: session.wait(job_id), lambda: session.jobStatus(job_id)):
        with pytest.raises(drmaa.InvalidJobException, match=r"^code 18: .*already"):
            again()


@pytest.mark.brief
@pytest.mark.parametrize("code", [99, 100, 255])
def test_exit_codes_that_schedulers_take_for_words(
    session: drmaa.Session, make: Make, code: int
) -> None:
    assert code == session.wait(session.runJob(make(f"exit {code}")), WAIT_S).exitStatus


@pytest.mark.brief
def test_a_signal_has_its_name(session: drmaa.Session, make: Make) -> None:
    job_id = session.runJob(make("kill -9 $$"))
    session.synchronize([job_id], WAIT_S)

    assert "done" == session.jobStatus(job_id)
    info = session.wait(job_id)
    assert (False, True, "SIGKILL", False, False, 0) == info[1:7]


@pytest.mark.brief
def test_a_job_that_never_ran_was_aborted(session: drmaa.Session, make: Make) -> None:
    job_id = session.runJob(make("true", workingDirectory="/nonexistent/folder"))
    session.synchronize(job_id, WAIT_S)

    assert "failed" == session.jobStatus(job_id)
    assert (False, False, "", False, True, 0) == session.wait(job_id)[1:7]


def test_a_script_needs_no_first_line(session: drmaa.Session, make: Make, tmp_path: Path) -> None:
    """It was written for Grid Engine, where it runs."""
    script = tmp_path / "script"
    script.write_text('test "$1" = "a b" && exit 5\n')
    script.chmod(0o755)
    template = make("", remoteCommand="./script")
    template.args = ["a b"]

    assert 5 == session.wait(session.runJob(template), WAIT_S).exitStatus


def test_a_limit_ends_a_job(session: drmaa.Session, make: Make) -> None:
    info = session.wait(session.runJob(make("exec sleep 300", hardWallclockTimeLimit=1)), WAIT_S)

    assert (False, True, False) == (info.hasExited, info.hasSignal, info.wasAborted)


@pytest.mark.brief
def test_arguments_and_variables_arrive_whole(
    session: drmaa.Session, make: Make, tmp_path: Path
) -> None:
    """The C library cuts an argument at its first newline, and a value at its first `=`."""
    args = ["", "a b", "x\ny", "$HOME", "'\"", "ü"]
    template = make('printf "%s|" "$@" "$A" > out', *args, jobEnvironment={"A": "a=b=c\nd"})
    info = session.wait(session.runJob(template), WAIT_S)

    assert (0, "|".join([*args, "a=b=c\nd", ""])) == (
        info.exitStatus, (tmp_path / "out").read_text(),
    )  # fmt: skip


@pytest.mark.brief
def test_files_go_where_the_template_says(
    session: drmaa.Session, make: Make, tmp_path: Path
) -> None:
    (tmp_path / "in 100%j").write_text("question")
    template = make(
        "cat; echo problem >&2",
        inputPath=":$drmaa_wd_ph$/in 100%j",
        outputPath=f":{tmp_path}/out",
        errorPath=":err",
    )
    joined = make("echo out; echo err >&2", outputPath=":both", errorPath=":none", joinFiles=True)
    for one in (template, joined):
        assert 0 == session.wait(session.runJob(one), WAIT_S).exitStatus

    assert ("question", "problem\n", "out\nerr\n", False) == (
        (tmp_path / "out").read_text(),
        (tmp_path / "err").read_text(),
        (tmp_path / "both").read_text(),
        (tmp_path / "none").exists(),
    )


def test_a_folder_for_logs_gets_a_file_by_name_and_id(
    session: drmaa.Session, make: Make, tmp_path: Path
) -> None:
    template = make("echo hi", jobName="rule", outputPath=f":{tmp_path}", errorPath=f":{tmp_path}")
    job_id = session.runJob(template)
    session.wait(job_id, WAIT_S)

    assert "hi\n" == (tmp_path / f"rule.o{job_id}").read_text()
    assert "" == (tmp_path / f"rule.e{job_id}").read_text()


def test_a_start_time_and_a_deadline_are_kept(session: drmaa.Session, make: Make) -> None:
    far = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(time.time() + 3600))
    near = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(time.time() + 2))
    later = session.runJob(make("true", startTime=far))
    late = session.runJob(make("exec sleep 300", deadlineTime=near))

    until_status(session, later, drmaa.JobState.SYSTEM_ON_HOLD)
    info = session.wait(late, WAIT_S)
    assert (False, True) == (info.hasExited, info.wasAborted)
    with pytest.raises(drmaa.ExitTimeoutException):
        session.wait(later, 0)


def test_what_the_backend_cannot_do_is_denied(session: drmaa.Session, make: Make) -> None:
    """It is said at submission, and nothing is stored."""
    before = session.contact
    for values in (
        {"nativeSpecification": "nonesuch=1"},
        {"jobCategory": "nonesuch"},
        {"outputPath": "nowhere.example.org:/x"},
    ):
        with pytest.raises(drmaa.DeniedByDrmException, match=r"^code 17: "):
            session.runJob(make("true", **values))
    with pytest.raises(drmaa.InvalidAttributeValueException, match=r"^code 14: "):
        session.runJob(make("true", jobName="a\0b"))
    with pytest.raises(drmaa.InvalidJobException):
        session.wait(drmaa.Session.JOB_IDS_SESSION_ANY)

    assert before == session.contact


@pytest.mark.brief
def test_addresses_are_for_a_backend_that_sends_mail(
    session: drmaa.Session, make: Make, backend: str, request: pytest.FixtureRequest
) -> None:
    """Drover does not; a job whose owner waits for a mail that never comes is refused instead."""
    if backend != "drmaa":
        with pytest.raises(drmaa.DeniedByDrmException, match=r"^code 17: .*email"):
            session.runJob(make("true", email=["somebody@example.org"]))
        return
    template = make("true", jobName="mailed", email=["somebody"], nativeSpecification="-m e")
    assert 0 == session.wait(session.runJob(template), WAIT_S).exitStatus
    mails = request.getfixturevalue("gridengine").folder / "log/mail.log"

    until(lambda: mails.exists() and "(mailed+" in mails.read_text("utf-8"))


@pytest.mark.brief
def test_a_flag_that_nobody_knows_runs_nothing(
    session: drmaa.Session, make: Make, backend: str, tmp_path: Path
) -> None:
    """The local backend takes none; what only a scheduler can judge, it says when it is asked."""
    template = make("touch ran", nativeSpecification="--nonesuch-flag")
    if backend == "local":
        with pytest.raises(drmaa.DeniedByDrmException, match=r"^code 17: .*options"):
            session.runJob(template)
    else:
        job_id = session.runJob(template)
        session.synchronize([job_id], WAIT_S)
        assert "failed" == session.jobStatus(job_id)
        assert (False, False, "", False, True, 0) == session.wait(job_id)[1:7]

    assert not (tmp_path / "ran").exists()


@pytest.mark.brief
def test_flags_that_programs_for_grid_engine_have(
    session: drmaa.Session, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-V -cwd -j y` are in most of them; elsewhere they mean nothing, or something else."""
    (tmp_path / "logs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OF_THE_PROGRAM", "inherited")
    template = session.createJobTemplate()
    template.remoteCommand = "/bin/sh"
    template.args = ["-c", "pwd; echo $OF_THE_PROGRAM >&2"]
    template.nativeSpecification = "-V -cwd -b y -shell n -j y -N named -o logs"
    if backend != "drmaa":
        with pytest.raises(drmaa.DeniedByDrmException, match=r"^code 17: "):
            session.runJob(template)
        return
    job_id = session.runJob(template)
    info = session.wait(job_id, WAIT_S)

    said = (tmp_path / f"logs/named.o{job_id}").read_text()
    assert (0, f"{tmp_path}\ninherited\n") == (info.exitStatus, said)


def test_letters_that_programs_for_slurm_have(
    session: drmaa.Session, make: Make, backend: str, tmp_path: Path
) -> None:
    """Most people type those; elsewhere they mean nothing, or something else."""
    script = "echo $SLURM_CPUS_PER_TASK $SLURM_MEM_PER_NODE > out"
    template = make(script, nativeSpecification="-t 5 -N1 -c 2 --mem 60")
    if backend == "slurm":
        assert 0 == session.wait(session.runJob(template), WAIT_S).exitStatus
        assert "2 60\n" == (tmp_path / "out").read_text()
    else:
        with pytest.raises(drmaa.DeniedByDrmException, match=r"^code 17: "):
            session.runJob(template)


def test_a_job_category_is_configured(
    session: drmaa.Session, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read when the session is opened, as all settings are."""
    monkeypatch.setenv("DROVER_DRMAA__CATEGORIES__SHORT__WALL_TIME", "1s")
    contact = session.contact
    session.exit()
    session.initialize(contact)
    info = session.wait(session.runJob(make("exec sleep 300", jobCategory="short")), WAIT_S)

    assert (False, True) == (info.hasExited, info.hasSignal)


# Many


@pytest.mark.brief
def test_bulk_jobs_know_their_index(session: drmaa.Session, make: Make, tmp_path: Path) -> None:
    template = make(
        "echo $DROVER_ARRAY_INDEX; exit $DROVER_ARRAY_INDEX",
        outputPath=f":{tmp_path}/out.{drmaa.JobTemplate.PARAMETRIC_INDEX}",
        joinFiles=True,
    )
    ids = session.runBulkJobs(template, 1, 6, 2)
    session.synchronize(ids, WAIT_S)

    assert [1, 3, 5] == [int(one.rpartition(".")[2]) for one in ids]
    assert [1, 3, 5] == [session.wait(one).exitStatus for one in ids]
    assert ["1\n", "3\n", "5\n"] == [(tmp_path / f"out.{k}").read_text() for k in (1, 3, 5)]


def test_bulk_jobs_may_have_a_folder_each(
    session: drmaa.Session, make: Make, tmp_path: Path
) -> None:
    for index in (7, 5):
        (tmp_path / f"run{index}").mkdir()
    template = make(
        "pwd > here",
        workingDirectory=f"{tmp_path}/run{drmaa.JobTemplate.PARAMETRIC_INDEX}",
    )
    ids = session.runBulkJobs(template, 7, 5, -2)
    session.synchronize(ids, WAIT_S, dispose=True)

    assert 2 == len(set(ids))
    for index in (7, 5):
        folder = tmp_path / f"run{index}"
        assert f"{folder}\n" == (folder / "here").read_text()


@pytest.mark.parametrize("indices", [(1, 0, 1), (0, 5, 0), (-1, 3, 1), (3, 1, 1), (1, "3", 1)])
def test_indices_that_cannot_be_are_refused(
    session: drmaa.Session, make: Make, indices: tuple[Any, Any, Any]
) -> None:
    with pytest.raises(drmaa.InvalidArgumentException, match=r"^code 4: "):
        session.runBulkJobs(make("true"), *indices)


def test_any_gives_each_job_once(session: drmaa.Session, make: Make) -> None:
    """By the order of their ends; when none is left it says so at once, and does not block."""
    ids = session.runBulkJobs(make("exit $DROVER_ARRAY_INDEX"), 0, 9, 1)
    infos = [session.wait(drmaa.Session.JOB_IDS_SESSION_ANY, WAIT_S) for _ in ids]

    assert Counter(ids) == Counter(info.jobId for info in infos)
    assert all(int(info.jobId.rpartition(".")[2]) == info.exitStatus for info in infos)
    with pytest.raises(drmaa.InvalidJobException, match=r"^code 18: "):
        session.wait(drmaa.Session.JOB_IDS_SESSION_ANY)


def test_any_tells_the_first_end(session: drmaa.Session, make: Make) -> None:
    slow = session.runJob(make("exec sleep 300"))
    quick = session.runJob(make("true"))

    assert quick == session.wait(b"DRMAA_JOB_IDS_SESSION_ANY", WAIT_S).jobId
    with pytest.raises(drmaa.ExitTimeoutException):
        session.wait(drmaa.Session.JOB_IDS_SESSION_ANY, 0)
    assert session.jobStatus(slow) in {"running", "queued_active"}


def test_synchronize_waits_for_all_and_can_dispose(session: drmaa.Session, make: Make) -> None:
    ids = [session.runJob(make(f"exit {code}")) for code in range(3)]
    session.synchronize([drmaa.Session.JOB_IDS_SESSION_ALL], WAIT_S, dispose=False)
    assert [0, 1] == [session.wait(job_id, 0).exitStatus for job_id in ids[:2]]
    session.synchronize([drmaa.Session.JOB_IDS_SESSION_ALL], WAIT_S, True)

    with pytest.raises(drmaa.InvalidJobException):
        session.wait(ids[2])
    # What is unknown counts as ended, as it does on Grid Engine.
    session.synchronize([ids[0], "nonesuch"], 0)
    session.synchronize([], 0)


def test_synchronize_times_out_and_reaps_nothing(session: drmaa.Session, make: Make) -> None:
    slow, quick = session.runJob(make("exec sleep 300")), session.runJob(make("true"))
    session.synchronize(quick.encode(), WAIT_S)
    began = time.monotonic()
    with pytest.raises(drmaa.ExitTimeoutException, match=r"^code 23: "):
        session.synchronize([slow, quick], 1, dispose=True)

    assert 0.9 < time.monotonic() - began < WAIT_S
    assert quick == session.wait(quick, 0).jobId


@pytest.mark.parametrize("timeout", [-2, -0.5, "1", None, float("nan")])
def test_a_timeout_that_is_none_is_refused(session: drmaa.Session, timeout: Any) -> None:
    with pytest.raises(drmaa.InvalidArgumentException, match=r"^code 4: "):
        session.wait("x", timeout)
    with pytest.raises(drmaa.InvalidArgumentException, match=r"^code 4: "):
        session.synchronize([], timeout)


# Control


@pytest.mark.brief
def test_a_held_job_waits_for_its_release(session: drmaa.Session, make: Make) -> None:
    job_id = session.runJob(make("true", jobSubmissionState="drmaa_hold"))
    until_status(session, job_id, drmaa.JobState.USER_ON_HOLD)
    session.control(job_id, drmaa.JobControlAction.RELEASE)

    assert 0 == session.wait(job_id, WAIT_S).exitStatus


def test_hold_and_release_of_a_waiting_job(session: drmaa.Session, make: Make) -> None:
    far = time.strftime("%Y/%m/%d %H:%M", time.localtime(time.time() + 7200))
    job_id = session.runJob(make("true", startTime=far))
    session.control(job_id, drmaa.JobControlAction.RELEASE)  # It is not held: no error.
    session.control(job_id, drmaa.JobControlAction.HOLD)
    until_status(session, job_id, drmaa.JobState.USER_SYSTEM_ON_HOLD)
    session.control(job_id, drmaa.JobControlAction.RELEASE)

    until_status(session, job_id, drmaa.JobState.SYSTEM_ON_HOLD)


@pytest.mark.brief
def test_suspend_and_resume(session: drmaa.Session, make: Make) -> None:
    job_id = session.runJob(make("exec sleep 300"))
    until_status(session, job_id, drmaa.JobState.RUNNING)
    session.control(job_id, drmaa.JobControlAction.RELEASE)  # It is not held: no error.
    with pytest.raises(drmaa.ResumeInconsistentStateException, match=r"^code 19: "):
        session.control(job_id, drmaa.JobControlAction.RESUME)
    session.control(job_id, drmaa.JobControlAction.SUSPEND)
    until_status(session, job_id, drmaa.JobState.USER_SUSPENDED)
    with pytest.raises(drmaa.SuspendInconsistentStateException, match=r"^code 20: "):
        session.control(job_id, drmaa.JobControlAction.SUSPEND)
    session.control(job_id, drmaa.JobControlAction.RESUME)

    until_status(session, job_id, drmaa.JobState.RUNNING)


def test_what_runs_cannot_be_held(session: drmaa.Session, make: Make, backend: str) -> None:
    """Where the backend refuses it, as the local one does: it would hold nothing."""
    job_id = session.runJob(make("exec sleep 300"))
    until_status(session, job_id, drmaa.JobState.RUNNING)
    if backend == "local":
        with pytest.raises(drmaa.HoldInconsistentStateException, match=r"^code 21: hold of job"):
            session.control(job_id, drmaa.JobControlAction.HOLD)

    assert drmaa.JobState.RUNNING == session.jobStatus(job_id)


@pytest.mark.brief
def test_a_job_that_was_ended_is_failed_and_aborted(session: drmaa.Session, make: Make) -> None:
    running = session.runJob(make("exec sleep 300"))
    until_status(session, running, drmaa.JobState.RUNNING)
    held = session.runJob(make("true", jobSubmissionState="drmaa_hold"))
    for job_id in (running, held):
        session.control(job_id, drmaa.JobControlAction.TERMINATE)
    session.synchronize([running, held], WAIT_S)

    assert ["failed", "failed"] == [session.jobStatus(job_id) for job_id in (running, held)]
    for job_id in (running, held):
        info = session.wait(job_id)
        assert (False, False, "", False, True, 0) == info[1:7]


def test_control_of_all_passes_over_what_cannot(session: drmaa.Session, make: Make) -> None:
    """Also with no job at all."""
    everything = drmaa.Session.JOB_IDS_SESSION_ALL
    for operation in ("suspend", "resume", "hold", "release", "terminate"):
        session.control(everything, operation)
    over = session.runJob(make("true"))
    session.synchronize([over], WAIT_S)
    held = session.runJob(make("true", jobSubmissionState="drmaa_hold"))
    running = session.runJob(make("exec sleep 300"))
    until_status(session, running, drmaa.JobState.RUNNING)
    session.control(everything, drmaa.JobControlAction.SUSPEND)
    until_status(session, running, drmaa.JobState.USER_SUSPENDED)
    session.control(everything.encode(), drmaa.JobControlAction.TERMINATE)

    assert [False, True, True] == [
        session.wait(job_id, WAIT_S).wasAborted for job_id in (over, held, running)
    ]


def test_what_cannot_be_controlled_says_so(session: drmaa.Session, make: Make) -> None:
    over = session.runJob(make("true"))
    session.synchronize([over], WAIT_S)
    with pytest.raises(ValueError, match="not in tuple"):
        session.control(over, "pause")
    for operation in ("suspend", "resume", "hold", "release", "terminate"):
        with pytest.raises(drmaa.InvalidJobException, match=r"^code 18: .*ended"):
            session.control(over, operation)
        with pytest.raises(drmaa.InvalidJobException, match="no job"):
            session.control("nonesuch", operation)


@pytest.mark.parametrize("call", ["wait", "jobStatus"])
def test_ids_are_whole_and_text(session: drmaa.Session, make: Make, call: str) -> None:
    """A shortened id, which Drover takes elsewhere, may be another job's tomorrow."""
    ids = session.runBulkJobs(make("true"), 1, 2, 1)
    session.synchronize(ids, WAIT_S)
    method = getattr(session, call)
    for wrong in (ids[0][:-1], ids[0].partition(".")[0], "", "é", "17"):
        with pytest.raises(drmaa.InvalidJobException):
            method(wrong)
    with pytest.raises(drmaa.InvalidArgumentException):
        method(17)

    assert method(ids[1].encode())


# Jobs that somebody else touches


def test_a_job_that_was_purged_is_gone(session: drmaa.Session, make: Make) -> None:
    """Somebody has tidied up with `drover purge`."""
    seen, unseen = session.runJob(make("true")), session.runJob(make("true"))
    session.synchronize([seen], WAIT_S)
    with drover.open() as other:
        other.wait([unseen], timeout=WAIT_S)
        other.purge(jobs=[seen, unseen])

    for job_id in (seen, unseen):
        with pytest.raises(drmaa.InvalidJobException, match=r"^code 18: "):
            session.wait(job_id, 5)
        with pytest.raises(drmaa.InvalidJobException, match=r"^code 18: "):
            session.jobStatus(job_id)


def test_a_job_that_is_tried_again_is_waited_for_again(
    session: drmaa.Session, make: Make, tmp_path: Path
) -> None:
    """Somebody has mended its cause, and said `drover retry`, before it was waited for."""
    job_id = session.runJob(make("test -e late"))
    session.synchronize([job_id], WAIT_S)
    (tmp_path / "late").touch()
    with drover.open() as other:
        other.retry([job_id])

    assert 0 == session.wait(job_id, WAIT_S).exitStatus

"""The names, numbers and bases of drmaa-python 0.7.9, as programs know them."""

import inspect
import subprocess
import sys

import pytest

from drover import drmaa
from drover.drmaa import vocabulary

PLAIN = [
    "AlreadyActiveSession",
    "Authorization",
    "DefaultContactString",
    "DeniedByDrm",
    "DrmCommunication",
    "DrmsExit",
    "DrmsInit",
    "ExitTimeout",
    "HoldInconsistentState",
    "IllegalState",
    "Internal",
    "InvalidContactString",
    "InvalidJob",
    "InvalidJobTemplate",
    "NoActiveSession",
    "NoDefaultContactStringSelected",
    "ReleaseInconsistentState",
    "ResumeInconsistentState",
    "SuspendInconsistentState",
    "TryLater",
]
OF_ATTRIBUTES = [
    "ConflictingAttributeValues",
    "InvalidArgument",
    "InvalidAttributeFormat",
    "InvalidAttributeValue",
    "UnsupportedAttribute",
]
BASES = {
    **{f"{name}Exception": (drmaa.DrmaaException,) for name in PLAIN},
    **{f"{name}Exception": (drmaa.DrmaaException, AttributeError) for name in OF_ATTRIBUTES},
    "OutOfMemoryException": (drmaa.DrmaaException, MemoryError),
    "DrmaaException": (Exception,),
}
# drmaa-python has these as bytes on Python 3, and as text in its documentation.
TEXTS = {
    "BLOCK_EMAIL": "drmaa_block_email", "DEADLINE_TIME": "drmaa_deadline_time",
    "DURATION_HLIMIT": "drmaa_duration_hlimit", "DURATION_SLIMIT": "drmaa_duration_slimit",
    "ERROR_PATH": "drmaa_error_path", "INPUT_PATH": "drmaa_input_path",
    "JOB_CATEGORY": "drmaa_job_category", "JOB_IDS_SESSION_ALL": "DRMAA_JOB_IDS_SESSION_ALL",
    "JOB_IDS_SESSION_ANY": "DRMAA_JOB_IDS_SESSION_ANY", "JOB_NAME": "drmaa_job_name",
    "JOIN_FILES": "drmaa_join_files", "JS_STATE": "drmaa_js_state",
    "NATIVE_SPECIFICATION": "drmaa_native_specification", "OUTPUT_PATH": "drmaa_output_path",
    "PLACEHOLDER_HD": "$drmaa_hd_ph$", "PLACEHOLDER_INCR": "$drmaa_incr_ph$",
    "PLACEHOLDER_WD": "$drmaa_wd_ph$", "REMOTE_COMMAND": "drmaa_remote_command",
    "START_TIME": "drmaa_start_time", "TRANSFER_FILES": "drmaa_transfer_files",
    "V_ARGV": "drmaa_v_argv", "V_EMAIL": "drmaa_v_email", "V_ENV": "drmaa_v_env",
    "WCT_HLIMIT": "drmaa_wct_hlimit", "WCT_SLIMIT": "drmaa_wct_slimit", "WD": "drmaa_wd",
    "SUBMISSION_STATE_ACTIVE": "drmaa_active", "SUBMISSION_STATE_HOLD": "drmaa_hold",
}  # fmt: skip
NUMBERS = {
    "ATTR_BUFFER": 1024, "CONTACT_BUFFER": 1024, "DRM_SYSTEM_BUFFER": 1024,
    "DRMAA_IMPLEMENTATION_BUFFER": 1024, "ERROR_STRING_BUFFER": 1024, "JOBNAME_BUFFER": 1024,
    "SIGNAL_BUFFER": 32, "TIMEOUT_WAIT_FOREVER": -1, "TIMEOUT_NO_WAIT": 0, "NO_MORE_ELEMENTS": 25,
}  # fmt: skip
STATES = {
    0x00: "undetermined", 0x10: "queued_active", 0x11: "system_on_hold", 0x12: "user_on_hold",
    0x13: "user_system_on_hold", 0x20: "running", 0x21: "system_suspended",
    0x22: "user_suspended", 0x23: "user_system_suspended", 0x30: "done", 0x40: "failed",
}  # fmt: skip
ACTIONS = ["suspend", "resume", "hold", "release", "terminate"]
CODES = [
    "Internal",
    "DrmCommunication",
    "Authorization",
    "InvalidArgument",
    "NoActiveSession",
    "OutOfMemory",
    "InvalidContactString",
    "DefaultContactString",
    "NoDefaultContactStringSelected",
    "DrmsInit",
    "AlreadyActiveSession",
    "DrmsExit",
    "InvalidAttributeFormat",
    "InvalidAttributeValue",
    "ConflictingAttributeValues",
    "TryLater",
    "DeniedByDrm",
    "InvalidJob",
    "ResumeInconsistentState",
    "SuspendInconsistentState",
    "HoldInconsistentState",
    "ReleaseInconsistentState",
    "ExitTimeout",
]


def words_of(owner: type) -> dict[str, object]:
    return {name: value for name, value in vars(owner).items() if name.isupper()}


@pytest.mark.parametrize(("name", "bases"), BASES.items(), ids=list(BASES))
def test_an_exception_has_the_bases_that_programs_catch(name: str, bases: tuple[type, ...]) -> None:
    """`except AttributeError` around a template must go on working."""
    assert bases == getattr(drmaa, name).__bases__
    assert getattr(drmaa, name) is getattr(drmaa.errors, name)


@pytest.mark.parametrize(("name", "value"), {**TEXTS, **NUMBERS}.items())
def test_a_constant_has_its_value(name: str, value: object) -> None:
    assert value == getattr(drmaa, name) == getattr(drmaa.const, name)


def test_the_words_of_the_classes() -> None:
    assert sorted(STATES.values()) == sorted(map(str, words_of(drmaa.JobState).values()))
    assert sorted(ACTIONS) == sorted(map(str, words_of(drmaa.JobControlAction).values()))
    assert {"ACTIVE_STATE": "drmaa_active", "HOLD_STATE": "drmaa_hold"} == words_of(
        drmaa.JobSubmissionState
    )
    assert all(name.lower() == value for name, value in words_of(drmaa.JobState).items())


def test_the_functions_between_numbers_and_words() -> None:
    """They are what is left of the C library's numbers."""
    assert STATES == {code: drmaa.job_state(code) for code in STATES}
    assert STATES == {code: drmaa.status_to_string(code) for code in STATES}
    assert ACTIONS == [drmaa.control_action_to_string(code) for code in range(5)]
    assert list(range(5)) == [drmaa.string_to_control_action(word) for word in ACTIONS]
    assert ["drmaa_hold", "drmaa_active"] == [drmaa.submission_state(code) for code in (0, 1)]
    with pytest.raises(KeyError):
        drmaa.job_state(0x99)
    with pytest.raises(ValueError, match="not in tuple"):
        drmaa.string_to_control_action("pause")


def test_every_error_of_the_specification_has_its_number() -> None:
    """Programs read the number off the message: `code 18: ...`."""
    assert [f"{name}Exception" for name in CODES] == [
        vocabulary.CODES[code].__name__ for code in range(1, 24)
    ]
    assert "code 18: gone" == str(vocabulary.fault(drmaa.InvalidJobException, "gone"))
    assert "gone" == str(vocabulary.fault(drmaa.InvalidJobTemplateException, "gone"))


def test_job_info_is_the_tuple_that_it_was() -> None:
    """Programs unpack it, and read it by position."""
    fields = (
        "jobId", "hasExited", "hasSignal", "terminatedSignal", "hasCoreDump", "wasAborted",
        "exitStatus", "resourceUsage",
    )  # fmt: skip

    assert fields == drmaa.JobInfo._fields
    assert (tuple,) == drmaa.JobInfo.__bases__


def test_versions() -> None:
    assert ("1.0", (1, 0)) == (str(drmaa.Session.version), drmaa.Session.version)
    assert ("0.7.9", (0, 7, 9)) == (drmaa.__version__, drmaa.VERSION)


@pytest.mark.parametrize(
    ("method", "parameters"),
    {
        "initialize": [("contactString", None)],
        "exit": [],
        "createJobTemplate": [],
        "deleteJobTemplate": ["jobTemplate"],
        "runJob": ["jobTemplate"],
        "runBulkJobs": ["jobTemplate", "beginIndex", "endIndex", "step"],
        "control": ["jobId", "operation"],
        "synchronize": ["jobIds", ("timeout", -1), ("dispose", False)],
        "wait": ["jobId", ("timeout", -1)],
        "jobStatus": ["jobId"],
    }.items(),
)
def test_a_method_takes_what_it_took(method: str, parameters: list[object]) -> None:
    """By position and by name: both are in programs. All are static: the class will do."""
    found = inspect.signature(getattr(drmaa.Session, method)).parameters.values()

    assert parameters == [
        one.name if one.default is one.empty else (one.name, one.default) for one in found
    ]
    assert isinstance(inspect.getattr_static(drmaa.Session, method), staticmethod)


def test_every_public_name_is_there() -> None:
    assert [] == [name for name in drmaa.__all__ if not hasattr(drmaa, name)]
    assert sorted(set(drmaa.__all__)) == sorted(drmaa.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Sesion'"):
        drmaa.Sesion  # noqa: B018


def test_a_file_transfer_mode_is_its_letters() -> None:
    assert ["", "i", "oe", "ioe"] == [
        str(drmaa.FileTransferMode(*flags))
        for flags in [(), (True,), (False, True, True), (True, True, True)]
    ]


@pytest.mark.parametrize("module", ["drover.session", "drover._engine", "sqlite3", "drover.config"])
def test_the_vocabulary_loads_no_session(module: str) -> None:
    """A backend in a compute node's process must not pay for a store that it never opens."""
    program = f"import sys, drover.drmaa, drover.drmaa.vocabulary; print({module!r} in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "False\n" == done.stdout

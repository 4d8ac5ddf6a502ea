"""The constants of DRMAA 1.0, under the names that drmaa-python gives them.

All of them are text. drmaa-python has `bytes` for some on Python 3, an accident of its C library;
the face takes both wherever a program hands one in.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

ATTR_BUFFER: Final = 1024
CONTACT_BUFFER: Final = 1024
DRM_SYSTEM_BUFFER: Final = 1024
DRMAA_IMPLEMENTATION_BUFFER: Final = 1024
ERROR_STRING_BUFFER: Final = 1024
JOBNAME_BUFFER: Final = 1024
SIGNAL_BUFFER: Final = 32
"""Sizes of C buffers. Nothing here is cut to them; programs may print them."""

TIMEOUT_WAIT_FOREVER: Final = -1
TIMEOUT_NO_WAIT: Final = 0
JOB_IDS_SESSION_ANY: Final = "DRMAA_JOB_IDS_SESSION_ANY"
JOB_IDS_SESSION_ALL: Final = "DRMAA_JOB_IDS_SESSION_ALL"
NO_MORE_ELEMENTS: Final = 25

SUBMISSION_STATE_ACTIVE: Final = "drmaa_active"
SUBMISSION_STATE_HOLD: Final = "drmaa_hold"

PLACEHOLDER_INCR: Final = "$drmaa_incr_ph$"
PLACEHOLDER_HD: Final = "$drmaa_hd_ph$"
PLACEHOLDER_WD: Final = "$drmaa_wd_ph$"

REMOTE_COMMAND: Final = "drmaa_remote_command"
JS_STATE: Final = "drmaa_js_state"
WD: Final = "drmaa_wd"
JOB_CATEGORY: Final = "drmaa_job_category"
NATIVE_SPECIFICATION: Final = "drmaa_native_specification"
BLOCK_EMAIL: Final = "drmaa_block_email"
START_TIME: Final = "drmaa_start_time"
JOB_NAME: Final = "drmaa_job_name"
INPUT_PATH: Final = "drmaa_input_path"
OUTPUT_PATH: Final = "drmaa_output_path"
ERROR_PATH: Final = "drmaa_error_path"
JOIN_FILES: Final = "drmaa_join_files"
TRANSFER_FILES: Final = "drmaa_transfer_files"
DEADLINE_TIME: Final = "drmaa_deadline_time"
WCT_HLIMIT: Final = "drmaa_wct_hlimit"
WCT_SLIMIT: Final = "drmaa_wct_slimit"
DURATION_HLIMIT: Final = "drmaa_duration_hlimit"
DURATION_SLIMIT: Final = "drmaa_duration_slimit"
V_ARGV: Final = "drmaa_v_argv"
V_ENV: Final = "drmaa_v_env"
V_EMAIL: Final = "drmaa_v_email"

ATTRIBUTES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "remoteCommand": REMOTE_COMMAND,
        "jobSubmissionState": JS_STATE,
        "workingDirectory": WD,
        "jobCategory": JOB_CATEGORY,
        "nativeSpecification": NATIVE_SPECIFICATION,
        "blockEmail": BLOCK_EMAIL,
        "startTime": START_TIME,
        "jobName": JOB_NAME,
        "inputPath": INPUT_PATH,
        "outputPath": OUTPUT_PATH,
        "errorPath": ERROR_PATH,
        "joinFiles": JOIN_FILES,
        "transferFiles": TRANSFER_FILES,
        "deadlineTime": DEADLINE_TIME,
        "hardWallclockTimeLimit": WCT_HLIMIT,
        "softWallclockTimeLimit": WCT_SLIMIT,
        "hardRunDurationLimit": DURATION_HLIMIT,
        "softRunDurationLimit": DURATION_SLIMIT,
        "args": V_ARGV,
        "jobEnvironment": V_ENV,
        "email": V_EMAIL,
    }
)
"""The attributes of a job template: Python's name to DRMAA's. Vectors come last."""


class JobState:
    """What `jobStatus` answers."""

    UNDETERMINED: Final = "undetermined"
    QUEUED_ACTIVE: Final = "queued_active"
    SYSTEM_ON_HOLD: Final = "system_on_hold"
    USER_ON_HOLD: Final = "user_on_hold"
    USER_SYSTEM_ON_HOLD: Final = "user_system_on_hold"
    RUNNING: Final = "running"
    SYSTEM_SUSPENDED: Final = "system_suspended"
    USER_SUSPENDED: Final = "user_suspended"
    USER_SYSTEM_SUSPENDED: Final = "user_system_suspended"
    DONE: Final = "done"
    FAILED: Final = "failed"


class JobControlAction:
    """What `control` can do."""

    SUSPEND: Final = "suspend"
    RESUME: Final = "resume"
    HOLD: Final = "hold"
    RELEASE: Final = "release"
    TERMINATE: Final = "terminate"


class JobSubmissionState:
    """How a job is submitted: ready to run, or on hold."""

    HOLD_STATE: Final = SUBMISSION_STATE_HOLD
    ACTIVE_STATE: Final = SUBMISSION_STATE_ACTIVE


class FileTransferMode(NamedTuple):
    """Which of a job's files are copied between the submitting and the executing host."""

    transferInputStream: bool = False
    transferOutputStream: bool = False
    transferErrorStream: bool = False

    def __str__(self) -> str:
        return "".join(letter for letter, wanted in zip("ioe", self, strict=True) if wanted)


class Version(NamedTuple):
    """The version of DRMAA."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


_STATES: Final[Mapping[int, str]] = MappingProxyType(
    {
        0x00: JobState.UNDETERMINED,
        0x10: JobState.QUEUED_ACTIVE,
        0x11: JobState.SYSTEM_ON_HOLD,
        0x12: JobState.USER_ON_HOLD,
        0x13: JobState.USER_SYSTEM_ON_HOLD,
        0x20: JobState.RUNNING,
        0x21: JobState.SYSTEM_SUSPENDED,
        0x22: JobState.USER_SUSPENDED,
        0x23: JobState.USER_SYSTEM_SUSPENDED,
        0x30: JobState.DONE,
        0x40: JobState.FAILED,
    }
)
_ACTIONS: Final = (
    JobControlAction.SUSPEND,
    JobControlAction.RESUME,
    JobControlAction.HOLD,
    JobControlAction.RELEASE,
    JobControlAction.TERMINATE,
)
_SUBMISSION_STATES: Final = (JobSubmissionState.HOLD_STATE, JobSubmissionState.ACTIVE_STATE)


def job_state(code: int) -> str:
    """Give the word for a state that the C library tells as a number.

    Raises:
        KeyError: It is none.
    """
    return _STATES[code]


def status_to_string(status: int) -> str:
    """Give the word for a state, as `job_state` does.

    Raises:
        KeyError: It is none.
    """
    return _STATES[status]


def control_action_to_string(code: int) -> str:
    """Give the word for a control action that the C library takes as a number.

    Raises:
        IndexError: It is none.
    """
    return _ACTIONS[code]


def string_to_control_action(operation: str) -> int:
    """Give the number of a control action.

    Raises:
        ValueError: It is none.
    """
    return _ACTIONS.index(operation)


def submission_state(code: int) -> str:
    """Give the word for a submission state that the C library takes as a number.

    Raises:
        IndexError: It is none.
    """
    return _SUBMISSION_STATES[code]

"""Job templates: what is set is read again, and what cannot be is refused."""

from pathlib import Path
from typing import Any

import pytest

from drover import drmaa
from drover.drmaa._attached import GATE
from drover.drmaa.vocabulary import ATTRIBUTES

WORDS = [name for name in ATTRIBUTES if not name.endswith(("Limit", "Email", "Files"))]


@pytest.fixture
def template(monkeypatch: pytest.MonkeyPatch) -> drmaa.JobTemplate:
    """Give a template of no session: a session would need a store."""
    monkeypatch.setattr(GATE, "refuse_without_session", lambda: None)
    return drmaa.JobTemplate()


def test_a_template_needs_a_session() -> None:
    with pytest.raises(drmaa.NoActiveSessionException, match=r"^code 5: .*initialize"):
        drmaa.JobTemplate()


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("remoteCommand", "cat", "cat"),
        ("remoteCommand", b"/bin/caf\xc3\xa9", "/bin/café"),
        ("remoteCommand", Path("/bin/cat"), "/bin/cat"),
        ("jobSubmissionState", "drmaa_hold", "drmaa_hold"),
        ("workingDirectory", "$drmaa_hd_ph$/x", "$drmaa_hd_ph$/x"),
        ("jobCategory", "long", "long"),
        ("nativeSpecification", "-q all.q", "-q all.q"),
        ("blockEmail", True, True),
        ("blockEmail", 0, False),
        ("startTime", "18:00", "18:00"),
        ("deadlineTime", "2031/01/01 00:00:00 +01:00", "2031/01/01 00:00:00 +01:00"),
        ("jobName", "pippo", "pippo"),
        ("inputPath", ":$drmaa_hd_ph$/in", ":$drmaa_hd_ph$/in"),
        ("outputPath", ":out", ":out"),
        ("errorPath", "host:/err", "host:/err"),
        ("joinFiles", True, True),
        ("transferFiles", "ioe", "ioe"),
        ("transferFiles", drmaa.FileTransferMode(True, False, True), "ie"),
        ("transferFiles", "", ""),
        ("hardWallclockTimeLimit", 60, 60),
        ("hardRunDurationLimit", "1:00", 60),
        ("args", [10, "de", b"argle\nbargle"], ["10", "de", "argle\nbargle"]),
        ("args", ("a",), ["a"]),
        ("jobEnvironment", {"A": "a=b\nc", b"N": 3}, {"A": "a=b\nc", "N": "3"}),
        ("email", ["a@b.c"], ["a@b.c"]),
    ],
)
def test_what_is_set_is_read(
    template: drmaa.JobTemplate, name: str, value: object, read: object
) -> None:
    """Whole: the C library cuts at 1,023 characters, at NUL, and variables at the second `=`."""
    setattr(template, name, value)

    assert read == getattr(template, name)
    assert read == getattr(drmaa.JobTemplate(**{name: value}), name)


def test_a_long_text_is_not_cut(template: drmaa.JobTemplate) -> None:
    template.nativeSpecification = "x" * 5000
    template.jobEnvironment = {"A": "y" * 5000}

    assert (5000, 5000) == (
        len(template.nativeSpecification), len(template.jobEnvironment["A"]),
    )  # fmt: skip


def test_what_was_not_set_has_its_default(template: drmaa.JobTemplate) -> None:
    defaults: dict[str, Any] = {
        "args": [], "jobEnvironment": {}, "email": [], "blockEmail": False, "joinFiles": False,
        "hardWallclockTimeLimit": None, "softWallclockTimeLimit": None,
        "hardRunDurationLimit": None, "softRunDurationLimit": None,
    }  # fmt: skip

    assert {name: defaults.get(name, "") for name in ATTRIBUTES} == {
        name: getattr(template, name) for name in ATTRIBUTES
    }
    assert ("", False) == (drmaa.JobTemplate.jobName, drmaa.JobTemplate.blockEmail)


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("jobName", None, drmaa.InvalidArgumentException),
        ("remoteCommand", 3, drmaa.InvalidArgumentException),
        ("jobSubmissionState", "hold", drmaa.InvalidAttributeValueException),
        ("startTime", "soon", drmaa.InvalidAttributeFormatException),
        ("deadlineTime", "12", drmaa.InvalidAttributeFormatException),
        ("transferFiles", "x", drmaa.InvalidAttributeFormatException),
        ("transferFiles", "ii", drmaa.InvalidAttributeFormatException),
        ("hardWallclockTimeLimit", -1, drmaa.InvalidAttributeFormatException),
        ("softWallclockTimeLimit", 5, drmaa.UnsupportedAttributeException),
        ("softRunDurationLimit", 5, drmaa.UnsupportedAttributeException),
        ("args", "one two", drmaa.InvalidAttributeValueException),
        ("args", 3, drmaa.InvalidAttributeValueException),
        ("email", "a@b.c", drmaa.InvalidAttributeValueException),
        ("jobEnvironment", ["A=b"], drmaa.InvalidAttributeValueException),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_set(
    template: drmaa.JobTemplate, name: str, value: object, kind: type[Exception]
) -> None:
    """A value that is dropped in silence is one that the user believes in."""
    with pytest.raises(kind, match=r"^code \d+: |^softW|^softR") as caught:
        setattr(template, name, value)

    assert isinstance(caught.value, AttributeError)
    with pytest.raises(kind):
        drmaa.JobTemplate(**{name: value})


def test_a_misspelt_attribute_is_refused_with_the_near_miss(template: drmaa.JobTemplate) -> None:
    """drmaa-python keeps it, and the job runs without it."""
    with pytest.raises(drmaa.UnsupportedAttributeException, match="did you mean 'outputPath'"):
        template.outputpath = ":x"  # type: ignore[attr-defined]  # that is the point
    with pytest.raises(drmaa.UnsupportedAttributeException):
        drmaa.JobTemplate(comand="x")


def test_a_deleted_template_says_so(template: drmaa.JobTemplate) -> None:
    """The C library crashes here, and at a second delete."""
    template.delete()
    template.delete()
    drmaa.Session.deleteJobTemplate(template)

    with pytest.raises(drmaa.InvalidJobTemplateException, match="deleted"):
        template.jobName = "x"
    with pytest.raises(drmaa.InvalidJobTemplateException, match="deleted"):
        template.args  # noqa: B018
    with pytest.raises(drmaa.InvalidJobTemplateException):
        drmaa.Session.deleteJobTemplate("x")  # type: ignore[arg-type]  # that is the point


def test_a_template_can_be_left(template: drmaa.JobTemplate) -> None:
    """Deleting what a `with` deletes again is in many programs."""
    with template as entered:
        entered.jobName = "x"
        drmaa.Session.deleteJobTemplate(entered)

    with pytest.raises(drmaa.InvalidJobTemplateException):
        template.jobName  # noqa: B018


def test_attribute_names_are_those_that_can_be_set(template: drmaa.JobTemplate) -> None:
    assert 16 == len(template.attributeNames) == len(set(template.attributeNames))
    assert {"drmaa_remote_command", "drmaa_wct_hlimit"} <= set(template.attributeNames)
    assert not {"drmaa_wct_slimit", "drmaa_v_argv"} & set(template.attributeNames)


def test_placeholders() -> None:
    assert ("$drmaa_hd_ph$", "$drmaa_wd_ph$", "$drmaa_incr_ph$") == (
        drmaa.JobTemplate.HOME_DIRECTORY,
        drmaa.JobTemplate.WORKING_DIRECTORY,
        drmaa.JobTemplate.PARAMETRIC_INDEX,
    )


def test_templates_do_not_share_values(template: drmaa.JobTemplate) -> None:
    other = drmaa.JobTemplate(jobName="other")
    given = ["a"]
    template.args = given
    given.append("lost")
    template.args.append("lost")

    assert ("", ["a"], "other", []) == (template.jobName, template.args, other.jobName, other.args)

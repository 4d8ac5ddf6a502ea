"""The page on this backend, held to the code."""

from pathlib import Path

import pytest
from attrs import fields

from drover.models import RESOURCE_FIELDS, SPEC_FIELDS
from drover_drmaa import _options
from drover_drmaa._config import DrmaaConfig
from drover_drmaa._words import LETTERS

PAGE = Path(__file__).parents[4] / "docs/plugins/drmaa.md"
if not PAGE.exists():
    pytest.skip("the page is out of sight (nox -s wheels)", allow_module_level=True)
SETTINGS = {attribute.name: attribute.default for attribute in fields(DrmaaConfig)}


@pytest.mark.parametrize(
    "word",
    [
        *(name for name in SPEC_FIELDS if name != "resources"),
        *(f"resources.{name}" for name in RESOURCE_FIELDS),
        *_options.kinds("gridengine"),
        *LETTERS,
        *SETTINGS,
    ],
)
def test_the_page_names_all_of_it(word: str) -> None:
    """What stands nowhere is found by nobody."""
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]

    assert any(f"`{word}`" in line for line in rows)


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "job_id"])
def test_a_default_is_what_the_page_says(name: str) -> None:
    """A value that was changed in one of two places is a lie in the other."""
    text = PAGE.read_text("utf-8").partition("## Configuration")[2]
    (line,) = (line for line in text.splitlines() if line.startswith(f"| `{name}`"))
    value, told = SETTINGS[name], line.split("|")[2].strip()
    if value == "":
        assert not told.isdigit()
    else:
        wanted = "true" if value is True else value if isinstance(value, str) else f"{value:g}"
        assert wanted == told

"""The page on this backend, held to the code."""

from pathlib import Path

import pytest
from attrs import fields

from drover.models import RESOURCE_FIELDS, SPEC_FIELDS
from drover_slurm._config import SlurmConfig
from drover_slurm._options import NATIVE
from drover_slurm._words import MEANINGS

PAGE = Path(__file__).parents[4] / "docs/plugins/slurm.md"
if not PAGE.exists():
    pytest.skip("the page is out of sight (nox -s wheels)", allow_module_level=True)
SETTINGS = {attribute.name: attribute.default for attribute in fields(SlurmConfig)}


@pytest.mark.parametrize(
    "word",
    [
        *(name for name in SPEC_FIELDS if name != "resources"),
        *(f"resources.{name}" for name in RESOURCE_FIELDS),
        *NATIVE,
        *MEANINGS,
        *SETTINGS,
    ],
)
def test_the_page_names_all_of_it(word: str) -> None:
    """What stands nowhere is found by nobody."""
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("|")]

    assert any(f"`{word}`" in line for line in rows)


@pytest.mark.parametrize("name", [name for name, value in SETTINGS.items() if value])
def test_a_default_is_what_the_page_says(name: str) -> None:
    """A number that was changed in one of two places is a lie in the other."""
    (line,) = (
        line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| `{name}`")
    )
    value = SETTINGS[name]

    assert line.split("|")[2].strip() == ("true" if value is True else f"{value:g}")

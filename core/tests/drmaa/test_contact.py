"""Contact strings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drover.drmaa import InvalidContactStringException
from drover.drmaa._contact import Contact, new_key, read_contact


@pytest.mark.parametrize(
    ("text", "backend", "key", "home"),
    [
        (None, None, None, None),
        ("", None, None, None),
        ("slurm", "slurm", None, None),
        (b"slurm", "slurm", None, None),
        ("session=my-flow_1", None, "my-flow_1", None),
        ("slurm;session=a.b", "slurm", "a.b", None),
        ("session=a;slurm", "slurm", "a", None),
        ("home=/x", None, None, "/x"),
        ("slurm;session=a;home=/x y;z,home=1", "slurm", "a", "/x y;z,home=1"),
    ],
)
def test_what_a_contact_string_says(
    text: str | bytes | None, backend: str | None, key: str | None, home: str | None
) -> None:
    assert Contact(backend=backend, key=key, home=home) == read_contact(text)


@pytest.mark.parametrize(
    "text",
    ["foo=bar", "session=", "home=", "a;b", "session=a;session=b", "a b", "a;", ";a", "../x",
     "session=../x", "session=a/b", "xhome=/x", "local;session=a;", "ümlaut",
     "session=" + "a" * 101],
)  # fmt: skip
def test_what_is_none_is_refused(text: str) -> None:
    """A session whose name was misread is an empty one, and the jobs look as if they were gone."""
    with pytest.raises(InvalidContactStringException, match=r"^code 7: "):
        read_contact(text)


@given(
    backend=st.none() | st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}\Z"),
    key=st.none() | st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}\Z"),
    home=st.none() | st.text(min_size=1),
)
def test_what_is_told_is_understood(backend: str | None, key: str | None, home: str | None) -> None:
    contact = Contact(backend=backend, key=key, home=home)

    assert contact == read_contact(str(contact))


def test_a_new_key_is_a_key_and_nobody_elses() -> None:
    keys = {new_key() for _ in range(100)}

    assert 100 == len(keys)
    assert {Contact(key=key) for key in keys} == {read_contact(f"session={key}") for key in keys}

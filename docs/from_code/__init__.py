"""The reference pages that are drawn from the code, each by a module of its own."""

from collections.abc import Iterator

from from_code import (
    capabilities,
    commands,
    diagram,
    drmaa,
    errors,
    hooks,
    models,
    session,
    states,
)


def pages() -> Iterator[tuple[str, str]]:
    """Give each page's file name in `docs/reference/` and its text."""
    yield "states.md", states.page()
    yield "states.svg", diagram.draw()
    yield "hooks.md", hooks.page()
    yield from errors.pages()
    yield "session.md", session.page()
    yield "models.md", models.page()
    yield "drmaa.md", drmaa.page()
    yield "cli.md", commands.page()
    yield "capabilities.md", capabilities.page()

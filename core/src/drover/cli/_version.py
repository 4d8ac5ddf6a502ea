"""Which drover this is."""

from importlib.metadata import PackageNotFoundError, version


def version_text() -> str:
    """Give the installed version of the core, `unknown` where it was not installed."""
    try:
        return version("drover-core")
    except PackageNotFoundError:
        return "unknown"


def version_line() -> str:
    """Give the line that `drover --version` prints."""
    return f"drover {version_text()}"

"""Answers that are not success, as the SDK maps them."""

from collections.abc import Mapping, Sequence
from typing import Any


class ApiError(Exception):
    """A request cannot be granted.

    Attributes:
        status: HTTP's.
        message: What the SDK shows.
        errors: Per field, what is wrong with it.
    """

    def __init__(
        self, status: int, message: str, errors: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.status, self.message, self.errors = status, message, dict(errors or {})
        super().__init__(message)

    def body(self) -> dict[str, Any]:
        """Write it in both of the API's shapes: the Python SDK reads `message`, others `errors`."""
        out: dict[str, Any] = {"message": self.message}
        if self.errors:
            out["title"] = "One or more validation errors occurred."
            out["status"] = self.status
            out["errors"] = {name: list(texts) for name, texts in self.errors.items()}
        return out


def invalid(field: str, why: str) -> ApiError:
    """Make the answer to a value that cannot be used."""
    return ApiError(400, f"{field}: {why}", {field: [why]})


def missing(kind: str, name: str) -> ApiError:
    """Make the answer to something that is not there, or is another user's."""
    return ApiError(404, f"No such {kind}: {name[:100]}")


def forbidden(message: str) -> ApiError:
    """Make the answer to what may not be done now."""
    return ApiError(403, message)

"""A server that speaks Qarnot's API, on Drover: `drover serve qarnot`."""

from drover_qarnot.server._command import serve

__all__ = ["serve"]

"""A backend for drover: jobs as detached processes."""

from drover_template._backend import TemplateBackend

__all__ = ["TemplateBackend"]

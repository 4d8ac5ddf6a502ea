"""What a site decides for all its jobs: defaults, retries, notices."""

from drover.hookspecs import Context
from drover_site._policy import SitePolicy

__all__ = ["SitePolicy", "site"]


def site(context: Context) -> SitePolicy | None:
    """Make the plugin, or nothing where `[plugins.site]` is not configured.

    Raises:
        InvalidSpecError: A default or a delay cannot be used.
        UnknownFieldError: A setting does not exist.
    """
    return SitePolicy(context.config) if context.config else None

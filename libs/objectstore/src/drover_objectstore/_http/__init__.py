"""S3 over HTTP: requests are read, checked and answered; nothing here knows of files or rows."""

from drover_objectstore._http._app import App, make_app

__all__ = ["App", "make_app"]

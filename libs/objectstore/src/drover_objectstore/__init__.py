"""An S3 store in a folder, to be embedded in a server or served by itself.

`ObjectStore` is the folder, `make_app` its face: a plain ASGI application that speaks S3.
"""

from drover_objectstore._http import make_app
from drover_objectstore._store import ObjectStore
from drover_objectstore.models import (
    Account,
    BucketInfo,
    Credentials,
    Described,
    Limits,
    ObjectInfo,
    Page,
    Usage,
)

__all__ = [
    "Account",
    "BucketInfo",
    "Credentials",
    "Described",
    "Limits",
    "ObjectInfo",
    "ObjectStore",
    "Page",
    "Usage",
    "make_app",
]

"""The folder: an index, files, and what keeps the two true to each other."""

from drover_objectstore._store._incoming import Incoming
from drover_objectstore._store._outgoing import Content
from drover_objectstore._store._store import ObjectStore

__all__ = ["Content", "Incoming", "ObjectStore"]

"""A plugin that cannot be imported: a library of its own is not there."""

import no_such_library

BrokenBackend = broken = no_such_library.anything

"""What is wrong with a store, or with who works on it."""

from drover.errors._base import DroverError


class StoreError(DroverError):
    """Catch what is wrong with a store on disk. Never raised itself.

    Raised when: a store cannot be opened, read or written, or nobody works on it.

    Left behind: the store is as it was; a transaction is there whole or not at all.

    What to do: mend what the message names, or choose another store with `--home` or
        `DROVER_HOME`.
    """


class StoreVersionError(StoreError):
    """The store was made by a newer drover.

    Raised when: a store is opened whose tables this version does not know.

    Left behind: the store is untouched.

    What to do: upgrade drover, or choose another store with `--home`.

    Try it::

        import sqlite3

        raw = sqlite3.connect(session.home / "store.db")
        raw.execute("PRAGMA user_version = 99")
        raw.close()
        drover.open(session.home)

    Attributes:
        path: The store's folder.
        version: Its schema.
        supported: The newest schema that this drover reads.
    """

    def __init__(self, path: str, version: int, supported: int) -> None:
        self.path, self.version, self.supported = path, version, supported
        super().__init__(
            f"store {path!r} has schema {version}, this drover reads up to {supported}. "
            "Upgrade drover (pip install -U drover), or choose another store with --home"
        )


class StoreUnusableError(StoreError):
    """The store cannot be used: no directory, no permission, no room, no database.

    Raised when: a store is opened, read or written, and its folder or its files do not allow it,
        are damaged, or the disk is full.

    Left behind: the files are left as they are. A transaction that failed has changed nothing.

    What to do: what the message says: set permissions, free space, or restore `store.db` from a
        backup. To begin anew move the files `store.db*` away. `drover doctor` says how much is
        damaged.

    Try it::

        open("file", "w").close()
        drover.open("file")

    Attributes:
        path: The store's folder.
        why: What is wrong with it, and the way out.
    """

    def __init__(self, path: str, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(f"store {path!r} cannot be used: {why}")


class StoreReadOnlyError(StoreError):
    """The store can be read but not changed: a copy, or a read-only file system.

    Raised when: something is to be written to a store that is a copy of another, lies on a file
        system that is mounted read-only, or may not be written by this user.

    Left behind: the store, and all output in it, is as it was.

    What to do: read what you need, and submit to another store with `--home`. Of a copy: work on
        the original, whose folder the message names, or move it instead of copying it.

    Try it::

        import shutil

        shutil.copytree(session.home, "copy")
        with drover.open("copy", engine="none") as copy:
            copy.submit(["true"])

    Attributes:
        path: The store's folder.
        why: Why it cannot be written.
    """

    def __init__(self, path: str, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(
            f"store {path!r} is read-only: {why}. Choose another store with --home to submit"
        )


class StoreElsewhereError(StoreError):
    """The store belongs to another host.

    Raised when: a store on a network file system is opened from another machine than the one that
        made it: locks hold within one machine only.

    Left behind: the store is untouched.

    What to do: log in to the host that the message names, or choose another store with `--home`.

    Try it: make a store in a shared home folder, and open it from another machine.

    Attributes:
        path: The store's folder.
        host: Whose it is.
        here: The host that one is on.
    """

    def __init__(self, path: str, host: str, here: str) -> None:
        self.path, self.host, self.here = path, host, here
        super().__init__(
            f"store {path!r} belongs to host {host!r}, this is {here!r}. Log in there, or "
            "choose another store with --home"
        )


class StaleEpochError(StoreError):
    """Another engine has taken over; this one may write nothing more.

    Raised when: an engine that was paused wakes up after its lease has run out. It stays inside
        engines.

    Left behind: nothing of what it wanted to write; the new engine goes on from what is stored.

    What to do: nothing: the engine leaves by itself.

    Try it: stop the engine's process with SIGSTOP, submit a job, and let it go on: its log tells.

    Attributes:
        mine: The epoch of the engine that is late.
        current: The epoch that works now.
    """

    def __init__(self, mine: int, current: int) -> None:
        self.mine, self.current = mine, current
        super().__init__(f"engine epoch {mine} is over, epoch {current} works now; leave")


class EngineUnavailableError(StoreError):
    """No engine works on the store and none could be started.

    Raised when: a job is submitted, waited for or asked something, and no engine takes up work;
        or the one that works cannot load the backend.

    Left behind: what was stored stays: the jobs run as soon as an engine works. Where the one
        that works cannot load the backend, nothing was stored.

    What to do: mend what the message or the log names, then `drover engine restart`.

    Try it::

        with drover.open("try-it") as other:
            with open("drover.toml", "w") as file:
                file.write("[engine")
            other.submit(["true"])

    Attributes:
        home: The store's folder.
        why: What happened instead.
        log: The engine's log; may be empty.
    """

    def __init__(self, home: str, why: str, log: str = "") -> None:
        self.home, self.why, self.log = home, why, log
        super().__init__(
            f"no engine for store {home!r}: {why}. Jobs are kept. "
            f"{'Its log: ' + log + '. ' if log else ''}Try: drover engine restart"
        )

"""What is wrong with a plugin's code."""

from collections.abc import Sequence

from drover.errors._base import DroverError, did_you_mean


class PluginError(DroverError):
    """A plugin's hook raised, or answered what no hook may answer. That call alone failed.

    Raised when: a plugin is called, by a client or by the engine.

    Left behind: what the call was for: a submission is not stored; a job that the engine has is
        told as the design says, and the other jobs of the call are not affected.

    What to do: update the plugin or report it to its authors; `DROVER_DEBUG=1` shows the cause.
        `drover doctor` names all plugins with faults, and `plugins.disabled` switches one off.

    Try it: let a hook of a plugin of your own raise (`drover plugin new NAME`), and submit a job
        to it.

    Attributes:
        plugin: Its name.
        hook: What was called.
        why: What it raised or answered.
    """

    def __init__(self, plugin: str, hook: str, why: str = "") -> None:
        self.plugin, self.hook, self.why = plugin, hook, why
        super().__init__(
            f"plugin {plugin!r} failed in {hook}{': ' + why.removesuffix('.') if why else ''}. "
            f"See: drover doctor {plugin}"
        )


class MisspeltHookError(PluginError):
    """A plugin implements a hook that does not exist.

    Raised when: a plugin is loaded that has a function named like a hook, which would never be
        called.

    Left behind: nothing; everything that does not need the plugin goes on.

    What to do: rename the function to the hook that the message offers.

    Try it: rename `drover_submit` to `drover_sumbit` in a plugin of your own, and run `drover
        doctor`.

    Attributes:
        plugin: Its name.
        hook: The name that is no hook's.
        known: All hooks.
    """

    def __init__(self, plugin: str, hook: str, known: Sequence[str]) -> None:
        self.known = tuple(known)
        super().__init__(plugin, hook, f"there is no such hook{did_you_mean(hook, known)}")


class BrokenPluginError(PluginError):
    """A plugin cannot be loaded. Everything that does not need it goes on.

    Raised when: a backend or a sub-command is needed and its plugin cannot be imported or made.

    Left behind: a submission to it is not stored.

    What to do: update or uninstall it, or list it in `plugins.disabled`. `drover doctor` shows
        the traceback.

    Try it: write `raise ValueError` at the top of a plugin of your own, and run `drover doctor`.

    Attributes:
        plugin: Its name.
        why: What went wrong.
        traceback: Where, for its authors; may be empty.
    """

    def __init__(self, plugin: str, why: str, traceback: str = "") -> None:
        self.traceback = traceback
        super().__init__(plugin, "loading", why)

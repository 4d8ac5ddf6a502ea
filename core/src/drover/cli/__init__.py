"""The command line. `main` is what the shell's `drover` calls.

Nothing is imported here that `drover --version` does not need.
"""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit code.

    Args:
        argv: The words after `drover`. `None`: those of this process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words == ["--version"]:
        from drover.cli._version import version_line

        sys.stdout.write(version_line() + "\n")
        return 0
    try:
        from drover.cli._guard import guarded

        return guarded(words)
    except KeyboardInterrupt:
        # Typed while that is imported; later ones are seen to there.
        from drover.cli._exits import INTERRUPTED

        return INTERRUPTED

"""Run a program that was written for drmaa-python, without a change: its `drmaa` is Drover's.

    python -m drover.drmaa SCRIPT [ARGUMENT...]
    python -m drover.drmaa -m MODULE [ARGUMENT...]

Which backend: the configuration's `backend`, or DROVER_BACKEND, or what the program hands to
`Session.initialize`.
"""

import runpy
import sys
from pathlib import Path

from drover.drmaa._standing_in import stand_in


def main(words: list[str]) -> int:
    """Run a program; give the exit code if it is not the program's own."""
    is_module = words[:1] == ["-m"]
    words = words[is_module:]
    if not words or words[0].startswith("-"):
        sys.stderr.write(f"{__doc__}\n")
        return 0 if words[:1] in (["-h"], ["--help"]) else 2
    stand_in()
    sys.argv = words
    if is_module:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        return 0
    script = Path(words[0])
    if not script.exists():
        sys.stderr.write(f"python -m drover.drmaa: there is no script {words[0]!r}\n")
        return 2
    sys.path[0] = str(script.resolve().parent)
    runpy.run_path(words[0], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Write the pages of the reference that are drawn from the code.

`python docs/generate.py` rewrites them; with `--check` it writes nothing and fails if a page
does not say what the code says.
"""

import sys
from collections.abc import Sequence
from difflib import unified_diff
from itertools import islice
from pathlib import Path

from from_code import pages

REFERENCE = Path(__file__).parent / "reference"


def main(words: Sequence[str]) -> int:
    """Write or check all pages; give the process's exit code."""
    if words not in ([], ["--check"]):
        print(__doc__)
        return 2
    stale = 0
    written = dict(pages())
    for path in REFERENCE.glob("*/*.md"):
        if path.relative_to(REFERENCE).as_posix() in written:
            continue
        stale += 1
        print(f"{path.relative_to(REFERENCE.parent)} is about nothing that there is")
        if not words:
            path.unlink()
    for name, text in written.items():
        path = REFERENCE / name
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old == text:
            continue
        stale += 1
        if words:
            diff = unified_diff(old.splitlines(), text.splitlines(), str(path), "the code", n=1)
            print(*islice(diff, 40), sep="\n")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(REFERENCE.parent)}")
    if words and stale:
        print(f"{stale} pages do not say what the code says. Run: python docs/generate.py")
    return 1 if words and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

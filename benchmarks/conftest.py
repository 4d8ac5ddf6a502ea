"""Let the test find what it tests: test files are imported by path (importlib mode)."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent / "contestants")]

"""Tests of what we say to Grid Engine and how we take its answers: no cluster, no process."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

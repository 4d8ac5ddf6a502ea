"""Start an engine: `python -m drover._engine --home DIR`. Clients do this by themselves."""

import argparse
import os
import sys
from pathlib import Path

from drover._engine._process import main
from drover.config import load
from drover.errors import ConfigError

parser = argparse.ArgumentParser(prog="drover-engine")
parser.add_argument("--home", type=Path, required=True)
parser.add_argument("--project", type=Path)
parser.add_argument("--idle-s", type=float)
parser.add_argument("--foreground", action="store_true")
options = parser.parse_args()
try:
    # Before the fork: whoever starts an engine is told why there is none.
    config = load(options.project or options.home)
except ConfigError as error:
    sys.exit(str(error))
if not options.foreground and hasattr(os, "fork"):
    if os.fork():
        os._exit(0)
    if os.getpid() != os.getsid(0):
        os.setsid()
sys.exit(main(options.home, config, options.idle_s))
